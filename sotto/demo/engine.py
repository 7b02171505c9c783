"""The demonstration's engine: the same experiments and simulation as ``sotto simulate``, told as plain JSON values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from sotto.audio import BrokenClip, Clip, read
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.experiment import Configuration, Experiment
from sotto.bench.one_clip import cheating
from sotto.bench.one_clip.simulation import Simulation, simulate
from sotto.bench.parties.control import Report
from sotto.bench.suite import build, cells, usable
from sotto.bench.workbench import Workbench
from sotto.cheat import VERDICTS
from sotto.link import SHAPES, Coded
from sotto.mpc.attacks import Verdict
from sotto.report.figures import byte_words, time_words
from sotto.report.seen import clip_shown, panel

LEAST_SECONDS, MOST_SECONDS = 0.25, 15.0
_RATE = 16000
_MOST_MESSAGES = 600
_SAMPLES_OFFERED = 24


class Refused(Coded, ValueError):
    """A request that cannot be met; the message is one line for the visitor."""


class DemoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a visitor asks for: which paradigm, on which network, about an uploaded clip or one of the corpus.

    ``cheat``: "" for honest parties, "list" for what could be altered, else PARTY:MESSAGE (mpc only).
    """

    paradigm: str
    mode: str
    model: str
    net: str = "loopback"
    sample: str = ""
    cheat: str = ""


@dataclass
class Engine:
    """Answers requests one after the other; what was trained for one is kept for the next."""

    bench: Workbench
    _experiments: dict[str, Experiment] = field(default_factory=dict)
    _building: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.cells = cells(usable(list(EXPERIMENTS), self.bench.say), self.bench.preset)
        step = max(1, len(self.bench.split.test) // _SAMPLES_OFFERED)
        test = [self.bench.corpus[place] for place in self.bench.split.test[::step]]
        self.samples: Mapping[str, Clip] = {clip.id: clip for clip in test[:_SAMPLES_OFFERED]}

    def offer(self) -> dict[str, Any]:
        """What can be chosen."""
        return {
            "cells": [{"paradigm": cell.paradigm, "mode": cell.mode, "model": cell.model} for cell in self._distinct()],
            "nets": list(SHAPES),
            "samples": [
                {"id": clip.id, "truth": clip.label(self.bench.label), "speaker": clip.speaker}
                for clip in self.samples.values()
            ],
            "classes": list(self.bench.classes),
            "corpus": self.bench.corpus.name,
            "notice": self.bench.corpus.notice,
            "least_seconds": LEAST_SECONDS,
            "most_seconds": MOST_SECONDS,
        }

    def check(self, request: DemoRequest) -> None:
        """Raise :class:`Refused` for a request that cannot be met, before it waits in the queue."""
        self._cell(request)
        if request.net not in SHAPES:
            raise Refused("unknown-network", f"the network is one of {', '.join(SHAPES)}")
        if request.sample and request.sample not in self.samples:
            raise Refused("not-offered", "this clip is not offered")
        if request.cheat and request.paradigm != "mpc":
            raise Refused("only-mpc-cheats", "only a party of mpc can be made to cheat")
        if request.cheat not in ("", "list"):
            try:
                cheating.parsed(request.cheat)
            except cheating.CheatError as error:
                raise Refused(*error.args) from None

    def answer(self, request: DemoRequest, clip: Clip | None, tell: Callable[[str], None]) -> dict[str, Any]:
        """Do what the request asks and return what the page shows.  Raises whatever a party or the clip raises."""
        clip = clip or self.samples[request.sample]
        require_speech(clip)
        cell = self._cell(request)
        if str(cell) not in self._experiments:
            tell(f"{cell.model}: taking the trained model, or training it")
        experiment = self._experiment(cell)
        if request.cheat == "list":
            return {"kind": "places", "places": _places(experiment, clip)}
        if request.cheat:
            tell("one honest session, then one in which a party cheats")
            return self._cheated(experiment, clip, request)
        tell(f"starting {len(experiment.parts)} processes: {', '.join(experiment.parts)}")
        simulation = simulate(experiment, clip, request.net)
        if experiment.reconstruct:
            tell("an attacker tries to recover the speech from what Bob received")
        return self._answered(experiment, simulation, clip)

    def warm_up(self, await_idle: Callable[[], None]) -> None:
        """Take or train the model of every way, the first modes first, so that no visitor waits for it.

        ``await_idle`` is called before each of them: who asks meanwhile goes first.
        """
        first = {cell.paradigm: cell for cell in reversed(self._distinct())}
        for cell in [*reversed(first.values()), *self._distinct()]:
            await_idle()
            self._experiment(cell)

    def _experiment(self, cell: Configuration) -> Experiment:
        with self._building:
            if str(cell) not in self._experiments:
                self._experiments[str(cell)] = build(cell, self.bench)
            return self._experiments[str(cell)]

    def _distinct(self) -> list[Configuration]:
        """The first cell of every mode and model."""
        first: dict[tuple[str, str, str], Configuration] = {}
        for cell in self.cells:
            first.setdefault((cell.paradigm, cell.mode, cell.model), cell)
        return list(first.values())

    def _cell(self, request: DemoRequest) -> Configuration:
        for cell in self._distinct():
            if (cell.paradigm, cell.mode, cell.model) == (request.paradigm, request.mode, request.model):
                return cell
        raise Refused("not-offered", "this paradigm, mode and model are not offered")

    def _answered(self, experiment: Experiment, simulation: Simulation, clip: Clip) -> dict[str, Any]:
        task = experiment.task
        shown = panel(experiment, simulation, self.bench, clip, attacked=True)
        online, session = simulation.online, simulation.session
        offline = simulation.offline or session
        return {
            "kind": "answer",
            "title": f"{experiment.cell.paradigm} {experiment.cell.mode}, {experiment.cell.model}",
            "answer": shown.answer,
            "plain_answer": shown.plain_answer,
            "truth": clip.label(task.label if task else self.bench.label),
            "notice": task.notice if task else self.bench.corpus.notice,
            "cost": [
                ["online", time_words(online.milliseconds)],
                ["online, all parties", byte_words(online.bytes)],
                ["rounds", str(online.counts["alice"].rounds)],
                ["offline", time_words(offline.milliseconds)],
                ["offline, all parties", byte_words(offline.bytes)],
                *([["once a session", time_words(session.milliseconds)]] if simulation.offline else []),
                ["memory of the largest party", f"{max(r.peak_rss_mb for r in simulation.reports.values()):,.0f} MB"],
            ],
            "exposed": list(shown.exposed),
            "trusted": experiment.security.trusted,
            "adversary": experiment.security.adversary,
            "leaks": experiment.security.leaks,
            "hides": experiment.security.hides,
            "broken": experiment.security.broken,
            "alice": [_plain(each) for each in ([] if task else clip_shown(clip)) + shown.alice],
            "bob": [_plain(each) for each in shown.bob],
            "attacker": [_plain(each) for each in shown.attacker],
            "parties": list(simulation.reports),
            "messages": exchanged(simulation.reports),
        }

    def _cheated(self, experiment: Experiment, clip: Clip, request: DemoRequest) -> dict[str, Any]:
        cheated = cheating.cheat(experiment, experiment.query(clip), request.cheat)
        outcome, classes = cheated.outcome, self.bench.classes
        return {
            "kind": "cheated",
            "title": f"{experiment.cell.paradigm} {experiment.cell.mode}, {experiment.cell.model}",
            "cheat": str(outcome.cheat),
            "altered": outcome.altered or "nothing: the message was never reached",
            "verdict": outcome.verdict,
            "words": came_of(outcome.verdict, experiment.security.adversary),
            "said": outcome.said,
            "honest": classes[cheated.right],
            "taken": None if outcome.label is None else classes[outcome.label],
            "sent": [[place.name, place.size, place.name == outcome.cheat.place] for place in outcome.sent],
        }


def require_speech(clip: Clip) -> None:
    """Raise :class:`sotto.audio.BrokenClip` for a clip that is no sound, silent, or outside the accepted lengths."""
    samples = read(clip, _RATE)
    seconds = samples.size / _RATE
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS + 0.05:
        raise BrokenClip(
            "bad-length", f"the clip has {seconds:.2f} s: between {LEAST_SECONDS:g} and {MOST_SECONDS:g} s are needed"
        )
    if not np.abs(samples).max() > 0:
        raise BrokenClip("silent", "the clip is silent")


def exchanged(reports: Mapping[str, Report]) -> list[dict[str, Any]]:
    """Every message in the order of sending: from whom to whom, its name, bytes, and milliseconds since the first.

    ``online``: from Alice's query on.  The parties noted the times themselves, on this machine's one clock.
    """
    sent = sorted(
        ((seen.at, role, seen) for role, report in reports.items() for seen in report.seen if seen.direction == "sent"),
        key=lambda each: each[0],
    )
    if not sent:
        return []
    first = sent[0][0]
    queries = [at for at, role, seen in sent if role == "alice" and seen.name.endswith(".query")]
    online = queries[-1] if queries else first
    return [
        {
            "from": role,
            "to": seen.peer,
            "name": seen.name,
            "bytes": seen.size,
            "ms": round(1e3 * (at - first), 3),
            "online": at >= online,
        }
        for at, role, seen in sent[:_MOST_MESSAGES]
    ]


def came_of(verdict: Verdict, adversary: str) -> str:
    """What came of a cheat; a right answer is luck where ``adversary``, as the row names it, does not cheat."""
    if verdict == "harmless" and "malicious" not in adversary:
        return "The right answer came out, by luck; nothing would have caught it."
    return VERDICTS[verdict]


def _places(experiment: Experiment, clip: Clip) -> list[str]:
    """What each party could alter in the query, as wishes."""
    known = cheating.places(experiment, experiment.query(clip))
    return [f"{party}:{place.name}" for party, own in known.items() for place in own if place.online and place.size]


def _plain(thing: msgspec.Struct) -> Any:
    return msgspec.to_builtins(thing)


__all__ = ["DemoRequest", "Engine", "Refused", "came_of", "exchanged", "require_speech"]
