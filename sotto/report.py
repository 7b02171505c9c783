"""``report.html``: the rows of a run as one page that works from disk, offline, in light and dark."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.results import write_whole
from bench.row import Row
from bench.table import attacks, footnotes, megabytes, milliseconds, percent, setting

_MARKERS = "osD^vP*X"


def write(rows: Sequence[Row], folder: Path, notice: str | None) -> Path:
    """Write ``report.html`` into ``folder`` (whole or not at all) and return its path."""
    path = folder / "report.html"
    write_whole(path, render(rows, notice))
    return path


def render(rows: Sequence[Row], notice: str | None) -> str:
    """The page as one string.  Everything that came from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sotto", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"percent": percent, "ms": milliseconds, "mb": megabytes}
    return environment.get_template("report.html").render(
        rows=rows,
        first=rows[0],
        settings=[setting(row) for row in rows],
        attacks=[attacks(row) for row in rows],
        notice=notice,
        footnotes=footnotes(rows, None),
        scatter=Markup(_scatter(rows)),  # noqa: S704  our own drawing, not data
    )


def _scatter(rows: Sequence[Row]) -> str:
    """Accuracy of the private answers against online latency, as SVG that takes the page's colours."""
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    paradigms = list(dict.fromkeys(f"{row.paradigm}/{row.mode}" for row in rows))
    for paradigm, marker in zip(paradigms, _MARKERS * len(paradigms), strict=False):
        points = [
            (row.online_ms.median, 100 * row.accuracy_private)
            for row in rows
            if f"{row.paradigm}/{row.mode}" == paradigm and row.online_ms and row.accuracy_private is not None
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker, label=paradigm, markersize=7)
    axes.set_xscale("log")
    axes.set_xlabel("online latency of one query, ms")
    axes.set_ylabel("accuracy of private answers, %")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    # The page sets the text colour; matplotlib's black becomes "whatever the page uses".
    buffer = io.StringIO()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :].replace("#000000", "currentColor")
