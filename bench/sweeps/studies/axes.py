"""What a study can vary: the axes of its grid, their default values, and how values are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sotto.bench.rows.row import JSONValue
from sotto.link import Coded

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_VALUES = 1_000_000


class SweepError(Coded, ValueError):
    """A sweep cannot be run as asked; the message is one line that says what to do."""


@dataclass(frozen=True)
class Axis:
    """One thing that varies.

    ``default``: the values of a sweep that does not name the axis.  ``choices``: the only values there are; None for
    numbers, which have the type of the first default.  ``repeats``: values differ by chance only (a key, a fold), so
    a summary takes them together.
    """

    default: tuple[JSONValue, ...]
    meaning: str
    choices: tuple[JSONValue, ...] | None = None
    repeats: bool = False

    def read(self, text: str, name: str) -> tuple[JSONValue, ...]:
        """Values from ``2,3,5`` or ``0..999`` (both ends included).  Raises :class:`SweepError`."""
        values: dict[JSONValue, None] = {}  # each once, in order
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            if (found := _RANGE.fullmatch(part)) and self.choices is None:
                first, last = (int(end) for end in found.groups())
                if not first <= last < first + _MOST_VALUES:
                    raise SweepError("bad-range", f"{name}={part} is not a range of 1 to {_MOST_VALUES:,} values")
                values.update(dict.fromkeys(range(first, last + 1)))
            else:
                values[self._value(part, name)] = None
        if not values:
            raise SweepError("no-value", f"{name} has no value: write {name}=VALUE,VALUE or {name}=FIRST..LAST")
        return tuple(values)

    def _value(self, text: str, name: str) -> JSONValue:
        for choice in self.choices or ():
            if text == str(choice):
                return choice
        if self.choices is not None:
            raise SweepError("unknown-value", f"{name} is one of {', '.join(map(str, self.choices))}, not {text[:40]}")
        kind = type(self.default[0])
        try:
            value = float(text) if kind is float else int(text)
        except ValueError:
            raise SweepError("not-a-number", f"{name} is a number, not {text[:40]}") from None
        if not 0 <= value <= 1e9:  # NaN fails it too
            raise SweepError("out-of-range", f"{name} is a number from 0 to 1e9, not {text[:40]}")
        return value


def read_grid(axes: Mapping[str, Axis], given: Sequence[str]) -> dict[str, tuple[JSONValue, ...]]:
    """The values of every axis: those of ``NAME=VALUES`` arguments, and the defaults.  Raises :class:`SweepError`."""
    grid = {name: axis.default for name, axis in axes.items()}
    named: set[str] = set()
    for argument in given:
        name, equals, text = argument.partition("=")
        if not equals or name not in axes:
            raise SweepError("bad-vary", f"{argument[:40]} is not NAME=VALUES with a name of {', '.join(axes)}")
        if name in named:
            raise SweepError(
                "named-twice", f"{name} is given twice: write its values after one another, separated by commas"
            )
        named.add(name)
        grid[name] = axes[name].read(text, name)
    return grid
