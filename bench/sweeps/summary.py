"""The table of a sweep: its rows with keys and folds taken together, each figure's mean, deviation and extremes."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sotto.bench.rows.results import csv_text
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.sweeps.studies.axes import Axis


@dataclass(frozen=True)
class Spread:
    """A figure over repetitions; ``deviation`` is the sample's, 0 for one value."""

    count: int
    mean: float
    deviation: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(len(values), statistics.fmean(values), deviation, min(values), max(values))


@dataclass(frozen=True)
class Group:
    """The rows that share what does not repeat."""

    parameters: Mapping[str, JSONValue]
    figures: Mapping[str, Spread]


def groups(rows: Sequence[Row], axes: Mapping[str, Axis]) -> list[Group]:
    """One group for each point of the axes that do not repeat, in the order of the rows."""
    together: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        fixed = tuple((n, repr(v)) for n, v in row.parameters.items() if not (n in axes and axes[n].repeats))
        together.setdefault(fixed, []).append(row)
    return [_group(members, axes) for members in together.values()]


def _group(rows: Sequence[Row], axes: Mapping[str, Axis]) -> Group:
    figures: dict[str, list[float]] = {}
    for row in rows:
        named = {"accuracy_plain": row.accuracy_plain, "accuracy_private": row.accuracy_private, **row.metrics}
        for name, value in named.items():
            if value is not None:
                figures.setdefault(name, []).append(float(value))
    parameters = {n: v for n, v in rows[0].parameters.items() if not (n in axes and axes[n].repeats)}
    return Group(parameters, {name: Spread.of(values) for name, values in figures.items()})


def to_csv(found: Sequence[Group]) -> str:
    """One line for each group and figure."""
    names = list(dict.fromkeys(name for group in found for name in group.parameters))
    lines = (
        [*(group.parameters.get(name, "") for name in names), figure, *dataclasses.astuple(spread)]
        for group in found
        for figure, spread in group.figures.items()
    )
    return csv_text([*names, "figure", "count", "mean", "sd", "min", "max"], lines)
