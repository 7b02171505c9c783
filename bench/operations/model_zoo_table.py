"""The rows of `sotto reproduce model-zoo` as Markdown: a table for each mode and peer, a line for each network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sotto.bench.rows.row import Row, Timing

_COLUMNS = (
    "network", "agreement", "largest error", "offline ms", "online ms", "total ms", "of processor", "offline MB",
    "online MB", "MB in all", "rounds",
)  # fmt: skip


def markdown(rows: Sequence[Row]) -> str:
    """The tables, in the order in which modes first occur; what no row has is left out of a line."""
    modes = dict.fromkeys(row.mode for row in rows)
    sections = [_section(mode, [row for row in rows if row.mode == mode]) for mode in modes]
    ideas = dict.fromkeys(f"`{row.model}`: {row.parameters['idea']}" for row in rows)
    return "\n".join(sections) + "\n## The kinds\n\n" + "".join(f"- {idea}\n" for idea in ideas)


def _section(mode: str, rows: Sequence[Row]) -> str:
    loads = [load for row in rows if (load := row.metrics.get("load")) is not None]
    accepted = [row for row in rows if row.agreement is not None]
    agreeing = sum(row.agreement == 1.0 for row in accepted)
    text = f"## `{mode}`\n\n{len(accepted)} of {len(rows)} kinds taken, {agreeing} with PyTorch's class for every input"
    if loads:
        text += f"; {rows[0].machine.get('cores')} cores at a load of {min(loads):.1f} to {max(loads):.1f}"
    lines = [_line(_COLUMNS), _line("---" for _ in _COLUMNS), *map(_row, accepted)]
    refused = [f"- `{row.model}`: {row.parameters['refused']}\n" for row in rows if row.agreement is None]
    if refused:
        lines += ["", "Not taken:", "", "".join(refused).rstrip()]
    return text + ".\n\n" + "\n".join(lines) + "\n"


def _row(row: Row) -> str:
    metrics, differing = row.metrics, row.metrics.get("disagreements") or 0
    agreement = f"{row.agreement or 0:.0%} of {row.n_queries}"
    if differing:
        agreement += f" ({(metrics.get('disagreements_not_near_ties') or 0):.0f} no near tie)"
    offline_ms, online_ms = _median(row.offline_ms), _median(row.online_ms)
    busy = [_total(row, prefix) for prefix in ("offline_busy_ms_", "online_busy_ms_")]
    dealt = _total(row, "offline_bytes_")
    sent = None if row.bytes is None else float(sum(filter(None, (row.bytes.alice, row.bytes.bob, row.bytes.dealer))))
    return _line(
        (
            f"`{row.model}`", agreement, _shown(row.max_abs_error, lambda error: f"{error:.1e}"),
            _shown(offline_ms, _three), _shown(online_ms, _three), _shown(_sum(offline_ms, online_ms), _three),
            _shown(_sum(*busy), _three), _shown(dealt, _megabytes), _shown(sent, _megabytes),
            _shown(_sum(dealt, sent), _megabytes), _shown(row.rounds, str),
        )
    )  # fmt: skip


def _sum(*parts: float | None) -> float | None:
    """Of the parts that there are."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _total(row: Row, prefix: str) -> float | None:
    """Of all parties."""
    return _sum(*(value for name, value in row.metrics.items() if name.startswith(prefix)))


def _median(timing: Timing | None) -> float | None:
    return None if timing is None else timing.median


def _shown(value: float | None, shape: Callable[[float], str]) -> str:
    return "" if value is None else shape(value)


def _three(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def _megabytes(size: float) -> str:
    return _three(size / 1e6)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
