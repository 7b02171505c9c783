"""The plot of ``sotto reproduce throughput``: queries a second and latency against clients, one line a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sotto.bench.rows.row import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the plot as SVG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    rate, latency = figure.subplots(1, 2)
    for paradigm, mode in dict.fromkeys((row.paradigm, row.mode) for row in rows):
        own = [row for row in rows if (row.paradigm, row.mode) == (paradigm, mode)]
        clients = [int(str(row.parameters["clients"])) for row in own]
        rate.plot(clients, [row.metrics["queries_per_second"] for row in own], "o-", label=f"{paradigm}/{mode}")
        (line,) = latency.plot(clients, [row.metrics["p50_ms"] for row in own], "o-")
        latency.plot(clients, [row.metrics["p99_ms"] for row in own], ":", color=line.get_color())
    _label(rate, "queries a second")
    _label(latency, "milliseconds: p50 solid, p99 dotted")
    rate.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _label(axes: Axes, what: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("clients at once")
    axes.set_ylabel(what)
    axes.grid(visible=True, alpha=0.3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
