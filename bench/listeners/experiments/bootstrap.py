"""Confidence intervals of figures whose observations come in speakers: whole speakers are drawn, not clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.link import BadValue

_DRAWS = 1000
_TAIL = 2.5  # per cent on either side

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpeakerInterval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def over_speakers(
    figure: Callable[[Floats], float], speakers: npt.NDArray[np.str_], *, draws: int = _DRAWS, seed: int = 0
) -> SpeakerInterval:
    """The figure, and the percentiles of what it is for speakers drawn with replacement (Efron, 1979).

    Draws in which the figure cannot be computed (fewer than two speakers) are drawn again.

    Parameters
    ----------
    figure
        from a weight for every observation (n,), how often its speaker was drawn.
    speakers
        (n,) whose observation it is; at least two.

    Raises
    ------
    ValueError
        there is one speaker alone.
    """
    names, member = np.unique(speakers, return_inverse=True)
    if len(names) < 2:
        raise BadValue("too-few-speakers", "an interval over speakers needs at least two of them")
    generator = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < draws:
        times = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        if np.count_nonzero(times) > 1:
            found.append(figure(times[member].astype(np.float64)))
    low, high = np.percentile(found, [_TAIL, 100 - _TAIL])
    return SpeakerInterval(float(figure(np.ones(len(speakers)))), float(low), float(high))
