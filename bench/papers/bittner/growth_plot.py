"""The plot of :mod:`sotto.bench.papers.bittner.growth`: time, bytes and memory, against batch and against network
size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from sotto.bench.papers.drawing import save
from sotto.bench.rows.row import Row

_ALONG = {
    "batch": ("examples in a query", lambda row: float(str(row.parameters["batch"]))),
    "width": ("ReLU of an example", lambda row: row.metrics["relus"]),
}
_MARKERS = {"depinto": "o", "frames": "s"}

Figures = Callable[[Row], float | None]
_PANELS: dict[str, dict[str, Figures]] = {
    "ms a query": {
        "-": lambda row: row.online_ms.median if row.online_ms else None,
        "--": lambda row: row.offline_ms.median if row.offline_ms else None,
    },
    "MB a query, all parties": {
        "-": lambda row: (row.metrics["online_bytes"] or 0) / 1e6,
        "--": lambda row: (row.metrics["offline_bytes"] or 0) / 1e6,
    },
    "peak memory, MB": {
        "-": lambda row: max(row.metrics["alice_rss_mb"] or 0, row.metrics["bob_rss_mb"] or 0),
        "--": lambda row: row.metrics.get("dealer_rss_mb"),  # not every mode has a dealer
    },
}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the plot as SVG, whole or not at all."""
    figure = Figure(figsize=(10, 10), layout="constrained")
    grid = figure.subplots(len(_PANELS), len(_ALONG), squeeze=False)
    for line, (quantity, figures) in zip(grid, _PANELS.items(), strict=True):
        for axes, along in zip(line, _ALONG, strict=True):
            _panel(axes, along, figures, rows)
            axes.set_ylabel(quantity)
            if quantity.startswith("peak"):  # mostly libraries: their share should show
                axes.set_yscale("linear")
                axes.set_ylim(bottom=0)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel("whole lines: online (memory: Alice or Bob); dashed: offline (memory: the dealer)", fontsize=9)
    save(figure, path.with_suffix(""), "svg")


def _panel(axes: Axes, along: str, figures: dict[str, Figures], rows: Sequence[Row]) -> None:
    name, abscissa = _ALONG[along]
    chosen = [row for row in rows if row.parameters["along"] == along]
    series = list(dict.fromkeys((row.mode, row.model) for row in chosen))
    colours = {mode: f"C{number}" for number, mode in enumerate(dict.fromkeys(mode for mode, _ in series))}
    for mode, model in series:
        points = [row for row in chosen if (row.mode, row.model) == (mode, model)]
        for style, figure in figures.items():
            axes.plot(
                [abscissa(row) for row in points],
                [figure(row) or np.nan for row in points],
                style,
                marker=_MARKERS.get(model, "^"),
                color=colours[mode],
                label=f"{mode}, {model}" if style == "-" else None,
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=10)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(name)
    axes.grid(alpha=0.3)
