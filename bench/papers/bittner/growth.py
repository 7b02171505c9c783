"""How the cost of a private query grows with the batch and with the network, in each of our modes of `mpc`.

Networks with PyTorch's initial weights are asked about random features: time, bytes and memory do not depend on values.
Points are measured in rising order in the same processes, so that a party's peak so far is the point's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import nn

from sotto import mpc
from sotto.bench.papers.bittner.agreement import MODES
from sotto.bench.papers.bittner.table_networks import TableNetwork, relu_count
from sotto.bench.papers.drawing import save
from sotto.bench.parties.parties import Asked, Parties, Phase
from sotto.bench.request import Request
from sotto.bench.rows import costs, results
from sotto.bench.rows.row import Row
from sotto.models.learning.seeding import seeded
from sotto.models.learning.training import predict
from sotto.mpc.experiment import SECURITY

DESCRIPTION = "growth of mpc's time, bytes and memory with batch (1 to 256) and network size, with a plot"

_BATCHES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "quick": {"depinto": (1, 4, 16, 64, 256), "frames": (1, 8)},
    "full": {"depinto": (1, 2, 4, 8, 16, 32, 64, 128, 256), "frames": (1, 2, 4, 8, 16, 32, 64, 128, 256)},
}
_WIDTHS = {"quick": (0.5, 1, 2), "full": (0.25, 0.5, 1, 2, 4, 8)}
_REPEATS = {"quick": (2, 10), "full": (3, 30)}  # of large and of small queries
_TIMEOUT = 300.0

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


@dataclass(frozen=True)
class Point:
    """``network`` asked about ``batch`` examples at once, on the way along ``axis``."""

    axis: str
    network: TableNetwork
    batch: int

    @cached_property
    def module(self) -> nn.Module:
        with seeded(0):
            return self.network.build().eval()


def run(request: Request) -> list[Row]:
    """One row for each mode and point; the plot goes to ``mpc-growth.svg``."""
    rows: list[Row] = []
    results.require_writable(request.out)
    for mode in MODES:
        for name, batches in _BATCHES[request.preset].items():
            along = {
                "batch": [Point("batch", TableNetwork(name), batch) for batch in batches],
                "width": [Point("width", TableNetwork(name, width), 1) for width in _WIDTHS[request.preset]],
            }
            for axis, points in along.items():
                rows += _measured(mode, points, request)
                results.write(rows, request.out)  # who stops half-way keeps what was measured
                request.say(f"{mode} {name}: {axis} done")
    draw(rows, request.out / "mpc-growth.svg")
    return rows


def _measured(mode: mpc.Mode, points: Sequence[Point], request: Request) -> Iterator[Row]:
    """The rows of points that rise along one axis."""
    networks = list(dict.fromkeys(point.network for point in points))
    modules = {point.network: point.module for point in points}
    generator = np.random.default_rng(request.seed)
    least, most = _REPEATS[request.preset]
    with Parties([net.parts(modules[net], mode, "class") for net in networks], timeout=_TIMEOUT) as parties:
        for network in networks:
            prepared = parties.prepare()
            for point in points:
                if point.network == network:
                    features = generator.normal(size=(point.batch, *network.input_shape)).astype(np.float32)
                    repeats = max(least, most // point.batch)
                    parties.ask(features)
                    asked = [parties.ask(features) for _ in range(repeats)]
                    yield row_of(mode, point, prepared, asked, modules[network], features, request.seed)
            parties.end_session()
        parties.finish()


def row_of(
    mode: mpc.Mode,
    point: Point,
    prepared: Phase,
    asked: Sequence[Asked],
    module: nn.Module,
    features: npt.NDArray[np.float32],
    seed: int,
) -> Row:
    """The row of a point from its set-up and its queries."""
    online, offline = [each.online for each in asked], [each.offline for each in asked if each.offline]
    peaks = {role: count.peak_rss_mb for role, count in asked[-1].online.counts.items()}
    timing = costs.timing(online)
    metrics: dict[str, float | None] = {
        "relus": float(relu_count(module, point.network.input_shape)),
        "timed_queries": float(len(asked)),
        **costs.metrics([prepared], asked),
        **{f"{role}_rss_mb": round(peak, 1) for role, peak in peaks.items()},
        "online_bytes": float(np.median([phase.bytes for phase in online])),
        "offline_bytes": float(np.median([phase.bytes for phase in offline])) if offline else 0.0,
    }
    if timing:
        metrics["online_ms_per_example"] = timing.median / point.batch
    return Row(
        paradigm="mpc",
        mode=mode,
        model=point.network.name,
        seed=seed,
        n_queries=len(asked) * point.batch,
        parameters={"along": point.axis, "batch": point.batch, "width": point.network.width, "net": "loopback"},
        agreement=float(np.mean(asked[-1].labels == predict(module, features).argmax(axis=1))),
        metrics=metrics,
        per_query_ms_batched=timing.median / point.batch if timing and point.batch > 1 else None,
        security=SECURITY[mode],
        **costs.fields(asked),
    )


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
