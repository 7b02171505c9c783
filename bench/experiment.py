"""One experiment: two parties answer a test set privately, and what that cost becomes a row.

The measurement is the same for every paradigm.  A session is prepared, some queries warm the processes up, then
``singles`` queries of one clip are timed one by one (online), then the rest of the test clips go in batches.  A
paradigm that makes something ready for each query does so before the clock of that query starts, and is timed and
counted apart (offline).  All answers count for accuracy and agreement.  Further sessions repeat the preparation, for
its spread.  Scores, which most paradigms keep from Alice by default, are asked for in a last session of their own, so
that revealing them costs the timed queries nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sotto.audio import Clip
from sotto.bench.parties.control import Report
from sotto.bench.parties.parties import Asked, Parties, Phase
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows import costs
from sotto.bench.rows.energy import EnergyMeter
from sotto.bench.rows.machine import machine, software
from sotto.bench.rows.row import FeaturesAt, Interval, JSONValue, Row, Security
from sotto.link import SHAPES, BadValue

if TYPE_CHECKING:
    from torch import nn

Say = Callable[[str], None]
Quiet = Callable[[], AbstractContextManager[object]]
Attack = Callable[[], Mapping[str, float | None]]
Reconstruct = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32] | None]
Plain = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]]


@dataclass(frozen=True)
class Configuration:
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
    """How much is asked: queries of one clip, clips in all, clips in a batch (0: the paradigm has none), sessions.

    ``table``: clips that the rows beside it are asked.  A row that is too slow for all of them has no accuracy.
    """

    singles: int
    clips: int
    table: int = 0
    batch: int = 0
    sessions: int = 1
    scored: int = 16
    warm_up: int = 1
    timeout: float = 120.0


@dataclass(frozen=True)
class Task:
    """What is asked about which sounds, where that is not the workbench's label of the workbench's corpus.

    ``label`` names what the ``classes`` are of (``event``); ``clip`` is a test clip to show; ``notice`` belongs beside
    every score.
    """

    corpus: str
    split: str
    label: str
    classes: tuple[str, ...]
    clip: Clip
    notice: str | None = None


@dataclass(frozen=True)
class Experiment:
    """A paradigm ready to run on a test split.

    ``queries`` (n, …) float32 are the test clips as Alice's door takes them, ``truth`` (n,) their classes; ``query``
    makes the same of any clip, (1, …).  ``plain`` is the plaintext model: queries to class indices (n,) and, where they
    can be compared with the private ones, scores (n, classes).  ``score_parts`` are the parties of a session that
    reveals scores.
    ``attacks`` by name run the paradigm's attackers and return metrics named ``attack_…``; ``slow_attacks`` are run by
    ``sotto attack`` alone; ``extra`` other metrics.
    ``adversary`` starts parties of which one may cheat, about a query; None: nobody can cheat here.
    ``task`` is given where queries and truth are of other sounds and classes than the workbench's.
    ``reconstruct`` is an attacker at Bob's place: numbers he received of one query, (1, …), to speech in the form of
    ``queries``, or None where he gives up; it is for showing and may take a minute.
    ``network`` is the plaintext model where it stands alone, for a row without privacy (:mod:`sotto.bench.baseline`).
    ``features_at`` as in :class:`sotto.bench.rows.row.Row`.
    """

    cell: Configuration
    parts: Mapping[str, PartySpec]
    queries: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    query: Callable[[Clip], npt.NDArray[np.float32]]
    plain: Plain
    security: Security
    plan: Plan
    score_parts: Mapping[str, PartySpec] | None = None
    key_bytes: int | None = None
    keys_are_sent: bool = False
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    slow_attacks: Mapping[str, Attack] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, float | None] = field(default_factory=dict)
    adversary: Callable[[npt.NDArray[np.float32]], AbstractContextManager[Any]] | None = None
    task: Task | None = None
    reconstruct: Reconstruct | None = None
    network: nn.Module | None = None
    features_at: FeaturesAt = "none"


@dataclass
class _Run:
    """One experiment's run, step by step, and what it gave."""

    experiment: Experiment
    order: npt.NDArray[np.int64]
    prepared: list[Phase] = field(default_factory=list)
    singles: list[Asked] = field(default_factory=list)
    batches: list[Asked] = field(default_factory=list)
    scores: npt.NDArray[np.float32] | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)
    provisions: bool = False
    energy: EnergyMeter = field(default_factory=EnergyMeter)

    def __post_init__(self) -> None:
        self.queries, self.truth = self.experiment.queries[self.order], self.experiment.truth[self.order]
        plan = self.experiment.plan
        self.clips = min(plan.clips, len(self.queries))
        self.singles_wanted = min(plan.singles, self.clips)

    @property
    def offline(self) -> list[Phase]:
        """What was prepared for each query of one clip."""
        return [asked.offline for asked in self.singles if asked.offline]

    def start(self, stack: contextlib.ExitStack, net: str, say: Say) -> None:
        """Start the processes; ``stack`` stops them."""
        experiment, plan = self.experiment, self.experiment.plan
        say(f"{experiment.cell}: starting {len(experiment.parts)} processes")
        sessions = [experiment.parts] * plan.sessions
        if experiment.score_parts:
            sessions.append(experiment.score_parts)
        self._parties = stack.enter_context(Parties(sessions, SHAPES[net], plan.timeout))
        say(f"{experiment.cell}: asking {self.clips} clips, {self.singles_wanted} of them one by one")

    def begin(self) -> None:
        """Prepare the first session and warm it up."""
        self.prepared.append(self._parties.prepare())
        self.provisions = self._parties.provisions
        for number in range(min(self.experiment.plan.warm_up, self.clips)):
            self._parties.ask(self.queries[number : number + 1])  # asked again below

    def ask_single(self, number: int) -> None:
        """The timed query of clip ``number``, if there is one."""
        if number < self.singles_wanted:
            with self.energy:
                self.singles.append(self._parties.ask(self.queries[number : number + 1]))

    def go_on(self) -> None:
        """The batches and the further sessions."""
        parties, plan = self._parties, self.experiment.plan
        step = plan.batch or 1
        for start in range(self.singles_wanted, self.clips, step):
            self.batches.append(parties.ask(self.queries[start : min(start + step, self.clips)]))
        parties.end_session()
        for _ in range(plan.sessions - 1):
            self.prepared.append(parties.prepare())
            parties.end_session()

    def end(self) -> None:
        """The scores, which nobody times; the processes end of themselves."""
        if self.experiment.score_parts:
            self.scores = _scores(self._parties, self.queries, self.experiment.plan)
        self.reports = self._parties.finish()


def run(
    experiment: Experiment, *, corpus: str, split: str, seed: int, net: str, say: Say, quiet: Quiet = nullcontext
) -> Row:
    """Run the parties and the attackers of one experiment and return its row.

    ``quiet`` is entered while anything is timed.  Raises :class:`sotto.bench.parties.parties.PartyError` when a party
    fails.
    """
    return run_side_by_side([experiment], corpus=corpus, split=split, seed=seed, net=net, say=say, quiet=quiet)[0]


def run_side_by_side(
    experiments: Sequence[Experiment],
    *,
    corpus: str,
    split: str,
    seed: int,
    net: str,
    say: Say,
    quiet: Quiet = nullcontext,
) -> list[Row]:
    """The rows of experiments whose timed queries take turns, so that a moody machine is moody to all of them alike.

    All their processes stand at the same time, and one query is asked at a time.  Raises like :func:`run`.
    """
    runs = [_Run(experiment, _order(experiment, seed)) for experiment in experiments]
    with contextlib.ExitStack() as stack:
        for each in runs:
            each.start(stack, net, say)
        with quiet():
            for each in runs:
                each.begin()
            for number in range(max(each.singles_wanted for each in runs)):
                for each in runs:
                    each.ask_single(number)
            for each in runs:
                each.go_on()
        for each in runs:
            each.end()
    return [_row(each, corpus=corpus, split=split, seed=seed, net=net, say=say) for each in runs]


def _order(experiment: Experiment, seed: int) -> npt.NDArray[np.int64]:
    """The clips shuffled, so that any first few are a fair sample."""
    return np.random.default_rng(seed).permutation(len(experiment.queries))


def _row(timed: _Run, *, corpus: str, split: str, seed: int, net: str, say: Say) -> Row:
    experiment, queries, truth = timed.experiment, timed.queries, timed.truth
    labels = np.concatenate([asked.labels for asked in timed.singles + timed.batches])
    online = [asked.online for asked in timed.singles]
    n = len(labels)
    plain_labels, plain_scores = experiment.plain(queries)
    metrics: dict[str, float | None] = {key: float(value) for key, value in experiment.extra.items()}
    metrics["timed_queries"], metrics["timed_sessions"] = float(len(timed.singles)), float(len(timed.prepared))
    metrics["accuracy_plain_on_asked"] = plain_on_asked = _share(plain_labels[:n] == truth[:n])
    comparable = n >= min(experiment.plan.table, len(queries))
    if experiment.plan.table:
        metrics["table_clips"] = float(min(experiment.plan.table, len(queries)))
    right = labels == truth[:n]
    metrics |= costs.metrics(timed.prepared, timed.singles)
    online_batched, offline_batched = costs.batched(timed.batches, experiment.plan.batch)
    if offline_batched is not None:
        metrics["offline_ms_batched"] = offline_batched
    metrics |= {f"{role}_rss_mb": round(report.peak_rss_mb, 1) for role, report in timed.reports.items()}
    metrics |= reached(experiment, say)
    sent = experiment.key_bytes
    if experiment.keys_are_sent:
        sent = timed.prepared[0].counts["alice"].sent
    if timed.offline and "dealer" in timed.reports:
        sent = costs.sent(timed.offline, "dealer")
    for role, report in timed.reports.items():
        for note in report.notes:
            say(f"{experiment.cell}: {role}: {note}")
    return Row(
        paradigm=experiment.cell.paradigm,
        mode=experiment.cell.mode,
        model=experiment.cell.model,
        corpus=experiment.task.corpus if experiment.task else corpus,
        split=experiment.task.split if experiment.task else split,
        seed=seed,
        n_queries=n,
        parameters={**experiment.cell.parameters, "net": net},
        features_at=experiment.features_at,
        accuracy_plain=_share(plain_labels == truth),
        accuracy_private=_share(right) if comparable else None,
        accuracy_interval=Interval.of(int(right.sum()), n) if comparable else None,
        accuracy_loss=plain_on_asked - _share(right) if comparable else None,
        agreement=_share(labels == plain_labels[:n]),
        max_abs_error=_largest_difference(timed.scores, plain_scores),
        metrics=metrics,
        published=dict(experiment.published),
        offline_ms=costs.timing(timed.offline if timed.provisions else timed.prepared),
        online_ms=costs.timing(online),
        per_query_ms_batched=online_batched,
        bytes=costs.traffic(online),
        rounds=costs.rounds(online),
        key_bytes=sent,
        peak_rss_mb=round(max(report.peak_rss_mb for report in timed.reports.values()), 1),
        total=costs.spent(timed.offline, online),
        session=costs.spent(timed.prepared),
        energy_joules=timed.energy.joules(len(timed.singles)),
        security=experiment.security,
        software=software(),
        machine=machine(),
    )


def reached(experiment: Experiment, say: Say) -> dict[str, float | None]:
    """What the attackers of an experiment reach, by the names of the metrics."""
    metrics: dict[str, float | None] = {}
    for name, attack in experiment.attacks.items():
        say(f"{experiment.cell}: attack {name}")
        try:
            metrics |= {key: None if value is None else float(value) for key, value in attack().items()}
        except Exception as error:  # whatever it is, its figures stay blank and the row is not lost for it
            metrics["attacks_that_failed"] = (metrics.get("attacks_that_failed") or 0.0) + 1.0
            say(f"{experiment.cell}: attack {name} could not be run: {type(error).__name__}: {error}")
    return metrics


def _scores(parties: Parties, queries: npt.NDArray[np.float32], plan: Plan) -> npt.NDArray[np.float32]:
    """Scores of the first ``plan.scored`` queries, in a session of their own whose parts reveal them."""
    n = min(plan.scored, len(queries))
    step = plan.batch or 1
    parties.prepare()
    parts = []
    for start in range(0, n, step):
        stop = min(start + step, n)
        asked = parties.ask(queries[start:stop])
        if asked.scores is None:
            raise BadValue("no-scores", "the session that reveals scores revealed none")
        parts.append(asked.scores)
    parties.end_session()
    return np.concatenate(parts)


def _largest_difference(scores: npt.NDArray[np.float32] | None, plain: npt.NDArray[np.float32] | None) -> float | None:
    """Largest absolute difference between private and plaintext scores, where both are known."""
    return None if scores is None or plain is None else float(np.abs(scores - plain[: len(scores)]).max())


def _share(hits: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(hits))
