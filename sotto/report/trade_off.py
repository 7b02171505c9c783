"""The trade-off in one drawing: what a query costs, what it loses, and whether Alice's speech is hidden from Bob.

One panel for each answer to that question, so that a scheme that attacks break never looks better than one that holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from sotto.bench.papers.drawing import save
from sotto.bench.rows.row import Hides, Row
from sotto.report.figures import net_of, peer_of
from sotto.report.summary import TITLES, hides_of

_INK = {False: ("#1f2328", "#d0d7de"), True: ("#e6edf3", "#3d444d")}  # text and lines, on light and on dark pages
_COLOURS = ("#3b6fd4", "#2a9d76", "#c0762a", "#b4489b", "#7a6bd1", "#5b8f99", "#a05050")


def draw(rows: Sequence[Row], path: Path, *, dark: bool = False) -> Path:
    """Write the drawing of the rows on loopback to ``path``, an SVG on a transparent ground, whole or not at all.

    Of the corpus that most rows are of.  Milliseconds of one query, offline and online, along one axis; percentage
    points of accuracy lost against the plaintext model on the same clips along the other.  Hollow marks are what an
    attack breaks.
    """
    placed = [row for row in rows if net_of(row) == "loopback" and not peer_of(row) and None not in _place(row)]
    asked_of = Counter(row.corpus for row in placed).most_common(1)  # events and emotions share no axis
    shown = [row for row in placed if row.corpus == asked_of[0][0]]
    paradigms = list(dict.fromkeys(row.paradigm for row in shown))
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(paradigms)}
    ink, lines = _INK[dark]
    figure = Figure(figsize=(10, 3.7), layout="constrained")
    figure.patch.set_alpha(0)
    panels = figure.subplots(1, len(TITLES), sharex=True, sharey=True)
    for axes, hides in zip(panels, get_args(Hides), strict=True):
        _frame(axes, TITLES[hides], ink, lines)
        for row in shown:
            if hides_of(row) == hides:
                _mark(axes, row, colours[row.paradigm])
    lost = [0.0, *(points for row in shown if (points := _place(row)[1]) is not None)]
    panels[0].set_ylim(min(lost) - 1, max(9.0, *lost) + 1)  # where nothing is lost, that is to be seen
    panels[0].set_ylabel("accuracy lost, points", color=ink)
    panels[1].set_xlabel("one query, offline and online, ms", color=ink)
    marks = [Line2D([], [], marker="o", ls="", color=colours[name], label=name) for name in paradigms]
    marks.append(Line2D([], [], marker="o", ls="", color=ink, markerfacecolor="none", label="broken by an attack"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, labelcolor=ink)
    return save(figure, path.with_suffix(""), "svg")[0]


def _place(row: Row) -> tuple[float | None, float | None]:
    """Milliseconds of a query and points lost; None for what was not measured."""
    return row.total.ms if row.total else None, None if row.accuracy_loss is None else 100 * row.accuracy_loss


def _mark(axes: Axes, row: Row, colour: str) -> None:
    broken = bool(row.security and row.security.broken)
    style = {"markerfacecolor": "none", "markeredgewidth": 1.6} if broken else {"alpha": 0.85}
    milliseconds, lost = _place(row)
    axes.plot([milliseconds or 0.0], [lost or 0.0], marker="o", ms=8, ls="", color=colour, **style)


def _frame(axes: Axes, title: str, ink: str, lines: str) -> None:
    axes.set_title(title, color=ink, fontsize=11)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.patch.set_alpha(0)
    axes.grid(color=lines, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink, which="both")
    for spine in axes.spines.values():
        spine.set_color(lines)
