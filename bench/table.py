"""Rows as a terminal table: answers, cost, what leaks and what the best attack reached, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.blanks import blanks
from bench.row import Row

NONE = "–"


def table(rows: Sequence[Row], title: str) -> Table:
    """A table with one line a row; blanks are explained by :func:`footnotes`."""
    result = Table(title=title, title_justify="left", expand=False, pad_edge=False)
    result.add_column("paradigm", no_wrap=True)
    result.add_column("setting", overflow="fold", min_width=12)
    for heading in (
        "plain",
        "private",
        "agree",
        "clips",
        "offline ms",
        "online ms",
        "batched",
        "sent MB A/B/D",
        "rounds",
    ):
        result.add_column(heading, justify="right", overflow="fold")
    result.add_column("attack", overflow="fold", min_width=16)
    for row in rows:
        result.add_row(
            f"{row.paradigm}/{row.mode}", setting(row), percent(row.accuracy_plain), percent(row.accuracy_private),
            percent(row.agreement), str(row.n_queries),
            milliseconds(row.offline_ms.median if row.offline_ms else None),
            milliseconds(row.online_ms.median if row.online_ms else None),
            milliseconds(row.per_query_ms_batched),
            " / ".join((megabytes(row.bytes.alice), megabytes(row.bytes.bob), megabytes(row.bytes.dealer)))
            if row.bytes else NONE,
            str(row.rounds) if row.rounds is not None else NONE,
            "\n".join(attacks(row)) or NONE,
        )  # fmt: skip
    return result


def footnotes(rows: Sequence[Row], notice: str | None) -> list[str]:
    """What must be said under a table: the corpus' own notice, and the reason of every blank."""
    lines = [notice] if notice else []
    lines += [f"{NONE} {line}" for line in blanks(rows)]
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
    return NONE if share is None else f"{100 * share:.1f} %"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(count: int | None) -> str:
    return NONE if count is None else f"{count / 1e6:.3g}"
