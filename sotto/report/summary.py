"""What the page says first: one line for each answer to *is Alice's speech hidden from Bob?*"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from sotto.bench.rows.matrix import PLAINTEXT
from sotto.bench.rows.row import Hides, Row
from sotto.report.figures import byte_words, hidden_words, net_of, peer_of, time_words

TITLES = {"yes": "Speech hidden from Bob", "partly": "Partly hidden", "no": "Not hidden"}


def summary(rows: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """(class, its title, a sentence for each paradigm in it): the fastest row of each, on the first network."""
    lines = []
    for hides in get_args(Hides):
        fastest: dict[str, Row] = {}
        for row in _first_net(rows):
            before = fastest.get(row.paradigm)
            if hides_of(row) == hides and (before is None or _cost(row) < _cost(before)):
                fastest[row.paradigm] = row
        lines.append((hides, TITLES[hides], [_sentence(row) for row in fastest.values()]))
    return [line for line in lines if line[2]]


def hides_of(row: Row) -> Hides:
    """Whether the row hides Alice's speech from Bob; a row that does not say so does not."""
    return row.security.hides if row.security else "no"


def _first_net(rows: Sequence[Row]) -> list[Row]:
    own = [row for row in rows if not peer_of(row) and row.paradigm != PLAINTEXT]
    nets = {net_of(row) for row in own}
    net = "loopback" if "loopback" in nets else min(nets, default="")
    return [row for row in own if net_of(row) == net]


def _cost(row: Row) -> float:
    return row.total.ms if row.total else float("inf")


def _sentence(row: Row) -> str:
    parts = []
    if row.total:
        parts.append(f"{time_words(row.total.ms)} and {byte_words(row.total.bytes)} for a query")
    if row.accuracy_loss is not None:
        lost = 100 * row.accuracy_loss
        parts.append(f"{lost:.1f} points of accuracy lost" if lost > 0.05 else "no accuracy lost")
    if row.security and row.security.broken:
        parts.append(row.security.broken)
    return f"{row.paradigm} ({row.mode}, {row.model}): {', '.join(parts) or hidden_words(row)}"
