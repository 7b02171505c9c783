"""How far a comparison is: a line for each row as it comes, and on a terminal a bar with the time that is left."""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from sotto.bench.rows.matrix import PLAINTEXT
from sotto.bench.rows.table import attacks, megabytes, milliseconds, percent
from sotto.console import err, say

if TYPE_CHECKING:
    from sotto.bench.rows.row import Row

_SHOWN = 3
_TOLD_FROM = 3  # rows: the first ones make what the others reuse


class Rows:
    """Counts outcomes up to ``total``; use as a context manager."""

    def __init__(self, total: int) -> None:
        self._total, self._last, self._seconds = total, time.monotonic(), list[float]()
        self._bar = tqdm(total=total, desc="rows", unit="row", file=sys.stderr, disable=not err.is_terminal)

    def __enter__(self) -> Self:
        self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, row: Row | None) -> None:
        """One more outcome; None: it gave no row.  Rows without privacy come beside others and are not counted."""
        counted = row is None or row.paradigm != PLAINTEXT
        if counted:
            now = time.monotonic()
            self._seconds.append(now - self._last)
            self._last = now
        if row:
            cost = f"online {milliseconds(row.online_ms.median)} ms" if row.online_ms else "not timed"
            sent = f", {megabytes(row.bytes.alice + row.bytes.bob)} MB" if row.bytes else ""
            answered = f"{percent(row.accuracy_private)} of {row.n_queries} clips"
            say(
                f"{row.paradigm}/{row.mode} {row.model} {row.parameters.get('net', '')}: {answered}, {cost}{sent}; "
                f"{len(self._seconds)} of {self._total}{self._left()}"
            )
        self._bar.update(counted)

    def _left(self) -> str:
        """Half of the rows take longer than the median, those before which a model is trained most of all."""
        if len(self._seconds) < _TOLD_FROM:
            return ""
        left = (self._total - len(self._seconds)) * statistics.median(self._seconds)
        return f", about {max(0.0, left):.0f} s left"

    def attacked(self, row: Row) -> None:
        """What attackers reached is known, of a row that was counted."""
        found = ", ".join(attacks(row)[:_SHOWN])
        say(f"{row.paradigm}/{row.mode} {row.model}: attackers reached {found or 'nothing'}")
