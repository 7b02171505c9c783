"""A claim of a paper, the reproduction that measures it, and the judgement; what noise lets tell of means over runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from sotto.bench.rows.row import Row


class Verdict(Enum):
    """How a claim fared.  ``OPEN``: the rows at hand cannot tell."""

    HOLDS = "holds"
    PARTLY = "holds in part"
    FAILS = "does not hold"
    OPEN = "not tested"


@dataclass(frozen=True)
class Judgement:
    """The verdict and one sentence with the figures it rests on."""

    verdict: Verdict
    because: str


Judge = Callable[[Sequence[Row]], Judgement]


@dataclass(frozen=True)
class Paper:
    """``key`` is short and stable; ``title`` and ``authors`` as a reader would look for it."""

    key: str
    authors: str
    title: str


@dataclass(frozen=True)
class Item:
    """A table or figure.

    ``target``: the reproduction.  ``claim``: what the paper says, in a sentence of ours.  ``differs``: corpus, split
    and whatever else is not the paper's.  ``corpora``: those it can be measured on, the nearest to the paper's first;
    () where it needs none.  ``mode``: the one that the claim is about; None where it is about all.
    """

    paper: str
    place: str
    target: str
    claim: str
    differs: str
    judge: Judge
    corpora: tuple[str, ...] = ()
    mode: str | None = None

    def own(self, rows: Sequence[Row]) -> list[Row]:
        """Those of the reproduction's rows that the claim is about."""
        return [row for row in rows if self.mode in (None, row.mode)]


def open_for(reason: str) -> Judgement:
    """Nothing can be said, because of ``reason``."""
    return Judgement(Verdict.OPEN, reason)


def by_share(outcomes: Sequence[bool], because: str) -> Judgement:
    """Holds where all of several comparisons come out as claimed, in part where most do."""
    if not outcomes:
        return open_for("no rows to compare")
    right, of = sum(outcomes), len(outcomes)
    verdict = Verdict.HOLDS if right == of else Verdict.PARTLY if 2 * right > of else Verdict.FAILS
    return Judgement(verdict, because)


def known(rows: Sequence[Row], *names: str) -> list[tuple[Row, list[float]]]:
    """Those of the rows that have all metrics of these ``names``, with the figures."""
    measured = [(row, [row.metrics.get(name) for name in names]) for row in rows]
    return [(row, [each for each in figures if each is not None]) for row, figures in measured if None not in figures]


def number(row: Row, parameter: str) -> float:
    """A parameter of a row that is a number."""
    return float(str(row.parameters[parameter]))


def shown(figures: Sequence[float]) -> str:
    """The least and the largest, or one number where they look alike."""
    return " to ".join(dict.fromkeys((f"{min(figures):.2g}", f"{max(figures):.2g}")))


@dataclass(frozen=True)
class Figure:
    """A mean over ``runs`` runs with its standard deviation, 0 where there is none."""

    mean: float
    deviation: float = 0.0
    runs: int = 1

    def shown(self, digits: str, scale: float = 1.0) -> str:
        """``mean ± deviation``, times ``scale``, in the format ``digits``."""
        mean = format(scale * self.mean, digits)
        return f"{mean} ± {format(scale * self.deviation, digits)}" if self.deviation else mean

    def below(self, other: Figure) -> bool | None:
        """Whether it is lower; None where the two differ by no more than both deviations together."""
        if abs(self.mean - other.mean) <= self.deviation + other.deviation:
            return None
        return self.mean < other.mean


def figure(row: Row, name: str) -> Figure | None:
    """The metric ``name`` with its deviation ``name_std``; None where it was not measured."""
    mean = row.metrics.get(name)
    if mean is None:
        return None
    runs = row.parameters.get("runs")
    return Figure(mean, row.metrics.get(f"{name}_std") or 0.0, runs if isinstance(runs, int) else 1)


def by_difference(outcomes: Sequence[bool | None], because: str) -> Judgement:
    """Of comparisons that come out as claimed, the other way, or (None) within the noise.

    Holds where all come out as claimed, in part where more do than the other way, and is open where none can be told.
    """
    right, wrong = outcomes.count(True), outcomes.count(False)
    if right == wrong == 0:
        return Judgement(Verdict.OPEN, because)
    if right == len(outcomes):
        return Judgement(Verdict.HOLDS, because)
    return Judgement(Verdict.PARTLY if right > wrong else Verdict.FAILS, because)
