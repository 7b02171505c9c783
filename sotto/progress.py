"""How far a comparison is: a line for each row as it comes, and on a terminal a bar with the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from sotto.bench.rows.matrix import PLAINTEXT
from sotto.bench.rows.table import attacks, megabytes, milliseconds, percent
from sotto.console import err, say

if TYPE_CHECKING:
    from sotto.bench.rows.row import Row

_SHOWN = 3
_TOLD_FROM = 3  # rows


class Rows:
    """Counts outcomes as far as there are ``weights``, about how long each takes, relative to the others.

    Use as a context manager.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights, self._done, self._started = weights, 0, time.monotonic()
        self._bar = tqdm(total=len(weights), desc="rows", unit="row", file=sys.stderr, disable=not err.is_terminal)

    def __enter__(self) -> Self:
        self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, row: Row | None) -> None:
        """One more outcome; None: it gave no row.  Rows without privacy come beside others and are not counted."""
        counted = row is None or row.paradigm != PLAINTEXT
        self._done += counted
        if row:
            cost = f"online {milliseconds(row.online_ms.median)} ms" if row.online_ms else "not timed"
            sent = f", {megabytes(row.bytes.alice + row.bytes.bob)} MB" if row.bytes else ""
            answered = f"{percent(row.accuracy_private)} of {row.n_queries} clips"
            say(
                f"{row.paradigm}/{row.mode} {row.model} {row.parameters.get('net', '')}: {answered}, {cost}{sent}; "
                f"{self._done} of {len(self._weights)}{self._left()}"
            )
        self._bar.update(counted)

    def _left(self) -> str:
        """As much again for each weight as those that are done have taken."""
        done = sum(self._weights[: self._done])
        if self._done < _TOLD_FROM or not done:
            return ""
        left = sum(self._weights[self._done :]) * (time.monotonic() - self._started) / done
        return f", about {left:.0f} s left"

    def attacked(self, row: Row) -> None:
        """What attackers reached is known, of a row that was counted."""
        found = ", ".join(attacks(row)[:_SHOWN])
        say(f"{row.paradigm}/{row.mode} {row.model}: attackers reached {found or 'nothing'}")
