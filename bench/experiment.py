"""One experiment: two parties answer a test set privately, and what that cost becomes a row.

The measurement is the same for every paradigm.  A session is prepared (offline), one query warms the processes up,
then ``singles`` queries of one clip are timed one by one (online), then the rest of the test clips go in batches.  All
answers count for accuracy and agreement.  Further sessions repeat the preparation, for its spread.  Scores, which most
paradigms keep from Alice by default, are asked for in a last session of their own, so that revealing them costs the
timed queries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from audio import Clip
from bench.control import Answered, Count, Prepared, Report, difference
from bench.machine import machine, software
from bench.parties import Parties
from bench.party import Part
from bench.row import JSONValue, Row, Security, Timing, Traffic
from link import SHAPES

Say = Callable[[str], None]
Attack = Callable[[], Mapping[str, float]]
Plain = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]]


@dataclass(frozen=True)
class Cell:
    """Which row: a paradigm's mode on a model with these parameters."""

    paradigm: str
    mode: str
    model: str
    parameters: Mapping[str, JSONValue]

    def __str__(self) -> str:
        settings = " ".join(f"{key}={value}" for key, value in self.parameters.items() if key != "net")
        return f"{self.paradigm}/{self.mode} {self.model} {settings}".strip()


@dataclass(frozen=True)
class Plan:
    """How much is asked: sessions, queries of one clip, clips in a batch (0: the paradigm has none), clips in all."""

    singles: int
    batch: int
    clips: int
    sessions: int = 1
    scored: int = 16
    timeout: float = 120.0


@dataclass(frozen=True)
class Experiment:
    """A paradigm ready to run on a test split.

    ``queries`` (n, …) float32 are the test clips as Alice's door takes them, ``truth`` (n,) their classes; ``query``
    makes the same of any clip, (1, …).  ``plain`` is the plaintext model: queries to class indices (n,) and, where they
    can be compared with the private ones, scores (n, classes).  ``score_parts`` are the parties of a session that
    reveals scores.
    ``attacks`` by name run the paradigm's attackers and return metrics named ``attack_…``; ``extra`` other metrics.
    """

    cell: Cell
    parts: Mapping[str, Part]
    queries: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    query: Callable[[Clip], npt.NDArray[np.float32]]
    plain: Plain
    security: Security
    plan: Plan
    score_parts: Mapping[str, Part] | None = None
    key_bytes: int | None = None
    keys_are_sent: bool = False
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, float | None] = field(default_factory=dict)


@dataclass
class _Run:
    """What the timed run gave."""

    prepared: list[Prepared] = field(default_factory=list)
    singles: list[Answered] = field(default_factory=list)
    batches: list[tuple[int, Answered]] = field(default_factory=list)
    scores: npt.NDArray[np.float32] | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)


def run(experiment: Experiment, *, corpus: str, split: str, seed: int, net: str, say: Say) -> Row:
    """Run the parties and the attackers of one experiment and return its row.

    Raises :class:`bench.parties.PartyError` when a party fails.
    """
    order = np.random.default_rng(seed).permutation(len(experiment.queries))  # any first few are a fair sample
    queries, truth = experiment.queries[order], experiment.truth[order]
    timed = _timed_run(experiment, queries, net, say)
    answers = timed.singles + [answered for _, answered in timed.batches]
    labels = np.concatenate([answered.labels.numpy(dtype="int64", shape=(None,)) for answered in answers])
    n = len(labels)
    plain_labels, plain_scores = experiment.plain(queries)
    metrics: dict[str, float | None] = {key: float(value) for key, value in experiment.extra.items()}
    metrics["timed_queries"], metrics["timed_sessions"] = float(len(timed.singles)), float(len(timed.prepared))
    metrics["accuracy_plain_on_asked"] = _share(plain_labels[:n] == truth[:n])
    metrics["offline_bytes"] = float(_total(timed.prepared[0].traffic))  # on Alice's links
    metrics |= {f"{role}_rss_mb": round(report.peak_rss_mb, 1) for role, report in timed.reports.items()}
    for name, attack in experiment.attacks.items():
        say(f"{experiment.cell}: attack {name}")
        try:
            metrics |= {key: float(value) for key, value in attack().items()}
        except (ValueError, RuntimeError) as error:
            say(f"{experiment.cell}: attack {name} could not be run: {error}")
    sent = experiment.key_bytes
    if experiment.keys_are_sent:
        sent = timed.prepared[0].traffic.sent
    for role, report in timed.reports.items():
        for note in report.notes:
            say(f"{experiment.cell}: {role}: {note}")
    return Row(
        paradigm=experiment.cell.paradigm,
        mode=experiment.cell.mode,
        model=experiment.cell.model,
        corpus=corpus,
        split=split,
        seed=seed,
        n_queries=n,
        parameters={**experiment.cell.parameters, "net": net},
        accuracy_plain=_share(plain_labels == truth),
        accuracy_private=_share(labels == truth[:n]),
        agreement=_share(labels == plain_labels[:n]),
        max_abs_error=_largest_difference(timed.scores, plain_scores),
        metrics=metrics,
        published=dict(experiment.published),
        offline_ms=_timing([prepared.milliseconds for prepared in timed.prepared]),
        online_ms=_timing([answered.milliseconds for answered in timed.singles]),
        per_query_ms_batched=_batched(timed.batches, experiment.plan.batch),
        bytes=_traffic(timed),
        rounds=round(float(np.median([answered.traffic.rounds for answered in timed.singles]))),
        key_bytes=sent,
        peak_rss_mb=round(max(report.peak_rss_mb for report in timed.reports.values()), 1),
        security=experiment.security,
        software=software(),
        machine=machine(),
    )


def _timed_run(experiment: Experiment, queries: npt.NDArray[np.float32], net: str, say: Say) -> _Run:
    plan = experiment.plan
    clips = min(plan.clips, len(queries))
    singles = min(plan.singles, clips)
    result = _Run()
    say(f"{experiment.cell}: starting {len(experiment.parts)} processes")
    sessions = [experiment.parts] * plan.sessions
    if experiment.score_parts:
        sessions.append(experiment.score_parts)
    with Parties(sessions, SHAPES[net], plan.timeout) as parties:
        result.prepared.append(parties.prepare())
        say(f"{experiment.cell}: asking {clips} clips, {singles} of them one by one")
        parties.ask(queries[:1])  # warm-up, asked again below
        result.singles = [parties.ask(queries[i : i + 1]) for i in range(singles)]
        for start in range(singles, clips, plan.batch or 1):
            stop = min(start + (plan.batch or 1), clips)
            result.batches.append((stop - start, parties.ask(queries[start:stop])))
        parties.end_session()
        for _ in range(plan.sessions - 1):
            result.prepared.append(parties.prepare())
            parties.end_session()
        if experiment.score_parts:
            result.scores = _scores(parties, queries, plan)
        result.reports = parties.finish()
    return result


def _scores(parties: Parties, queries: npt.NDArray[np.float32], plan: Plan) -> npt.NDArray[np.float32]:
    """Scores of the first ``plan.scored`` queries, in a session of their own whose parts reveal them."""
    n = min(plan.scored, len(queries))
    step = plan.batch or 1
    parties.prepare()
    parts = []
    for start in range(0, n, step):
        stop = min(start + step, n)
        answered = parties.ask(queries[start:stop])
        if answered.scores is None:
            raise ValueError("the session that reveals scores revealed none")
        parts.append(answered.scores.numpy(dtype="float32", shape=(stop - start, None)))
    parties.end_session()
    return np.concatenate(parts)


def _largest_difference(scores: npt.NDArray[np.float32] | None, plain: npt.NDArray[np.float32] | None) -> float | None:
    """Largest absolute difference between private and plaintext scores, where both are known."""
    return None if scores is None or plain is None else float(np.abs(scores - plain[: len(scores)]).max())


def _traffic(timed: _Run) -> Traffic:
    """Median bytes of each party over the queries of one clip; the dealer's are counted where they arrive."""
    after = timed.reports["bob"].after_answers
    # Bob's answer k belongs to ask k; ask 0 was the warm-up, which at Bob includes the preparation.
    bob = [difference(after[k], after[k - 1]) for k in range(1, 1 + len(timed.singles))]
    alice = [answered.traffic for answered in timed.singles]
    dealer = None
    if "dealer" in timed.reports:
        dealer = _median([a.from_dealer + b.from_dealer for a, b in zip(alice, bob, strict=True)])
    return Traffic(_median([count.sent for count in alice]), _median([count.sent for count in bob]), dealer)


def _batched(batches: Sequence[tuple[int, Answered]], size: int) -> float | None:
    full = [answered.milliseconds / count for count, answered in batches if count == size > 1]
    return float(np.median(full)) if full else None


def _timing(milliseconds: Sequence[float]) -> Timing:
    return Timing(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)))


def _median(values: Sequence[int]) -> int:
    return round(float(np.median(values)))


def _total(count: Count) -> int:
    return count.sent + count.from_bob + count.from_dealer


def _share(hits: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(hits))
