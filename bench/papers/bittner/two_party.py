"""What privacy without a dealer costs: mode ``two-party`` of `mpc`, its set-up, its first query and later ones apart.

Two processes, one thread each, on networks with PyTorch's initial weights and random features: costs do not depend on
values.  Offline is what both do ahead of the features, online what Alice waits for, total both; medians, but bytes are
the mean over a session's later queries, because one that begins a round of transfers pays for those after it.

Beside it stands SPU's protocol CHEETAH for the same networks, everything included: in the same run where
``SOTTO_SPU_PYTHON`` names a Python that has ``spu``, and as ``published`` what was measured by hand once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from sotto.bench.papers.bittner.growth import Point, row_of
from sotto.bench.papers.bittner.table_networks import TableNetwork
from sotto.bench.parties.parties import Asked, Parties
from sotto.bench.peers.comparison import PEERS
from sotto.bench.peers.job import shapable
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.link import SHAPES
from sotto.models.learning.training import predict
from sotto.mpc.experiment import SECURITY

DESCRIPTION = "mpc without a dealer: set-up, first and later queries, offline, online and total (full: lan and wan too)"

_QUERIES: Mapping[str, Mapping[str, int]] = {
    "quick": {"loopback": 20},
    "full": {"loopback": 50, "lan": 20, "wan": 8},
}
_BATCHES = {"depinto": (1, 16), "frames": (1, 4)}
_TIMEOUT = 300.0
#: SPU 0.9.5, protocol CHEETAH: two parties, semi-honest, no dealer; milliseconds and bytes of everything.
_WARM_UP, _PEER_QUERIES = 2, 10
_SPU = next(peer for peer in PEERS if peer.name == "SPU SEMI2K")
_PEER: Mapping[str, Mapping[str, float | None]] = {
    "depinto": {"total_ms": 119.0, "total_bytes": 2.7e6},
    "frames": {"total_ms": 2068.0, "total_bytes": 6.7e6},
}


def run(request: Request) -> Iterator[Row]:
    """One row for each link, network and batch."""
    for net, queries in _QUERIES[request.preset].items():
        yield from _measured(net, queries, request)
        if reason := _SPU.missing() or shapable(SHAPES[net]):
            request.say(f"SPU CHEETAH on {net} is left out: {reason}")
        else:
            yield from (_cheetah(net, name, min(queries, _PEER_QUERIES), request) for name in _BATCHES)


def _cheetah(net: str, name: str, queries: int, request: Request) -> Row:
    """SPU's time and bytes for the same network: a query after ``_WARM_UP`` others, everything included."""
    network = TableNetwork(name)
    module = Point("batch", network, 1).module
    features = np.random.default_rng(request.seed).normal(size=(queries, *network.input_shape)).astype(np.float32)
    answered = _SPU.ask(
        module, features, network.classes, request.out, net,
        singles=queries, warm_up=_WARM_UP, batch=0, options=["CHEETAH"],
    )  # fmt: skip
    milliseconds = answered.milliseconds
    request.say(f"{net}: SPU CHEETAH {name} done")
    return Row(
        paradigm="mpc",
        mode="peer-spu-cheetah",
        model=name,
        seed=request.seed,
        n_queries=len(milliseconds),
        parameters={"net": net, "batch": 1, "peer": "SPU CHEETAH"},
        agreement=float(np.mean(np.array(answered.labels) == predict(module, features).argmax(axis=1))),
        metrics={
            "total_ms": float(np.median(milliseconds)),
            "total_bytes": float(answered.bytes_alice + answered.bytes_bob),
            "session_ms": answered.setup_ms,
        },
        security=msgspec.structs.replace(SECURITY["two-party"], leaks="to Alice the class; the program is public"),
        **_SPU.fields(answered),
    )


def _measured(net: str, queries: int, request: Request) -> Iterator[Row]:
    generator = np.random.default_rng(request.seed)
    for name, batches in _BATCHES.items():
        network = TableNetwork(name)
        points = [Point("batch", network, batch) for batch in (batches if net == "loopback" else batches[:1])]
        module = points[0].module
        parts = [network.parts(module, "two-party", "class")]
        for point in points:
            features = generator.normal(size=(point.batch, *network.input_shape)).astype(np.float32)
            with Parties(parts, shape=SHAPES[net], timeout=_TIMEOUT) as parties:
                prepared = parties.prepare()
                first, *later = [parties.ask(features) for _ in range(1 + max(3, queries // point.batch))]
                parties.end_session()
                parties.finish()
            row = row_of("two-party", point, prepared, later, module, features, request.seed)
            yield msgspec.structs.replace(
                row,
                parameters={"net": net, "batch": point.batch},
                metrics={**row.metrics, **_apart(first, later)},
                published=_PEER[name] if point.batch == 1 and net == "loopback" else {},
            )
        request.say(f"{net}: {name} done")


def _apart(first: Asked, later: list[Asked]) -> dict[str, float | None]:
    """The first query and a later one, in all; the set-up is ``session_ms``."""
    return {
        "first_total_ms": _total_ms(first),
        "total_ms": float(np.median([_total_ms(each) for each in later])),
        "mean_total_ms": float(np.mean([_total_ms(each) for each in later])),
        "total_bytes": float(np.mean([_total_bytes(each) for each in later])),
    }


def _total_ms(asked: Asked) -> float:
    return asked.online.milliseconds + (asked.offline.milliseconds if asked.offline else 0.0)


def _total_bytes(asked: Asked) -> int:
    return asked.online.bytes + (asked.offline.bytes if asked.offline else 0)
