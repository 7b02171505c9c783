"""Do the networks that people really have run privately?  Each kind of :mod:`sotto.bench.model_zoo`, in each mode of
`mpc` and by each of its peers (:mod:`sotto.bench.peers`).

Every kind is asked about random features in class and in scores, by parties in processes of their own, and compared
with PyTorch: classes that agree, the largest error of a score, time, bytes, rounds.  A class that differs is listed in
``disagreements.csv`` with the margin between the two classes and how far the scores moved: a near tie is one where the
scores moved as far as the margin.  Peers tell the class alone, so no score of theirs moved that we know of.  A kind
that is refused gets a row too, with ``accepted`` 0 and the reason.  ``model-zoo.md`` holds all rows as tables.  With
``SOTTO_CELLS`` (such as ``mpc/malicious,mpc/peer-spu``) the zoo is asked in these modes and by these peers alone.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from sotto import mpc
from sotto.bench.model_zoo import KINDS, Kind
from sotto.bench.operations import model_zoo_table
from sotto.bench.operations.parties import configurations
from sotto.bench.parties.parties import Asked, Parties, PartyError
from sotto.bench.parties.party import PartySpec
from sotto.bench.peers.comparison import PEERS, Peer
from sotto.bench.peers.job import PeerError
from sotto.bench.peers.workloads import SECRET_SHARING
from sotto.bench.request import Request
from sotto.bench.rows import costs, results
from sotto.bench.rows.machine import machine
from sotto.bench.rows.row import JSONValue, Row, Security
from sotto.link import BadValue
from sotto.link.storage import write_whole
from sotto.mpc import parties
from sotto.mpc.experiment import SECURITY
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR
from sotto.mpc.modes import needs_dealer

DESCRIPTION = "networks of many kinds asked privately, kind by kind (quick: 50 inputs, full: 200)"

#: The strongest first; stock CrypTen over our links last.
MODES: tuple[mpc.Mode, ...] = tuple(reversed(get_args(mpc.Mode)))

_INPUTS = {"quick": 50, "full": 200}
_BATCH = 10
_TIMED = {"quick": 5, "full": 20}  # queries of one example
_LIMIT = 8.0
_TIMEOUT = 300.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Disagreement:
    """One input with another class: the margin between the two in plaintext, and how far its scores moved."""

    COLUMNS: ClassVar = ("model", "mode", "input", "private", "plain", "margin", "scores_moved", "near_tie")

    kind: str
    mode: str
    number: int
    private: int
    plain: int
    margin: float
    moved: float

    @property
    def near_tie(self) -> bool:
        return self.margin <= 2 * self.moved

    @property
    def line(self) -> tuple[object, ...]:
        """Of the table, under :data:`COLUMNS`."""
        whole = (self.kind, self.mode, self.number, self.private, self.plain)
        return (*whole, f"{self.margin:.3e}", f"{self.moved:.3e}", self.near_tie)


def run(request: Request) -> Iterator[Row]:
    """A row for each kind and mode, then for each kind and peer."""
    rows: list[Row] = []
    found: list[Disagreement] = []
    modes, peers = _asked_ones(request)
    request.out.mkdir(parents=True, exist_ok=True)
    questions = {name: _Question.of(kind, request) for name, kind in KINDS.items()}
    measured = itertools.chain(
        *(_asked_in(mode, questions, request) for mode in modes),
        (_asked_of_peer(peer, name, question, request) for peer in peers for name, question in questions.items()),
    )
    for row, differing in measured:
        rows.append(row)
        found += differing
        write_whole(request.out / "model-zoo.md", model_zoo_table.markdown(rows))
        yield row
    results.write_csv(request.out / "disagreements.csv", Disagreement.COLUMNS, [each.line for each in found])


def _asked_ones(request: Request) -> tuple[list[mpc.Mode], list[Peer]]:
    """Modes and peers to ask: all, or those that ``SOTTO_CELLS`` names; a peer that is not installed is left out."""
    modes = {f"mpc/{mode}": mode for mode in MODES}
    peers = {f"mpc/{peer.mode}": peer for peer in PEERS if peer.workload is SECRET_SHARING}
    names = configurations.confined([*modes, *peers])
    present = []
    for peer in (peers[name] for name in names if name in peers):
        if missing := peer.missing():
            request.say(f"{peer.name} is left out: {missing}")
        else:
            present.append(peer)
    return [modes[name] for name in names if name in modes], present


_Measured = tuple[Row, list[Disagreement]]


@dataclass(frozen=True, eq=False)
class _Question:
    """A kind, read once for all modes; the examples to ask about, and what PyTorch gives.  ``lowered``: or why not."""

    kind: Kind
    lowered: mpc.LoweredModel | mpc.ModelRefused
    features: Floats
    plain: Floats

    @classmethod
    def of(cls, kind: Kind, request: Request) -> _Question:
        lowered: mpc.LoweredModel | mpc.ModelRefused
        try:
            lowered = mpc.LoweredModel.of(kind.build(), kind.input_shape, input_limit=_LIMIT)
        except mpc.ModelRefused as error:
            lowered = error
        generator = np.random.default_rng(request.seed)
        drawn = generator.normal(size=(_INPUTS[request.preset], *kind.input_shape)).clip(-_LIMIT, _LIMIT)
        features = drawn.astype(np.float32)
        return cls(kind, lowered, features, _plain(kind, features))

    def bob(self, mode: mpc.Mode) -> mpc.Bob:
        """Raises :class:`sotto.mpc.ModelRefused`."""
        if isinstance(self.lowered, mpc.ModelRefused):
            raise self.lowered
        return mpc.Bob(self.lowered, None, mode=mode, reveal="logits")


def _refused(mode: str, security: Security, name: str, reason: str, request: Request) -> _Measured:
    request.say(f"{mode}: {name} is refused: {reason}")
    return _row(mode, security, name, request.seed, {"accepted": 0.0}, refused=reason), []


def _asked_in(mode: mpc.Mode, questions: Mapping[str, _Question], request: Request) -> Iterator[_Measured]:
    """Each kind in two sessions: one that reveals the class, timed; one that reveals scores."""
    bobs = {}
    for name, question in questions.items():
        try:
            bobs[name] = question.bob(mode)
        except mpc.MpcError as error:
            yield _refused(mode, SECURITY[mode], name, str(error), request)
    dealer = PartySpec(parties.dealer, {"mode": mode}, parties.warm_up_dealer)
    waiting = list(bobs)
    while waiting:
        sessions = [each for name in waiting for each in _sessions(bobs[name], mode, dealer)]
        with Parties(sessions, timeout=_TIMEOUT) as running:
            while waiting:
                name = waiting.pop(0)
                try:
                    yield _asked(running, mode, name, questions[name], request)
                except PartyError as error:  # this one is over, others go on with parties of their own
                    yield _refused(mode, SECURITY[mode], name, str(error), request)
                    break


def _asked(parties: Parties, mode: mpc.Mode, name: str, question: _Question, request: Request) -> _Measured:
    features, plain, timed = question.features, question.plain, _TIMED[request.preset]
    prepared = parties.prepare()
    asked = [parties.ask(features[:1]) for _ in range(timed + 1)][1:]  # the first one warms everybody up
    labels = np.concatenate([parties.ask(part).labels for part in _batches(features)])
    parties.end_session()
    parties.prepare()
    scores = np.concatenate([_scores(parties.ask(part)) for part in _batches(features)])
    parties.end_session()
    differing = _disagreements(name, mode, labels, plain, np.abs(scores - plain).max(axis=1))
    metrics: dict[str, float | None] = {
        "accepted": 1.0,
        "activation_error": DEFAULT_ACTIVATION_ERROR,
        "largest_score": float(np.abs(plain).max()),
        **_counted(differing),
        **costs.metrics([prepared], asked),
    }
    row = msgspec.structs.replace(
        _row(mode, SECURITY[mode], name, request.seed, metrics),
        n_queries=len(features),
        agreement=float(np.mean(labels == plain.argmax(axis=1))),
        max_abs_error=float(np.abs(scores - plain).max()),
        **costs.fields(asked),
    )
    return _told(row, differing, request)


def _asked_of_peer(peer: Peer, name: str, question: _Question, request: Request) -> _Measured:
    """The same examples asked of another system, the first few one by one."""
    kind, features, plain, timed = question.kind, question.features, question.plain, _TIMED[request.preset]
    try:
        answer = peer.ask(
            kind.build(), features, plain.shape[1], request.out, "loopback",
            singles=timed, batch=_BATCH, timeout=_TIMEOUT,
        )  # fmt: skip
    except (mpc.MpcError, PeerError) as error:
        return _refused(peer.mode, peer.security, name, str(error), request)
    labels = np.array(answer.labels, np.int64)
    differing = _disagreements(name, peer.mode, labels, plain, np.zeros(len(features)))
    row = msgspec.structs.replace(
        _row(peer.mode, peer.security, name, request.seed, {"accepted": 1.0, **_counted(differing)}),
        n_queries=len(labels),
        agreement=float(np.mean(labels == plain.argmax(axis=1))),
        **peer.fields(answer),
    )
    return _told(row, differing, request)


def _counted(differing: Sequence[Disagreement]) -> dict[str, float | None]:
    return {
        "disagreements": float(len(differing)),
        "disagreements_not_near_ties": float(sum(not each.near_tie for each in differing)),
    }


def _told(row: Row, differing: list[Disagreement], request: Request) -> _Measured:
    request.say(f"{row.mode} {row.model}: agreement {row.agreement:.2f}, {len(differing)} disagreements")
    return row, differing


def _row(
    mode: str, security: Security, name: str, seed: int, metrics: dict[str, float | None], refused: str | None = None
) -> Row:
    """A row that says what was asked of whom, and why it was refused."""
    parameters: dict[str, JSONValue] = {"net": "loopback", "idea": KINDS[name].source, "input_limit": _LIMIT}
    return Row(
        paradigm="mpc", mode=mode, model=name, seed=seed, n_queries=0, security=security,
        metrics={**metrics, "load": round(os.getloadavg()[0], 1)},
        parameters=parameters | ({} if refused is None else {"refused": refused}), machine=machine(),
    )  # fmt: skip


def _batches(features: Floats) -> list[Floats]:
    return [features[start : start + _BATCH] for start in range(0, len(features), _BATCH)]


def _scores(asked: Asked) -> Floats:
    if asked.scores is None:
        raise BadValue("no-scores", "a session that reveals scores gave none")
    return asked.scores


def _plain(kind: Kind, features: Floats) -> Floats:
    with torch.no_grad():
        result: Any = kind.build()(torch.from_numpy(features))
    scores: Floats = (result["logits"] if isinstance(result, dict) else result).numpy()
    return scores


def _disagreements(
    name: str, mode: str, labels: npt.NDArray[np.int64], plain: Floats, moved: npt.NDArray[np.floating]
) -> list[Disagreement]:
    """``moved`` (n,): how far the largest score of each example moved."""
    classes = plain.argmax(axis=1)
    return [
        Disagreement(
            name, mode, int(i), int(labels[i]), int(classes[i]),
            float(plain[i, classes[i]] - plain[i, labels[i]]), float(moved[i]),
        )
        for i in np.flatnonzero(labels != classes)
    ]  # fmt: skip


def _sessions(bob: mpc.Bob, mode: mpc.Mode, dealer: PartySpec) -> list[Mapping[str, PartySpec]]:
    """Alice, Bob with his network, and the dealer where there is one, each to run in a process."""
    others = {"bob": PartySpec(parties.bob, {"bob": bob, "mode": mode}, parties.warm_up)} | (
        {"dealer": dealer} if needs_dealer(mode) else {}
    )
    return [
        {"alice": PartySpec(parties.alice, {"mode": mode, "reveal": reveal}), **others}
        for reveal in ("class", "logits")
    ]  # fmt: skip
