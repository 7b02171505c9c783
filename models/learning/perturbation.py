"""Augmentation of waveforms and spectrograms, done on the normalised features themselves.

Training sees every clip a little earlier or later, louder or softer, with stretches masked (SpecAugment, Park et al.
2019). What the model sees at inference is the plain feature; nothing here runs there.
"""

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from sotto.link import BadValue
from sotto.models.learning.augmentation import mask, spread


@dataclass(frozen=True)
class Perturbation:
    """How far a training example (..., length) may differ from the feature; everything is drawn per example.

    Attributes
    ----------
    shift
        share of the length the example is moved at most, either way; what leaves at one end enters at the other.
    gain
        standard deviation of the natural logarithm of a factor, for waveforms (their sign changes half the time).
    bands, band_width
        how many stretches of mel bands are masked, each up to this wide.
    moments, moment_width
        how many stretches of time are masked, each up to this share of the length.
    """

    shift: float = 0.05
    gain: float = 0.0
    bands: int = 0
    band_width: float = 0.0
    moments: int = 0
    moment_width: float = 0.0

    def __post_init__(self) -> None:
        if min(self.shift, self.gain, self.bands, self.band_width, self.moments, self.moment_width) < 0:
            raise BadValue("out-of-range", "amounts of perturbation must not be negative")


class Perturbed:
    """Training examples (:class:`sotto.models.learning.training.Examples`) that are perturbed whenever they are
    drawn."""

    def __init__(self, features: NDArray, perturbation: Perturbation) -> None:
        """``features`` float32 (n, samples) or (n, mels, frames), normalised, so that 0 is an average value."""
        self._rows = torch.from_numpy(features)
        self._how = perturbation

    def __len__(self) -> int:
        return len(self._rows)

    def plain(self, indices: Tensor) -> Tensor:
        """The rows, (k, ...)."""
        return self._rows[indices]

    def draw(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Perturbed rows, (k, ...)."""
        how, k = self._how, len(indices)
        rows = self._rows[indices]
        x = rows if rows.ndim == 3 else rows[:, None]  # (k, bands or 1, length)
        length = x.shape[2]
        moved = spread(k, how.shift * length, generator).round().long()
        place = (torch.arange(length) + moved[:, None]) % length
        x = x.gather(2, place[:, None].expand(-1, x.shape[1], -1))
        if how.gain:
            sign = torch.randint(0, 2, (k, 1, 1), generator=generator) * 2 - 1
            x = x * sign * torch.exp(how.gain * torch.randn(k, 1, 1, generator=generator))
        average = torch.zeros(1)
        x = mask(x, 1, how.bands, how.band_width, average, generator)
        x = mask(x, 2, how.moments, how.moment_width * length, average, generator)
        return x.reshape(rows.shape)
