"""Figures that are means over several runs, and what can be told from their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotto.bench.claims.claim import Judgement, Verdict
from sotto.bench.rows.row import Row


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
