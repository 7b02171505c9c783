"""Rows as a table in GitHub's Markdown, so that a page of figures is written by a command and not by hand."""

from __future__ import annotations

from collections.abc import Sequence

from sotto.bench.rows.matrix import grouped
from sotto.bench.rows.row import Row
from sotto.bench.rows.table import NONE, interval, megabytes, milliseconds, percent, points
from sotto.report.attack_words import best
from sotto.report.summary import hides_of

_HEADINGS = (
    "model", "way", "network", "hidden from Bob", "accuracy (95 %)", "points lost", "agree", "clips",
    "offline ms", "online ms (p95)", "total ms", "MB of a query", "rounds", "best attack",
)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows by model, the one without privacy first.

    Milliseconds are medians; *total ms* and *MB of a query*, which is what all parties send, are offline and online of
    one query, without what comes once a session; ``–`` where a row has no such figure.
    """
    lines = [_line(_HEADINGS), _line(["---"] * len(_HEADINGS))]
    lines += [_line(_cells(row)) for group in grouped(rows) for row in group.rows]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    online = row.online_ms
    return (
        f"`{row.model}`",
        f"`{row.paradigm}` {row.mode}{', on samples' if row.of_samples else ''}",
        str(row.parameters.get("net", "loopback")),
        hides_of(row),
        f"{percent(row.accuracy_private)} ({interval(row.accuracy_interval)})" if row.accuracy_interval else NONE,
        points(row.accuracy_loss),
        percent(row.agreement),
        str(row.n_queries),
        milliseconds(row.offline_ms.median if row.offline_ms else None),
        f"{milliseconds(online.median)} ({milliseconds(online.p95)})" if online else NONE,
        milliseconds(row.total.ms if row.total else None),
        megabytes(row.total.bytes if row.total else None),
        NONE if row.rounds is None else str(row.rounds),
        best(row) or NONE,
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
