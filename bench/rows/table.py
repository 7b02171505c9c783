"""Rows as terminal tables: what was answered, what it cost, and what leaks and attackers reach."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from sotto.bench.rows.matrix import PLAINTEXT, Price, grouped
from sotto.bench.rows.missing_values import by_whom
from sotto.bench.rows.row import Cost, Interval, Row
from sotto.serving.registry import paradigm

NONE = "–"
_COLUMNS = (  # that a table here shows
    "accuracy_private", "agreement", "bytes", "bytes.dealer", "cost", "key_bytes", "max_abs_error", "offline_ms",
    "online_ms", "per_query_ms_batched", "rounds", "total",
)  # fmt: skip


def tables(rows: Sequence[Row], title: str) -> list[Table]:
    """Four tables of 80 columns, by model, one line a row in each.

    Missing values, and paradigms that cannot run a model, are explained by :func:`footnotes`.
    """
    price = _table(
        f"{title}: the price of privacy", ("slower", "more bytes", "points lost", "USD / 10^6"), ("trusted",)
    )
    answers = _table("what is answered", ("private", "95 %", "agree", "clips", "largest error"))
    cost = _table("cost of one query", ("offline ms", "online ms", "batched", "MB sent A / B / D", "rounds", "keys MB"))
    weakness = _table("what leaks, and what attackers reach", (), ("leaks", "attackers reach"))
    for group in grouped(rows):
        for table in (price, answers, cost, weakness):
            table.add_section()
        ratios = {id(each.row): each for each in group.prices}
        for row in group.rows:
            _add(row, ratios.get(id(row)), price, answers, cost, weakness)
    return [price, answers, cost, weakness]


def _add(row: Row, ratios: Price | None, price: Table, answers: Table, cost: Table, weakness: Table) -> None:
    name = f"{row.paradigm}/{row.mode}\n {setting(row)}"
    price.add_row(
        name,
        times(ratios.slower) if ratios else f"{milliseconds(row.total.ms if row.total else None)} ms",
        times(ratios.more_bytes) if ratios else f"{megabytes(row.total.bytes if row.total else None)} MB",
        points(row.accuracy_loss),
        usd(row.cost),
        row.security.trusted if row.security else NONE,
    )
    answers.add_row(
        name,
        percent(row.accuracy_private),
        interval(row.accuracy_interval),
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
        "slower, more bytes: one query, offline and online, of all parties, beside the row without privacy; what comes "
        "once a session is apart. points lost: against the plaintext model on the same clips. 95 %: Wilson's interval"
    )
    slower = dict.fromkeys(row.paradigm for row in rows if row.parameters.get("net", "loopback") != "loopback")
    lines += [f"{name}: {line}" for name in slower if name != PLAINTEXT and (line := paradigm(name).on_links)]
    lines += [f"prices: {name}" for name in dict.fromkeys(row.cost.prices for row in rows if row.cost)]
    empty: dict[tuple[str, str], dict[str, None]] = {}
    for group in grouped(rows):
        for cell in group.empty:
            empty.setdefault(cell, {})[group.model] = None
    lines += [f"{name} without {', '.join(models)}: {reason}" for (name, reason), models in empty.items()]
    lines += [f"{NONE} {line}" for line in by_whom(rows, _COLUMNS)]
    return lines


def setting(row: Row) -> str:
    """Model and parameters on one line, without the network, which a whole table shares."""
    values = [f"{key}={value}" for key, value in row.parameters.items() if key != "net"]
    if row.of_samples and "features_at" not in row.parameters:
        values.append(f"features_at={row.features_at}")
    return " ".join([row.model, *values])


def attacks(row: Row) -> list[str]:
    """The attack metrics of a row, readable: name and value."""
    return [
        f"{name.removeprefix('attack_').replace('_', ' ')} {value:.3g}"
        for name, value in row.metrics.items()
        if name.startswith("attack_") and value is not None
    ]


def times(ratio: float | None) -> str:
    """How many times more, with two digits."""
    if ratio is None:
        return NONE
    return f"{ratio:,.0f} x" if ratio >= 9.95 else f"{ratio:.1f} x"


def points(loss: float | None) -> str:
    """Percentage points of accuracy that are lost; gained ones are negative."""
    return NONE if loss is None else f"{100 * loss + 0.0:.1f}"


def interval(found: Interval | None) -> str:
    """An interval in percent."""
    return NONE if found is None else f"{100 * found.low:.0f} to {100 * found.high:.0f}"


def usd(cost: Cost | None) -> str:
    """Dollars of a million queries, with two digits below a hundred."""
    if cost is None:
        return NONE
    whole = cost.processor_usd + cost.traffic_usd
    return f"{whole:,.0f}" if whole >= 100 else f"{whole:.2g}"


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
