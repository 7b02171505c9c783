"""Rows of other systems beside ours: the same trained networks, the same test clips, the same networks between parties.

A row's parameter ``peer`` names the system; tables and the report mark such rows by it.  A peer that is not installed,
or a network that cannot be made for it here, is left out with one line that says why.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bench.emotion_models import EmotionModel, emotion_model
from bench.experiment import Cell
from bench.machine import machine, software
from bench.peers.errand import PeerError, Request, Response, own_python, run, shapable
from bench.row import JSONValue, Row, Security, Timing, Traffic
from bench.suite import Failure
from bench.workbench import Workbench
from link import SHAPES
from models.recipes import DEPINTO, FRAMES, FRAMES_QUICK
from mpc.crypten_torch import CryptenMissing, load_crypten
from mpc.fixed_point import DEFAULT_INPUT_LIMIT
from mpc.fx_graph import trace

SPU_PYTHON = "SOTTO_SPU_PYTHON"
_BATCH = 16
_SINGLES = {"quick": 20, "full": 50}
_CLIPS = {"quick": 96, "full": 10**6}


@dataclass(frozen=True)
class Peer:
    """A system: its name in tables, the mode of its rows, what it protects, its command, why it is missing here."""

    name: str
    mode: str
    security: Security
    command: Callable[[], list[str]]
    missing: Callable[[], str | None]


def _crypten_missing() -> str | None:
    try:
        load_crypten()
    except CryptenMissing as error:
        return str(error)
    return None


def _spu_python() -> str | None:
    return shutil.which(os.environ.get(SPU_PYTHON) or "")


def _spu_missing() -> str | None:
    if _spu_python():
        return None
    return (
        f"{SPU_PYTHON} names no Python interpreter; to compare, install spu into an environment of its own "
        f"(python -m venv spu && spu/bin/pip install spu) and set {SPU_PYTHON}=spu/bin/python"
    )


PEERS = (
    Peer(
        "CrypTen over gloo",
        "peer-crypten",
        Security(
            adversary="semi-honest Bob (rank 1)",
            trusted="Alice (rank 0), who makes the correlated randomness and could open Bob's model",
            computational_bits=32,
            statistical_bits=None,
            leaks="to Alice the class and, if she looks, everything; masks of 32-bit strength; cheating goes unnoticed",
        ),
        lambda: own_python("bench.peers.crypten_program"),
        _crypten_missing,
    ),
    Peer(
        "SPU SEMI2K",
        "peer-spu",
        Security(
            adversary="semi-honest Alice or Bob",
            trusted="rank 0, which makes the correlated randomness",
            computational_bits=128,
            statistical_bits=None,
            leaks="to Alice the class; the program is public; cheating goes unnoticed",
        ),
        lambda: [_spu_python() or "", str(Path(__file__).with_name("spu_program.py"))],
        _spu_missing,
    ),
)


def compare_peers(bench: Workbench, nets: Sequence[str]) -> Iterator[Row | Failure]:
    """Rows of every peer that is installed, on both networks of ``mpc`` and on each of ``nets``."""
    for peer in PEERS:
        if reason := peer.missing():
            bench.say(f"{peer.name} is left out: {reason}")
            continue
        for net in nets:
            if reason := shapable(SHAPES[net]):
                bench.say(f"{peer.name} on {net} is left out: {reason}")
                continue
            for model in ("frames", "depinto"):
                cell = Cell("mpc", peer.mode, model, {"peer": peer.name})
                try:
                    yield measure(peer, cell, bench, net)
                except (PeerError, ValueError, RuntimeError, OSError) as error:
                    bench.say(f"{cell} failed: {error}")
                    yield Failure(cell, error)


def measure(peer: Peer, cell: Cell, bench: Workbench, net: str) -> Row:
    """One row.  Raises :class:`bench.peers.errand.PeerError`."""
    recipe = {"depinto": DEPINTO, "frames": FRAMES_QUICK if bench.quick else FRAMES}[cell.model]
    emotion = emotion_model(recipe, bench)
    order = np.random.default_rng(bench.seed).permutation(len(bench.split.test))[: _CLIPS[bench.preset]]
    queries = bench.part(emotion.queries, "test")[order]
    truth = bench.part(bench.targets, "test")[order]
    plan, weights = trace(emotion.module, queries.shape[1:], input_limit=DEFAULT_INPUT_LIMIT)
    request = Request(
        network=msgspec.json.encode(plan).decode(),
        input_shape=list(queries.shape[1:]),
        classes=len(bench.classes),
        singles=min(_SINGLES[bench.preset], len(queries)),
        warm_up=1,
        batch=_BATCH,
        timeout=1800.0,
    )
    arrays: dict[str, npt.NDArray[np.float32]] = {"queries": queries}
    for number, tensors in weights.items():
        arrays |= {f"{number}.{name}": np.asarray(value, np.float32) for name, value in tensors.items()}
    bench.say(f"{cell}: asking {len(queries)} clips on {net}")
    response = run(peer.command(), request, arrays, bench.folder, SHAPES[net])
    if len(response.labels) != len(queries) or not response.milliseconds:
        raise PeerError(f"{peer.name} answered {len(response.labels)} of {len(queries)} clips")
    return _row(peer, cell, bench, net, _Asked(emotion, queries, truth, response))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A network, the clips asked about (n, …), their classes (n,), and what the peer answered."""

    emotion: EmotionModel
    queries: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    response: Response


def _row(peer: Peer, cell: Cell, bench: Workbench, net: str, asked: _Asked) -> Row:
    response, labels = asked.response, np.array(asked.response.labels, np.int64)
    plain = asked.emotion.plain(asked.queries)[0]
    everywhere = asked.emotion.plain(bench.part(asked.emotion.queries, "test"))[0]
    parameters: Mapping[str, JSONValue] = {**cell.parameters, "net": net}
    return Row(
        paradigm=cell.paradigm,
        mode=cell.mode,
        model=cell.model,
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        n_queries=len(labels),
        parameters=dict(parameters),
        accuracy_plain=float(np.mean(everywhere == bench.part(bench.targets, "test"))),
        accuracy_private=float(np.mean(labels == asked.truth)),
        agreement=float(np.mean(labels == plain)),
        max_abs_error=None,
        metrics={
            "timed_queries": float(len(response.milliseconds)),
            "session_ms": response.setup_ms,
            "accuracy_plain_on_asked": float(np.mean(plain == asked.truth)),
        },
        published={},
        offline_ms=None,
        online_ms=Timing(float(np.median(response.milliseconds)), float(np.percentile(response.milliseconds, 95))),
        per_query_ms_batched=float(np.median(response.batch_milliseconds)) if response.batch_milliseconds else None,
        bytes=Traffic(response.bytes_alice, response.bytes_bob, None),
        rounds=response.rounds,
        key_bytes=None,
        peak_rss_mb=response.peak_rss_mb,
        security=peer.security,
        software={**software(), **response.versions},
        machine=machine(),
    )
