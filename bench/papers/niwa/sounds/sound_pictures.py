"""Pictures of sounds: waveforms above spectrograms, side by side, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sotto.bench.papers.drawing import save

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """A column of the picture: ``waveform`` (samples,) and ``spectrogram`` (bins, frames), either may be missing.

    ``limits`` of the colours; None takes the spectrogram's own.
    """

    title: str
    waveform: Floats | None = None
    spectrogram: Floats | None = None
    limits: tuple[float, float] | None = None


def draw(panels: Sequence[Panel], stem: Path, *, seconds: float, rate: int, unit: str = "dB") -> list[Path]:
    """Write ``stem``.png and ``stem``.svg; returns the two paths."""
    waves = any(panel.waveform is not None for panel in panels)
    pictures = any(panel.spectrogram is not None for panel in panels)
    heights = [1.0] * waves + [2.2] * pictures
    figure = Figure(figsize=(3.6 * len(panels), 0.5 + 1.5 * sum(heights)), layout="constrained")
    grid = figure.subplots(
        len(heights), len(panels), squeeze=False, gridspec_kw={"height_ratios": heights}, sharex=True
    )
    for column, panel in enumerate(panels):
        top = grid[0 if panel.waveform is not None else -1][column]
        top.set_title(panel.title, fontsize=9)
        if waves:
            _waveform(grid[0][column], panel.waveform, seconds)
        if pictures:
            _spectrogram(figure, grid[-1][column], panel, seconds, rate, unit)
        grid[-1][column].set_xlabel("time, s", fontsize=8)
    for row in grid:
        row[0].tick_params(labelsize=7)
    if pictures:
        grid[-1][0].set_ylabel("frequency, kHz", fontsize=8)
    return save(figure, stem)


def write_sound(path: Path, sound: Floats, rate: int) -> None:
    """A WAV file of ``sound`` (samples,), its loudest sample at 0.9."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.9 * sound / max(np.abs(sound).max(), 1e-12), rate, subtype="PCM_16")


def _waveform(axes: Axes, samples: Floats | None, seconds: float) -> None:
    axes.tick_params(labelsize=7)
    if samples is None:
        axes.set_axis_off()
        return
    largest = max(float(np.abs(samples).max()), np.finfo(np.float64).tiny)
    axes.plot(np.linspace(0, seconds, len(samples)), samples / largest, linewidth=0.4, rasterized=True)
    axes.set_ylim(-1.05, 1.05)


def _spectrogram(figure: Figure, axes: Axes, panel: Panel, seconds: float, rate: int, unit: str) -> None:
    axes.tick_params(labelsize=7)
    if panel.spectrogram is None:
        axes.set_axis_off()
        return
    low, high = panel.limits or (float(panel.spectrogram.min()), float(panel.spectrogram.max()))
    image = axes.imshow(
        panel.spectrogram,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, rate / 2000),
        vmin=low,
        vmax=high,
        cmap="magma",
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.9)
    bar.set_label(unit, fontsize=7)
    bar.ax.tick_params(labelsize=7)
