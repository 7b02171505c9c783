"""What many measurements, each known only modulo a period and to within a cell, say together about an unknown vector.

A symbol h of a hash says that a·x + w lies in a cell of width Δ, modulo kΔ: in one of a comb of intervals. The belief
about the unknown vector is kept Gaussian. Given what is believed so far, one measurement is a Gaussian number; the comb
cuts out its parts; mean and covariance of what is left are the next belief (assumed density filtering). Measurements
that can be predicted to within a period say most and should come first; those that cannot are nearly free of content.

Both attacks on hashes are this one computation: with the key known, the features are the unknown vector
(:mod:`sotto.hashing.attacks.known_key`); with features known, a row of the key is
(:mod:`sotto.hashing.attacks.known_pairs`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from sklearn.covariance import ledoit_wolf

Floats = npt.NDArray[np.float64]

_HOPELESS = 3.0  # periods of uncertainty beyond which a measurement says nothing: exp(-2π² 3²)
_RIDGE = 1e-3  # of the mean variance: a prior estimated from few utterances stays invertible


def gaussian(examples: Floats) -> tuple[Floats, Floats]:
    """Mean (L,) and covariance (L, L) of ``examples`` (m, L): a prior belief.

    Shrunk as Ledoit and Wolf do, so that a few dozen examples do not pass for certainty in the directions they lack.
    """
    mean = examples.mean(axis=0)
    covariance, _ = ledoit_wolf(examples)
    ridge = _RIDGE * max(float(np.trace(covariance)) / len(mean), 1e-12)
    return mean, covariance + ridge * np.eye(len(mean))


def filtered(
    directions: Floats,
    centres: Floats,
    means: Floats,
    covariances: Floats,
    *,
    cell: float,
    period: float,
    noise: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Beliefs about ``n`` unknown vectors after the same ``m`` measurements of each, taken in the order given.

    Parameters
    ----------
    directions
        (m, L), what is measured: measurement i of vector z is directions[i]·z.
    centres
        (n, m), middle of the cell it was found in, modulo ``period``.
    means, covariances
        prior beliefs (n, L) and (n, L, L); left as they are.
    cell, period
        width of a cell, and how far apart cells are that look the same.
    noise
        (m,), variance of what the measurements have besides directions[i]·z; default none.

    Returns
    -------
    means (n, L) and covariances (n, L, L).
    """
    means, covariances = means.copy(), covariances.copy()
    extra = np.zeros(len(directions)) if noise is None else noise
    for i, direction in enumerate(directions):
        spread = covariances @ direction
        variance = np.maximum(spread @ direction, 1e-12) + extra[i]
        offset = centres[:, i] - means @ direction
        offset -= period * np.round(offset / period)
        shift, left = _comb_moments(offset, variance, period, cell / 2)
        gain = spread / variance[:, None]
        means += gain * shift[:, None]
        covariances -= (gain * ((variance - left) / variance)[:, None])[:, :, None] * spread[:, None, :]
    return means, covariances


def _comb_moments(offset: Floats, variance: Floats, period: float, half: float) -> tuple[Floats, Floats]:
    """Mean and variance of z ~ N(0, variance), given that z is within ``half`` of offset + j · period for some j."""
    sigma = np.sqrt(variance)
    if sigma.min() > _HOPELESS * period:
        return np.zeros_like(offset), variance
    reach = int(np.ceil(6.0 * sigma.max() / period)) + 1
    centre = offset[:, None] + np.arange(-reach, reach + 1) * period
    low, high = (centre - half) / sigma[:, None], (centre + half) / sigma[:, None]
    # Differences of the smaller tail, which do not cancel.
    weight = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    at_low, at_high = np.exp(-0.5 * low**2), np.exp(-0.5 * high**2)
    scale = np.sqrt(2.0 * np.pi) * np.maximum(weight.sum(axis=1), 1e-300)
    first = (at_low - at_high).sum(axis=1) / scale
    second = 1.0 + (low * at_low - high * at_high).sum(axis=1) / scale
    impossible = weight.sum(axis=1) < 1e-250  # contradicts what was believed: keep the belief
    shift = np.where(impossible, 0.0, sigma * first)
    left = np.where(impossible, variance, variance * np.maximum(second - first**2, 1e-9))
    return shift, np.minimum(left, variance)
