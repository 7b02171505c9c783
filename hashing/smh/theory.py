"""What the Hamming distance of two hashes says about the Euclidean distance of two feature vectors, in closed form.

Let t = a·(y - x) / Δ be what one measurement moves by, in quantiser cells: Gaussian, with standard deviation d / Δ for
Euclidean distance d. With full-period dither the symbols agree with probability Σ_j max(0, 1 - |t - jk|), a triangle
wave of period k. Its Fourier coefficients are sinc²(n/k) / k, and the mean of cos(2πnt/k) is exp(-2(πnd / kΔ)²), so

    E d_H = 1 - 1/k - (2/k) Σ_{n ≥ 1} sinc²(n/k) exp(-2 (π n d / kΔ)²),        sinc z = sin(πz) / (πz).

It starts as √(2/π) d / Δ, grows with d, and saturates at 1 - 1/k, the distance of unrelated hashes. k = 2 is Boufounos
and Rane's formula for secure binary embeddings. Where w only reaches over [0, k), as Dias, Abad and Trancoso print it
(§4, equation 1), the mean also depends on where x and y lie: :func:`expected_distance_paper`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import erfc

from sotto.hashing.errors import HashingError

Floats = npt.NDArray[np.float64]

_TERMS = 64  # of the Fourier series where it is used: exp(-2 (64 π · 0.05)²) is zero in float64
_SERIES_FROM = 0.05  # d / kΔ from which on the series is summed; below it, the central tooth is exact
_FARTHEST = 3.0  # d / kΔ at which saturation is complete in float64


def saturation(k: int) -> float:
    """1 - 1/k: the expected normalised Hamming distance of the hashes of far-apart vectors."""
    return 1.0 - 1.0 / k


def small_distance_slope(delta: float) -> float:
    """√(2/π) / Δ: by how much the expected Hamming distance grows per unit of Euclidean distance, near zero."""
    return float(np.sqrt(2.0 / np.pi)) / delta


def expected_distance(distance: npt.ArrayLike, k: int, delta: float) -> Floats:
    """Expected normalised Hamming distance of two hashes with full-period dither.

    Parameters
    ----------
    distance
        Euclidean distances, any shape, not negative.
    k
        number of symbols.
    delta
        parameter of the hash, in the units of ``distance``.

    Returns
    -------
    Same shape, float64, from 0 at distance 0 to 1 - 1/k.
    """
    sigma = _cells(distance, delta)
    return np.where(sigma < _SERIES_FROM * k, _distance_near(sigma), 1.0 - _agreement_series(sigma, k))


def expected_slope(distance: npt.ArrayLike, k: int, delta: float) -> Floats:
    """Derivative of :func:`expected_distance` with respect to the Euclidean distance; same shape."""
    sigma = _cells(distance, delta)
    n = np.arange(1, _TERMS + 1) / k
    rates = 4.0 * (np.pi * n) ** 2
    far = 2.0 / k * np.sum(np.sinc(n) ** 2 * rates * sigma[..., None] * _decay(sigma, n), axis=-1)
    safe = np.maximum(sigma, 1e-100)  # 0 gives 0, without a warning
    near = -np.sqrt(2.0 / np.pi) * np.expm1(-0.5 / safe / safe)
    return np.where(sigma < _SERIES_FROM * k, near, far) / delta


def euclidean_distance(hamming: npt.ArrayLike, k: int, delta: float) -> Floats:
    """The Euclidean distance whose expected Hamming distance is ``hamming``: what an observer of two hashes infers.

    Same shape; infinite at and above saturation.
    """
    values = np.asarray(hamming, np.float64)
    grid = np.linspace(0.0, _FARTHEST * k, 4096)
    expected = expected_distance(grid, k, 1.0)
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(expected)) > 0])
    cells = np.interp(values, expected[rising], grid[rising])
    return np.where(values >= saturation(k), np.inf, cells * delta)


def resolution_threshold(k: int, symbols: int, deviations: float = 3.0) -> float:
    """Hamming distance below which two hashes of ``symbols`` symbols stand out from unrelated ones.

    Measurements are independent, so the distance of unrelated hashes has mean 1 - 1/k and variance (1/k)(1 - 1/k) /
    symbols; the threshold lies ``deviations`` standard deviations below the mean. It says what one observer of one pair
    can tell; it is no bound on what many pairs give together.
    """
    mean = saturation(k)
    return mean - deviations * float(np.sqrt(mean / k / symbols))


def slope_threshold(k: int, remaining: float = 0.1) -> float:
    """Expected Hamming distance at which its slope has fallen to ``remaining`` of the slope near zero.

    Where "the Hamming distance stops being proportional to the Euclidean distance", which the paper judged by eye.
    """
    if not 0 < remaining < 1:
        raise HashingError("bad-slope", f"the remaining slope is {remaining}; use a number between 0 and 1")
    wanted = remaining * small_distance_slope(1.0)
    cells = brentq(lambda d: float(expected_slope(d, k, 1.0)) - wanted, 0.01, _FARTHEST * k)
    return float(expected_distance(cells, k, 1.0))


def expected_distance_paper(x: npt.ArrayLike, y: npt.ArrayLike, k: int, delta: float, *, terms: int = 400) -> float:
    """Expected normalised Hamming distance of the hashes of two vectors (L,) with the paper's dither, w over [0, k).

    The probability of agreement as a double Fourier series over the frequencies p of x and q = km - p of y:

        (1/k) Σ_m φ(m) Σ_p sinc(p/k) sinc(q/k) exp(-iπm) exp(-2 (π / kΔ)² ‖p x + q y‖²),   φ(m) = E exp(2πi m w / Δ).

    Only m = 0 is left when φ vanishes, which is when Δ divides k. The series is cut at ``terms`` frequencies; the error
    is below k / (π² · terms) for x = y and far smaller for vectors that differ by more than Δ / terms.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    xx, yy, xy = float(a @ a), float(b @ b), float(a @ b)
    agreement = 0.0
    for m in range(terms // k + 1):
        p = np.arange(-terms, terms + 1, dtype=np.float64) + (k * m) // 2
        q = k * m - p
        decay = np.exp(-2.0 * (np.pi / (k * delta)) ** 2 * np.maximum(p * p * xx + q * q * yy + 2.0 * p * q * xy, 0.0))
        total = float(np.sum(np.sinc(p / k) * np.sinc(q / k) * decay)) / k
        # E exp(2πi m w/Δ) · exp(-iπm); the frequencies m and -m are conjugates, so twice the real part.
        reach = m * k / delta
        phase = float(np.cos(np.pi * (reach - m)) * np.sinc(reach))
        agreement += total * (1.0 if m == 0 else 2.0 * phase)
    return 1.0 - agreement


def _cells(distance: npt.ArrayLike, delta: float) -> Floats:
    """d / Δ, checked."""
    sigma = np.asarray(distance, np.float64) / delta
    if not bool((sigma >= 0).all()):
        raise HashingError("negative-distance", "Euclidean distances and delta are not negative")
    return sigma


def _decay(sigma: Floats, n: Floats) -> Floats:
    return np.exp(-2.0 * (np.pi * n * sigma[..., None]) ** 2)


def _agreement_series(sigma: Floats, k: int) -> Floats:
    n = np.arange(1, _TERMS + 1) / k
    return 1.0 / k + 2.0 / k * np.sum(np.sinc(n) ** 2 * _decay(sigma, n), axis=-1)


def _distance_near(sigma: Floats) -> Floats:
    """E min(1, |T|) for T normal with standard deviation ``sigma``: only the central tooth of the triangle wave.

    Where it is used the next tooth is at least ten standard deviations away.
    """
    safe = np.maximum(sigma, 1e-100)  # 0 gives 0, without a warning
    return np.sqrt(2.0 / np.pi) * sigma * -np.expm1(-0.5 / safe / safe) + erfc(1.0 / safe / np.sqrt(2.0))
