"""Rows as terminal tables: what was answered, what it cost, and what leaks and attackers reach."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from sotto.bench.missing_values import missing_values
from sotto.bench.row import Row

NONE = "–"


def tables(rows: Sequence[Row], title: str) -> list[Table]:
    """Three tables of 80 columns, one line a row in each; missing values are explained by :func:`footnotes`."""
    answers = _table(title, ("plain", "private", "agree", "clips", "largest error"))
    cost = _table("cost of one query", ("offline ms", "online ms", "batched", "MB sent A / B / D", "rounds", "keys MB"))
    weakness = _table("what leaks, and what attackers reach", (), ("leaks", "attackers reach"))
    for row in rows:
        name = f"{row.paradigm}/{row.mode}\n {setting(row)}"
        answers.add_row(
            name,
            percent(row.metrics.get("accuracy_plain_on_asked", row.accuracy_plain)),
            percent(row.accuracy_private),
            percent(row.agreement),
            str(row.n_queries),
            NONE if row.max_abs_error is None else f"{row.max_abs_error:.1e}",
        )
        cost.add_row(
            name,
            milliseconds(row.offline_ms.median if row.offline_ms else None),
            milliseconds(row.online_ms.median if row.online_ms else None),
            milliseconds(row.per_query_ms_batched),
            " / ".join(map(megabytes, (row.bytes.alice, row.bytes.bob, row.bytes.dealer))) if row.bytes else NONE,
            NONE if row.rounds is None else str(row.rounds),
            megabytes(row.key_bytes),
        )
        weakness.add_row(name, row.security.leaks if row.security else NONE, "\n".join(attacks(row)) or NONE)
    return [answers, cost, weakness]


def _table(title: str, figures: Sequence[str], texts: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, show_lines=bool(texts))
    table.add_column("paradigm", overflow="fold", max_width=26)
    for heading in figures:
        table.add_column(heading, justify="right", overflow="fold")
    for heading in texts:
        table.add_column(heading, overflow="fold")
    return table


def footnotes(rows: Sequence[Row], notice: str | None) -> list[str]:
    """What must be said under a table: the corpus' own notice, and the reason of every missing value."""
    lines = [notice] if notice else []
    lines.append(
        "plain and private: over the clips asked; the plaintext model over the whole test split: accuracy_plain"
    )
    lines += [f"{NONE} {line}" for line in missing_values(rows)]
    return lines


def setting(row: Row) -> str:
    """Model and parameters on one line, without the network, which a whole table shares."""
    values = [f"{key}={value}" for key, value in row.parameters.items() if key != "net"]
    return " ".join([row.model, *values])


def attacks(row: Row) -> list[str]:
    """The attack metrics of a row, readable: name and value."""
    return [
        f"{name.removeprefix('attack_').replace('_', ' ')} {value:.3g}"
        for name, value in row.metrics.items()
        if name.startswith("attack_") and value is not None
    ]


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return NONE if share is None else f"{100 * share:.1f} %"


def milliseconds(value: float | None) -> str:
    """Milliseconds with as many digits as they are worth."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(count: int | None) -> str:
    """Bytes as megabytes (10^6) with three digits."""
    return NONE if count is None else f"{count / 1e6:.3g}"
