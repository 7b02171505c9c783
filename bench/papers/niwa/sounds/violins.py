"""Violin plots of error rates over many keys, with the rate of the plain model as an asterisk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from sotto.bench.papers.drawing import save


@dataclass(frozen=True, eq=False)
class Violin:
    """``rates`` (keys,), and the rate without any key where there is one."""

    label: str
    rates: npt.NDArray[np.float64]
    plain: float | None = None


def draw(violins: Sequence[Violin], metric: str, path: Path) -> list[Path]:
    """Write the plot as SVG, whole or not at all; returns the path."""
    figure = Figure(figsize=(max(6, 1.6 * len(violins)), 4), layout="constrained")
    axes = figure.subplots()
    places = range(1, len(violins) + 1)
    axes.violinplot([violin.rates for violin in violins], positions=places, showmedians=True, widths=0.8)
    plain = [(place, violin.plain) for place, violin in zip(places, violins, strict=True) if violin.plain is not None]
    if plain:
        axes.plot(*zip(*plain, strict=True), "k*", markersize=11, label="plain model, plain speech")
        axes.legend(frameon=False)
    axes.set_xticks(places, [f"{violin.label}\n{len(violin.rates)} keys" for violin in violins])
    axes.set_ylabel(metric)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.4)
    return save(figure, path.with_suffix(""), "svg")
