"""What privacy without a dealer costs: mode ``two-party`` of `mpc`, its set-up, its first query and later ones apart.

Two processes, one thread each, on networks with PyTorch's initial weights and random features: costs do not depend on
values.  Offline is what both do ahead of the features, online what Alice waits for, total both.  Beside it stands the
time that another system took for the same networks, everything included; such a figure is from another run and machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from sotto.bench.papers.bittner.growth import Point, row_of
from sotto.bench.parties.parties import Asked, Parties
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.table_networks import TableNetwork
from sotto.link import SHAPES

DESCRIPTION = "mpc without a dealer: set-up, first and later queries, offline, online and total (full: lan and wan too)"

_QUERIES: Mapping[str, Mapping[str, int]] = {
    "quick": {"loopback": 20},
    "full": {"loopback": 50, "lan": 20, "wan": 8},
}
_BATCHES = {"depinto": (1, 16), "frames": (1, 4)}
_TIMEOUT = 300.0
#: SPU 0.9.5, protocol CHEETAH: two parties, semi-honest, no dealer; milliseconds and bytes of everything.
_PEER: Mapping[str, Mapping[str, float | None]] = {
    "depinto": {"total_ms": 119.0, "total_bytes": 2.7e6},
    "frames": {"total_ms": 2068.0, "total_bytes": 6.7e6},
}


def run(request: Request) -> list[Row]:
    """One row for each link, network and batch."""
    return [row for net, queries in _QUERIES[request.preset].items() for row in _measured(net, queries, request)]


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
        "total_bytes": float(np.median([_total_bytes(each) for each in later])),
    }


def _total_ms(asked: Asked) -> float:
    return asked.online.milliseconds + (asked.offline.milliseconds if asked.offline else 0.0)


def _total_bytes(asked: Asked) -> int:
    return asked.online.bytes + (asked.offline.bytes if asked.offline else 0)
