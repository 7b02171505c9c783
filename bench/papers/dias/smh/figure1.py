"""Dias, Abad, Trancoso, Figure 1: expected Hamming distance over Euclidean distance for k = 2, 3, 5, 10 at Δ = 3.

The closed form is drawn as a line and hashes under real keys, with 64 measurements per coefficient as in the paper, as
points; the paper's privacy thresholds and those of the closed form are marked. With the dither as the paper prints it
the curve depends on where the vectors lie: it is drawn for pairs around the origin, where features in [-1, 1] lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sotto import hashing
from sotto.bench.papers.dias.smh.study import PAPER_KS, Floats
from sotto.bench.papers.drawing import save
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.hashing.smh.theory import (
    euclidean_distance,
    expected_distance,
    expected_distance_paper,
    expected_slope,
    resolution_threshold,
    saturation,
    slope_threshold,
    small_distance_slope,
)

DESCRIPTION = "Hamming over Euclidean distance: closed form, real hashes and both dithers (PNG and SVG in --out)"

_DELTA, _MPC, _INPUTS = 3.0, 64, 88
_FARTHEST = 20.0


@dataclass(frozen=True, eq=False)
class _Curve:
    """For one k at distances (n,): mean and standard deviation over keys of the distance of hashes, and theory."""

    k: int
    distances: Floats
    measured: Floats
    deviation: Floats
    closed: Floats


def run(request: Request) -> list[Row]:
    """Draw the figure and return a row for each k."""
    keys = 10 if request.preset == "quick" else 50
    distances = np.array([0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20])
    curves = []
    for k in PAPER_KS:
        curves.append(_curve(k, distances, keys, request.seed))
        request.say(f"k = {k}: hashes under {keys} keys compared with the closed form")
    for path in _draw(curves, request.out):
        request.say(f"drawn: {path}")
    return [_row(curve, keys, request.seed) for curve in curves]


def _curve(k: int, distances: Floats, keys: int, seed: int) -> _Curve:
    # Pairs straddle the origin along the diagonal of the feature space.
    halves = distances[:, None] / 2 * np.ones(_INPUTS) / np.sqrt(_INPUTS)
    parameters = hashing.HashParameters(_INPUTS, k, _DELTA, _MPC)
    measured = np.array([_measured(halves, parameters, seed + key) for key in range(keys)])
    closed = expected_distance(distances, k, _DELTA)
    return _Curve(k, distances, measured.mean(axis=0), measured.std(axis=0, ddof=1), closed)


def _measured(halves: Floats, parameters: hashing.HashParameters, seed: int) -> Floats:
    """Hamming distance of the hashes of -half and half, for each of them (n, L)."""
    key = hashing.HashKey.generate(parameters, seed=seed)
    one, other = hashing.modular_hash(-halves, key), hashing.modular_hash(halves, key)
    return np.asarray((one != other).mean(axis=1), np.float64)


def _row(curve: _Curve, keys: int, seed: int) -> Row:
    k, symbols = curve.k, _INPUTS * _MPC
    error = np.sqrt(np.maximum(curve.closed * (1 - curve.closed), 1e-12) / (symbols * keys))
    far = expected_distance_paper([30.0, 0.0], [30.0, 2.0], k, _DELTA)
    near = expected_distance_paper([0.0, -1.0], [0.0, 1.0], k, _DELTA)
    metrics: dict[str, float | None] = {
        "saturation": saturation(k),
        "slope_near_zero": small_distance_slope(_DELTA),
        "slope_near_zero_measured": float(curve.measured[0] / curve.distances[0]),
        "largest_error": float(np.abs(curve.measured - curve.closed).max()),
        "largest_error_in_standard_errors": float((np.abs(curve.measured - curve.closed) / error).max()),
        "threshold_paper": hashing.PAPER_THRESHOLDS[k],
        "threshold_three_deviations": resolution_threshold(k, symbols),
        "threshold_slope_tenth": slope_threshold(k),
        "distance_at_threshold_paper": float(euclidean_distance(hashing.PAPER_THRESHOLDS[k], k, _DELTA)),
        "slope_left_at_threshold_paper": _slope_left(k, hashing.PAPER_THRESHOLDS[k]),
        "distance_2_at_origin_paper_dither": near,
        "distance_2_far_away_paper_dither": far,
        "distance_2_full_dither": float(expected_distance(2.0, k, _DELTA)),
        "most_frequent_symbol_at_origin_paper_dither": float(_symbol_shares(k).max()),
    }
    for d, closed, measured in zip(curve.distances, curve.closed, curve.measured, strict=True):
        metrics[f"closed_form_at_{d:g}"], metrics[f"measured_at_{d:g}"] = float(closed), float(measured)
    return Row(
        paradigm="plaintext",
        mode="hash-distance",
        seed=seed,
        n_queries=0,
        parameters={"k": k, "delta": _DELTA, "mpc": _MPC, "inputs": _INPUTS, "keys": keys},
        metrics=metrics,
        published={"threshold_paper": hashing.PAPER_THRESHOLDS[k]},
    )


def _slope_left(k: int, threshold: float) -> float:
    """Slope of the curve at ``threshold`` as a share of that near zero."""
    at = float(euclidean_distance(threshold, k, _DELTA))
    return float(expected_slope(at, k, _DELTA)) / small_distance_slope(_DELTA)


def _symbol_shares(k: int) -> Floats:
    """How often each symbol stands in the hash of the zero vector with w over [0, k): cells of width Δ from 0 to k."""
    edges = np.minimum(np.arange(k + 1) * _DELTA, k)
    return np.diff(edges) / k


def _draw(curves: list[_Curve], folder: Path) -> list[Path]:
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    fine = np.linspace(0, _FARTHEST, 400)
    diagonal = np.ones(_INPUTS) / np.sqrt(_INPUTS) / 2
    for number, curve in enumerate(curves):
        colour = f"C{number}"
        axes.plot(fine, expected_distance(fine, curve.k, _DELTA), colour, label=f"k = {curve.k}, closed form")
        axes.errorbar(curve.distances, curve.measured, curve.deviation, fmt="o", color=colour, markersize=3.5)
        paper = [expected_distance_paper(-d * diagonal, d * diagonal, curve.k, _DELTA) for d in fine[::8]]
        axes.plot(fine[::8], paper, colour, linestyle="--", linewidth=1)
        axes.axhline(hashing.PAPER_THRESHOLDS[curve.k], color=colour, linestyle=":", linewidth=1)
    axes.set(
        xlabel="Euclidean distance",
        ylabel="normalised Hamming distance",
        title=f"Δ = {_DELTA:g}, {_MPC} measurements per coefficient",
        xlim=(0, _FARTHEST),
        ylim=(0, 1),
    )
    axes.plot([], [], "k--", linewidth=1, label="paper's dither, pairs around the origin")
    axes.plot([], [], "k:", linewidth=1, label="paper's privacy threshold")
    axes.legend(fontsize=8, loc="lower right")
    return save(figure, folder / "figure1")
