"""The comparison: every paradigm on one corpus and split, one row for each of its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from sotto.audio import LABELS, BrokenClip, CorpusError, load_corpus
from sotto.audio.splits import default_split
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.attackers import Attacked, Attackers
from sotto.bench.baseline import baseline
from sotto.bench.experiment import Configuration, Experiment, Say, run
from sotto.bench.own_model import NotRunnable
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.link import Coded
from sotto.serving import registry


def open_workbench(
    corpus: str,
    data: Path | None,
    *,
    preset: str,
    seed: int,
    say: Say,
    skip_broken: bool = False,
    label: str = "emotion",
    brief: bool = False,
) -> Workbench:
    """Load a corpus, choose its split and make the workbench; ``brief``: half of the built-in corpus, if it is that.

    Raises :class:`sotto.audio.CorpusError`, one clear line.
    """
    try:
        loaded = load_corpus(corpus, data, skip_broken=skip_broken, brief=brief)
    except BrokenClip as error:
        raise BrokenClip(error.code, f"{error} (--skip-broken leaves such clips out)") from None
    if not any(clip.label(label) for clip in loaded):
        there = [name for name in LABELS if loaded.has(name)]
        raise CorpusError(
            "no-label", f"no clip of {loaded.name} has the label {label}: its labels are {', '.join(there)}"
        )
    loaded.labels(label)  # names the first clip without one
    say(f"{loaded.name}: {len(loaded)} clips, {len(loaded.speakers)} speakers, {len(loaded.classes(label))} classes")
    return Workbench(loaded, default_split(loaded, seed), label, preset, seed, say, data=data)


@dataclass(frozen=True)
class LeftOut:
    """A paradigm, or one row of it, that cannot run a model, and why."""

    paradigm: str
    reason: str

    def __str__(self) -> str:
        return f"{self.paradigm}: {self.reason}"


@dataclass(frozen=True)
class Failure:
    """A cell that gave no row."""

    cell: Configuration
    error: Exception


def cells(paradigms: Sequence[str], preset: str, features_at: str = "alice") -> list[Configuration]:
    """The rows a run of these paradigms will give; ``features_at`` ``circuit``: those that are asked about samples."""
    if features_at == "circuit":
        return [cell for name in paradigms for cell in _sample_cells(name, preset)]
    return [cell for name in paradigms for cell in EXPERIMENTS[name].cells(preset)]


def _sample_cells(paradigm: str, preset: str) -> list[Configuration]:
    found: Callable[[str], list[Configuration]] | None = getattr(EXPERIMENTS[paradigm], "sample_cells", None)
    return found(preset) if found else []


#: About how long a row takes, where nothing has to be trained for it; others take 1.
_WEIGHTS = {"mpc": 2.0, "he": 2.0, "hashing": 3.0, "keyed": 0.5, "adversarial": 2.0}
_TRAINING = 4.0


def weights(cells: Sequence[Configuration]) -> list[float]:
    """About how long the row of each of ``cells`` takes, relative to the others, for telling the time that is left.

    More where its model has to be trained and no attacker does that meanwhile (:mod:`sotto.bench.attackers`).
    """
    trained: set[str] = set()
    found = []
    for cell in cells:
        waits = _parties_attack(cell.paradigm) and cell.model not in trained
        trained.add(cell.model)
        found.append(_WEIGHTS.get(cell.paradigm, 1.0) + (_TRAINING if waits else 0.0))
    return found


def build(cell: Configuration, bench: Workbench) -> Experiment:
    """Train what the cell needs, or take it from the cache, and set its parties up."""
    return EXPERIMENTS[cell.paradigm].build(cell, bench)


@dataclass(frozen=True)
class Attackable:
    """An attack that can be run by itself: what the adversary does, and on which paradigm."""

    description: str
    paradigm: str

    def cells(self, preset: str) -> list[Configuration]:
        """The settings it is run on."""
        return cells([self.paradigm], preset)


def attackable() -> dict[str, Attackable]:
    """Every attack by name."""
    return {
        name: Attackable(description, paradigm)
        for paradigm, module in EXPERIMENTS.items()
        for name, description in module.ATTACKS.items()
    }


def usable(paradigms: Sequence[str], say: Say) -> list[str]:
    """Those of ``paradigms`` whose libraries are installed; the others are named with what to run."""
    found = []
    for name in paradigms:
        if reason := EXPERIMENTS[name].missing():
            say(f"{name} is left out: {reason}")
        else:
            found.append(name)
    return found


class ParadigmMissing(Coded, RuntimeError):
    """A paradigm that was asked for needs a library that is not installed; one line says what to run."""


def require(paradigms: Sequence[str]) -> None:
    """Raise :class:`ParadigmMissing` when one of ``paradigms`` cannot be used, before anything is trained for it."""
    for name in paradigms:
        if reason := EXPERIMENTS[name].missing():
            raise ParadigmMissing("not-installed", reason)


def compare(
    bench: Workbench,
    paradigms: Sequence[str],
    nets: Sequence[str],
    *,
    features_at: str = "alice",
    further: Sequence[Configuration] = (),
    show: Callable[[Experiment], None] | None = None,
) -> Iterator[Row | Attacked | LeftOut | Failure]:
    """Time all cells of ``paradigms``, and ``further`` ones, on each of ``nets``, one after the other (two parties
    already use two cores), while what is not timed goes on beside it (:mod:`sotto.bench.attackers`).

    Before the first row of a model comes the one without privacy.  What attackers reach comes as :class:`Attacked` when
    it is known.  Paradigms that answer no query of samples are left out where ``features_at`` is ``circuit``.  A cell
    that fails is told and yielded as a :class:`Failure`; the others still run.  ``show`` is called
    with each experiment once its rows are there.
    """
    for name in paradigms if features_at == "circuit" else ():
        if not _sample_cells(name, bench.preset):
            reason = registry.paradigm(name).no_samples
            bench.say(f"{name} is left out: {reason}")
            yield LeftOut(name, reason)
    seen: set[str] = set()
    every = (*cells(paradigms, bench.preset, features_at), *further)
    given = {number: cell for number, cell in enumerate(every) if not _parties_attack(cell.paradigm)}
    with Attackers(bench, given, build) as attackers:
        bench.quiet = attackers.stopped
        for number, cell in enumerate(every):
            attackers.await_training(cell)
            try:
                experiment = build(cell, bench)
            except NotRunnable as error:
                bench.say(f"{cell} is left out: {error}")
                yield LeftOut(str(cell), str(error))
                continue
            except Exception as error:
                yield _failed(cell, error, bench.say)
                continue
            if experiment.network is not None and cell.model not in seen:
                seen.add(cell.model)
                yield from measure(baseline(experiment), bench, nets)
            rows = []
            for outcome in measure(attackers.given(number, experiment), bench, nets, show=show):
                rows += [outcome] if isinstance(outcome, Row) else []
                yield outcome
            attackers.add(number, experiment, rows)
            yield from attackers.arrived()
        yield from attackers.rest()


def _parties_attack(paradigm: str) -> bool:
    """Whether its attackers are parties (:mod:`sotto.bench.attackers`)."""
    return getattr(EXPERIMENTS[paradigm], "PARTIES_ATTACK", False)


def measure(
    experiment: Experiment, bench: Workbench, nets: Sequence[str], *, show: Callable[[Experiment], None] | None = None
) -> Iterator[Row | Failure]:
    """The rows of one experiment: one for each network.

    Attackers do not hear the network, so they attack once, and what they reached stands in the row of each network.
    """
    try:
        reached: dict[str, float | None] = {}
        for number, net in enumerate(nets):
            row = run(
                replace(experiment, attacks={}) if number else experiment,
                corpus=bench.corpus.name,
                split=bench.split.name,
                seed=bench.seed,
                net=net,
                say=bench.say,
                quiet=bench.quiet,
            )
            reached |= {name: value for name, value in row.metrics.items() if name.startswith("attack_")}
            yield msgspec.structs.replace(row, metrics={**row.metrics, **reached})
        if show:
            show(experiment)
    except Exception as error:  # whatever it is, the other cells' rows are not to be lost for it
        yield _failed(experiment.cell, error, bench.say)


def _failed(cell: Configuration, error: Exception, say: Say) -> Failure:
    say(f"{cell} failed: {error}")
    return Failure(cell, error)
