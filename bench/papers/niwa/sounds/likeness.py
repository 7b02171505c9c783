"""How alike two sounds and two spectrograms are: intelligibility, correlation, distance in decibels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pystoi import stoi

from sotto.bench.rows.row import Metrics

Floats = npt.NDArray[np.float64]

LOUDEST_TO_FLOOR = 80.0  # decibels
_FAILED = 1e-5  # what pystoi gives beside a warning when there is too little speech


def intelligibility(plain: Floats, heard: Floats, rate: int) -> float | None:
    """STOI of ``heard`` against ``plain`` (samples,), 0 to 1 (Taal et al. 2011); None for less than 0.4 s of speech.

    Around 0.2 to 0.4 is what unrelated or unintelligible speech gets; above 0.7 most words are understood.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        score = float(stoi(plain, heard, rate, extended=False))
    return None if score == _FAILED or not np.isfinite(score) else score


def correlation(one: Floats, other: Floats) -> float:
    """Of all numbers in place, -1 to 1; 0 when one of the two is constant."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms > 0 else 0.0


def decibels(magnitudes: Floats) -> Floats:
    """Magnitudes against their largest: at most 0, and at least -80."""
    largest = max(float(magnitudes.max()), np.finfo(np.float64).tiny)
    return np.asarray(20 * np.log10(np.maximum(magnitudes / largest, 10 ** (-LOUDEST_TO_FLOOR / 20))), np.float64)


def from_decibels(levels: Floats) -> Floats:
    """The magnitudes of :func:`decibels`, the loudest 1."""
    return np.asarray(10 ** ((levels - levels.max()) / 20), np.float64)


def log_spectral_distance(one: Floats, other: Floats) -> float:
    """Root mean square over all bins of the difference of two spectrograms in decibels, each against its loudest."""
    return float(np.sqrt(np.mean((decibels(one) - decibels(other)) ** 2)))


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def means(measured: Sequence[Metrics]) -> Metrics:
    """The mean of every figure over examples that all have the same figures."""
    return {name: mean_of(one[name] for one in measured) for name in measured[0]}
