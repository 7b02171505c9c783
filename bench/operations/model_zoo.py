"""Do the networks that people really have run privately?  Each kind of :mod:`sotto.bench.model_zoo`, in each of our
modes.

Every kind is asked about random features in class and in scores, by parties in processes of their own, and compared
with PyTorch: classes that agree, the largest error of a score, time, bytes, rounds.  A class that differs is listed in
``disagreements.csv`` with the margin between the two classes and how far the scores moved: a near tie is one where the
scores moved as far as the margin.  A kind that is refused gets a row too, with ``accepted`` 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from sotto import mpc
from sotto.bench import costs
from sotto.bench.machine import machine, software
from sotto.bench.model_zoo import KINDS, Kind
from sotto.bench.papers.bittner.agreement import MODES
from sotto.bench.parties.parties import Asked, Parties
from sotto.bench.parties.party import PartySpec
from sotto.bench.request import Request
from sotto.bench.results import write_whole
from sotto.bench.row import Row
from sotto.link import Link
from sotto.mpc import parties
from sotto.mpc.experiment import SECURITY
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR
from sotto.mpc.protocols.fixed_point_model import FixedPointModel

DESCRIPTION = "networks of many kinds asked privately, kind by kind (quick: 50 inputs, full: 200)"

_INPUTS = {"quick": 50, "full": 200}
_BATCH = 10
_TIMED = {"quick": 5, "full": 20}  # queries of one example
_LIMIT = 8.0
_TIMEOUT = 300.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Disagreement:
    """One input with another class: the margin between the two in plaintext, and how far its scores moved."""

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


def run(request: Request) -> list[Row]:
    """A row for each kind and mode."""
    rows: list[Row] = []
    found: list[Disagreement] = []
    models, refused = {}, {}
    for name, kind in KINDS.items():
        try:
            models[name] = FixedPointModel.of(kind.build(), kind.input_shape, input_limit=_LIMIT)
        except mpc.MpcError as error:
            refused[name] = str(error)
            request.say(f"{name} is refused: {error}")
    for mode in MODES:
        rows += [_row(mode, name, request.seed, {"accepted": 0.0}) for name in refused]
        for row, differing in _measured(mode, models, request):
            rows.append(row)
            found += differing
            request.say(f"{mode} {row.model}: agreement {row.agreement:.2f}, {len(differing)} disagreements")
    request.out.mkdir(parents=True, exist_ok=True)
    write_whole(request.out / "disagreements.csv", _table(found))
    return rows


def _measured(
    mode: mpc.Mode, models: Mapping[str, FixedPointModel], request: Request
) -> Iterator[tuple[Row, list[Disagreement]]]:
    """Each kind in two sessions: one that reveals the class, timed; one that reveals scores."""
    sessions = [_parts(name, mode, reveal) for name in models for reveal in ("class", "logits")]
    count, timed = _INPUTS[request.preset], _TIMED[request.preset]
    with Parties(sessions, timeout=_TIMEOUT) as parties:
        for name, model in models.items():
            kind = KINDS[name]
            generator = np.random.default_rng(request.seed)
            drawn = generator.normal(size=(count, *kind.input_shape)).clip(-_LIMIT, _LIMIT)
            features = drawn.astype(np.float32)
            prepared = parties.prepare()
            asked = [parties.ask(features[:1]) for _ in range(timed + 1)][1:]  # the first one warms everybody up
            labels = np.concatenate([parties.ask(part).labels for part in _batches(features)])
            parties.end_session()
            parties.prepare()
            scores = np.concatenate([_scores(parties.ask(part)) for part in _batches(features)])
            parties.end_session()
            plain = _plain(kind, features)
            differing = _disagreements(name, mode, labels, scores, plain)
            metrics: dict[str, float | None] = {
                "accepted": 1.0,
                "steps": float(len(model.program.steps)),
                "activation_error": DEFAULT_ACTIVATION_ERROR,
                "largest_score": float(np.abs(plain).max()),
                "disagreements": float(len(differing)),
                "disagreements_not_near_ties": float(sum(not each.near_tie for each in differing)),
                **costs.metrics([prepared], asked),
            }
            row = _row(mode, name, request.seed, metrics, asked, len(features))
            yield _answered(row, labels, scores, plain), differing
        parties.finish()


def _row(
    mode: mpc.Mode, name: str, seed: int, metrics: dict[str, float | None], asked: Sequence[Asked] = (), count: int = 0
) -> Row:
    online, offline = [each.online for each in asked], [each.offline for each in asked if each.offline]
    peaks = [count.peak_rss_mb for each in asked[-1:] for count in each.online.counts.values()]
    return Row(
        paradigm="mpc",
        mode=mode,
        model=name,
        corpus="none",
        split="none",
        seed=seed,
        n_queries=count,
        parameters={"net": "loopback", "idea": KINDS[name].source, "input_limit": _LIMIT},
        accuracy_plain=None,
        accuracy_private=None,
        agreement=None,
        max_abs_error=None,
        metrics=metrics,
        published={},
        offline_ms=costs.timing(offline),
        online_ms=costs.timing(online),
        per_query_ms_batched=None,
        bytes=costs.traffic(online) if online else None,
        rounds=costs.rounds(online) if online else None,
        key_bytes=costs.sent(offline, "dealer") if offline else None,
        peak_rss_mb=round(max(peaks), 1) if peaks else None,
        security=SECURITY[mode],
        software=software(),
        machine=machine(),
    )


def _answered(row: Row, labels: npt.NDArray[np.int64], scores: Floats, plain: Floats) -> Row:
    agreement = float(np.mean(labels == plain.argmax(axis=1)))
    return msgspec.structs.replace(row, agreement=agreement, max_abs_error=float(np.abs(scores - plain).max()))


def _batches(features: Floats) -> list[Floats]:
    return [features[start : start + _BATCH] for start in range(0, len(features), _BATCH)]


def _scores(asked: Asked) -> Floats:
    if asked.scores is None:
        raise ValueError("a session that reveals scores gave none")
    return asked.scores


def _plain(kind: Kind, features: Floats) -> Floats:
    with torch.no_grad():
        result: Any = kind.build()(torch.from_numpy(features))
    scores: Floats = (result["logits"] if isinstance(result, dict) else result).numpy()
    return scores


def _disagreements(
    name: str, mode: str, labels: npt.NDArray[np.int64], scores: Floats, plain: Floats
) -> list[Disagreement]:
    classes = plain.argmax(axis=1)
    moved = np.abs(scores - plain).max(axis=1)
    return [
        Disagreement(
            name, mode, int(i), int(labels[i]), int(classes[i]),
            float(plain[i, classes[i]] - plain[i, labels[i]]), float(moved[i]),
        )
        for i in np.flatnonzero(labels != classes)
    ]  # fmt: skip


def _table(found: Sequence[Disagreement]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["model", "mode", "input", "private", "plain", "margin", "scores_moved", "near_tie"])
    for each in found:
        writer.writerow(
            [each.kind, each.mode, each.number, each.private, each.plain, f"{each.margin:.3e}", f"{each.moved:.3e}",
             each.near_tie]
        )  # fmt: skip
    return out.getvalue()


def _parts(name: str, mode: mpc.Mode, reveal: mpc.Reveal) -> Mapping[str, PartySpec]:
    """Alice, Bob with the network of this name, and the dealer, each to run in a process."""
    job = {"mode": mode, "reveal": reveal}
    return {
        "alice": PartySpec(parties.alice, job),
        "bob": PartySpec(_bob, {**job, "name": name}),
        "dealer": PartySpec(parties.dealer, {"mode": mode}),
    }


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Bob:
    kind = KINDS[job["name"]]
    return mpc.Bob(
        kind.build(), links["dealer"], mode=job["mode"], reveal=job["reveal"], input_shape=kind.input_shape,
        input_limit=_LIMIT,
    )  # fmt: skip
