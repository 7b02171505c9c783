"""Rows of other systems beside ours: the same trained networks, the same test clips, the same networks between parties.

A row's parameter ``peer`` names the system; tables and the report mark such rows by it.  A peer that is not installed,
or a network that cannot be made for it here, is left out with one line that says why.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from torch import nn

from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model, named
from sotto.bench.experiment import Configuration
from sotto.bench.peers.job import PeerError, Request, Response, own_python, run, shapable
from sotto.bench.peers.workloads import CONVOLUTIONS, ENCRYPTION, SECRET_SHARING, Workload
from sotto.bench.rows import costs
from sotto.bench.rows.machine import software
from sotto.bench.rows.row import Interval, Row, Security, Spent, Timing, Traffic
from sotto.bench.suite import Failure, cells
from sotto.bench.workbench import Workbench
from sotto.he import experiment as cryptonet
from sotto.link import SHAPES
from sotto.mpc.crypten.torch_shim import CryptenMissing, load_crypten

SPU_PYTHON, OPENFHE_PYTHON = "SOTTO_SPU_PYTHON", "SOTTO_OPENFHE_PYTHON"
HELAYERS_PYTHON, ORION_PYTHON = "SOTTO_HELAYERS_PYTHON", "SOTTO_ORION_PYTHON"
_SINGLES = {"quick": 20, "full": 50}
_FEW = {"quick": 4, "full": 30}  # clips, where one takes seconds


@dataclass(frozen=True)
class Peer:
    """A system: its name in tables, the mode of its rows, the networks it evaluates, what it protects.

    ``command`` starts its program; ``missing`` says why there is none here.  ``one_process``: the system cannot send
    what it computes with, so its row is of a computation and of no link.
    """

    name: str
    mode: str
    workload: Workload
    security: Security
    command: Callable[[], list[str]]
    missing: Callable[[], str | None]
    one_process: bool = False

    def ask(
        self, module: nn.Module, queries: npt.NDArray[np.float32], classes: int, folder: Path, net: str, *,
        singles: int, warm_up: int = 1, batch: int, timeout: float = 1800.0, options: Sequence[str] = (),
    ) -> Response:  # fmt: skip
        """The answers of its program, started with ``options``, to ``queries`` (n, …) about a trained network.

        ``singles`` of them are asked one by one after ``warm_up`` others.  Raises ``ValueError`` for a network that it
        does not evaluate, and :class:`sotto.bench.peers.job.PeerError`.
        """
        described = self.workload.describe(module, queries.shape[1:])
        request = Request(
            network=described.shape, input_shape=list(queries.shape[1:]), classes=classes, examples=len(queries),
            singles=singles, warm_up=warm_up, batch=batch, timeout=timeout,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"queries": queries, **described.weights}
        return run([*self.command(), *options], request, arrays, folder, SHAPES[net])

    def fields(self, response: Response) -> dict[str, Any]:
        """What a response says of a single query and of its system, by the fields of a row."""
        return {
            "online_ms": costs.timing_of(response.milliseconds),
            "bytes": None if self.one_process else Traffic(response.bytes_alice, response.bytes_bob, None),
            "rounds": response.rounds,
            "peak_rss_mb": response.peak_rss_mb,
            "software": {**software(), **response.versions},
        }


def _crypten_missing() -> str | None:
    try:
        load_crypten()
    except CryptenMissing as error:
        return str(error)
    return None


def _elsewhere(
    name: str,
    mode: str,
    workload: Workload,
    security: Security,
    variable: str,
    install: str,
    *,
    one_process: bool = False,
) -> Peer:
    """A peer whose program ``<mode>_program.py`` needs the interpreter that an environment variable names.

    ``install`` says how to come by one.
    """

    def python() -> str | None:
        return shutil.which(os.environ.get(variable) or "")

    def missing() -> str | None:
        return None if python() else f"{variable} names no Python interpreter; to compare, {install}"

    program = Path(__file__).with_name("programs") / f"{mode.removeprefix('peer-')}_program.py"
    return Peer(name, mode, workload, security, lambda: [python() or "", str(program)], missing, one_process)


_UNCHECKED = msgspec.structs.replace(
    cryptonet.security(),
    leaks=f"{cryptonet.security().leaks}; a logit that overflows goes unnoticed",
    hides="yes",
)

PEERS = (
    Peer(
        "CrypTen over gloo",
        "peer-crypten",
        SECRET_SHARING,
        Security(
            adversary="semi-honest Bob (rank 1)",
            trusted="Alice (rank 0), who makes the correlated randomness and could open Bob's model",
            computational_bits=32,
            statistical_bits=None,
            leaks="to Alice the class and, if it looks, everything; masks of 32-bit strength; cheating goes unnoticed",
            broken="the masks are found in minutes",
        ),
        lambda: own_python("sotto.bench.peers.programs.crypten_program"),
        _crypten_missing,
    ),
    _elsewhere(
        "SPU SEMI2K",
        "peer-spu",
        SECRET_SHARING,
        Security(
            adversary="semi-honest Alice or Bob",
            trusted="rank 0, which makes the correlated randomness",
            computational_bits=128,
            statistical_bits=None,
            leaks="to Alice the class; the program is public; cheating goes unnoticed",
            hides="yes",
        ),
        SPU_PYTHON,
        "install spu into an environment of its own (python -m venv spu && spu/bin/pip install spu) and set"
        f" {SPU_PYTHON}=spu/bin/python",
    ),
    _elsewhere(
        "OpenFHE CKKS",
        "peer-openfhe",
        ENCRYPTION,
        _UNCHECKED,
        OPENFHE_PYTHON,
        "install openfhe into an environment of a Python it has a module for (python3.10 -m venv openfhe &&"
        f" openfhe/bin/pip install openfhe numpy) and set {OPENFHE_PYTHON}=openfhe/bin/python",
    ),
    _elsewhere(
        "HElayers CKKS",
        "peer-helayers",
        CONVOLUTIONS,
        _UNCHECKED,
        HELAYERS_PYTHON,
        "where its licence (no commercial use) suits you, install pyhelayers into an environment of its own"
        " (python3.11 -m venv helayers && helayers/bin/pip install pyhelayers onnx) and set"
        f" {HELAYERS_PYTHON}=helayers/bin/python",
    ),
    _elsewhere(
        "Orion CKKS",
        "peer-orion",
        CONVOLUTIONS,
        Security(
            adversary="none: one process has the speech, the secret key and the weights",
            trusted="whoever runs that process",
            computational_bits=128,
            statistical_bits=None,
            leaks="everything to that process: the row says what the computation takes",
            hides="no",
        ),
        ORION_PYTHON,
        "install orion-fhe into an environment of its own (python3.11 -m venv orion && orion/bin/pip install"
        f" orion-fhe) and set {ORION_PYTHON}=orion/bin/python",
        one_process=True,
    ),
)


def own_cells(paradigms: Sequence[str], preset: str) -> list[Configuration]:
    """A row of ours for each model that a peer which is here evaluates and that the preset leaves out."""
    here = _workloads(paradigms)
    there = {(cell.paradigm, cell.model) for cell in cells(paradigms, preset)}
    wanted = {(workload.paradigm, model) for workload in here for model in workload.models} - there
    full = {(cell.paradigm, cell.model): cell for cell in reversed(cells(paradigms, "full"))}
    return [cell for key, cell in full.items() if key in wanted]


def expected(paradigms: Sequence[str], preset: str, nets: int) -> int:
    """How many outcomes peers add on so many networks, rows of ours beside theirs included."""
    theirs = sum(len(workload.models) for workload in _workloads(paradigms))
    return nets * (theirs + len(own_cells(paradigms, preset)))


def _workloads(paradigms: Sequence[str]) -> list[Workload]:
    """What the peers of ``paradigms`` that are here evaluate, one each."""
    return [peer.workload for peer in PEERS if peer.workload.paradigm in paradigms and not peer.missing()]


def compare_peers(bench: Workbench, paradigms: Sequence[str], nets: Sequence[str]) -> Iterator[Row | Failure]:
    """Rows of every peer of ``paradigms`` that is installed, for the networks it evaluates, on each of ``nets``."""
    peers = [peer for peer in PEERS if peer.workload.paradigm in paradigms]
    if not peers:
        known = " and ".join(dict.fromkeys(peer.workload.paradigm for peer in PEERS))
        bench.say(f"there are no peers of {', '.join(paradigms)}: {known} have some")
    for peer in peers:
        if reason := peer.missing():
            bench.say(f"{peer.name} is left out: {reason}")
            continue
        for net in nets:
            if peer.one_process and SHAPES[net].shaped:
                bench.say(f"{peer.name} on {net} is left out: it runs as one process, with no link to shape")
                continue
            if reason := shapable(SHAPES[net]):
                bench.say(f"{peer.name} on {net} is left out: {reason}")
                continue
            for cell in peer.workload.cells(peer.mode, peer.name):
                try:
                    yield measure(peer, cell, bench, net)
                except (PeerError, ValueError, RuntimeError, OSError) as error:
                    bench.say(f"{cell} failed: {error}")
                    yield Failure(cell, error)


def measure(peer: Peer, cell: Configuration, bench: Workbench, net: str) -> Row:
    """One row.  Raises :class:`sotto.bench.peers.job.PeerError`."""
    emotion = emotion_model(named(cell.model, bench), bench)
    clips = min(bench.clips, _FEW[bench.preset]) if cell.model in peer.workload.slow else bench.clips
    order = np.random.default_rng(bench.seed).permutation(len(bench.split.test))[:clips]
    queries = bench.part(emotion.queries, "test")[order]
    truth = bench.part(bench.targets, "test")[order]
    bench.say(f"{cell}: asking {len(queries)} clips on {net}")
    response = peer.ask(
        emotion.module, queries, len(bench.classes), bench.folder, net,
        singles=min(_SINGLES[bench.preset], len(queries)), batch=peer.workload.batch,
    )  # fmt: skip
    if len(response.labels) != len(queries) or not response.milliseconds:
        raise PeerError("answers-missing", f"{peer.name} answered {len(response.labels)} of {len(queries)} clips")
    return _row(peer, cell, bench, net, emotion, queries, truth, response)


def _row(
    peer: Peer, cell: Configuration, bench: Workbench, net: str,
    emotion: EmotionModel, queries: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], response: Response,
) -> Row:  # fmt: skip
    """``queries`` (n, …) are the clips asked about, ``truth`` (n,) their classes."""
    labels = np.array(response.labels, np.int64)
    plain, scores = emotion.plain(queries)
    everywhere = emotion.plain(bench.part(emotion.queries, "test"))[0]
    comparable = len(labels) >= bench.clips
    private, plain_on_asked = (float(np.mean(found == truth)) for found in (labels, plain))
    fields = peer.fields(response)
    median, traffic = fields["online_ms"].median, fields["bytes"]
    return Row(
        paradigm=cell.paradigm,
        mode=cell.mode,
        model=cell.model,
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        n_queries=len(labels),
        parameters={**cell.parameters, "net": net},
        accuracy_plain=float(np.mean(everywhere == bench.part(bench.targets, "test"))),
        accuracy_private=private if comparable else None,
        accuracy_interval=Interval.of(int((labels == truth).sum()), len(labels)) if comparable else None,
        accuracy_loss=plain_on_asked - private if comparable else None,
        agreement=float(np.mean(labels == plain)),
        max_abs_error=None if response.scores is None else float(np.abs(np.array(response.scores) - scores).max()),
        metrics={
            "timed_queries": float(len(response.milliseconds)),
            "session_ms": response.setup_ms,
            "accuracy_plain_on_asked": plain_on_asked,
            "table_clips": float(bench.clips),
            **({} if traffic else {"processor_ms": 1e3 * sum(response.cpu_seconds.values())}),
        },
        offline_ms=Timing(response.setup_ms, response.setup_ms) if peer.workload.keys_ahead else None,
        per_query_ms_batched=float(np.median(response.batch_milliseconds)) if response.batch_milliseconds else None,
        key_bytes=response.key_bytes,
        total=None if traffic is None else Spent(median, traffic.alice + traffic.bob, response.cpu_seconds),
        security=peer.security,
        **fields,
    )
