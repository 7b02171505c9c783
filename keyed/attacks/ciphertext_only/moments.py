"""First and second moments of speech in blocks: what the transforms leave for an attacker to compare.

If x' = x K then E[x'] = E[x] K, and every covariance becomes Kᵀ C K: of a block with itself, with the next, and so on.
The moments of encrypted speech are those of speech seen through the key, and those of speech anybody can measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sotto.keyed.encryption.transform import blocks

LAGS = 4


@dataclass(frozen=True)
class Moments:
    """Moments of blocks, float64, divided by the total variance, so that loudness does not matter.

    Attributes
    ----------
    mean
        (N,).
    covariances
        (LAGS + 1, N, N), entry [l, i, j] between number i of a block and number j of the block l later.
    count
        how many blocks they are from.
    """

    mean: Tensor
    covariances: Tensor
    count: int

    @classmethod
    def of(cls, speech: Tensor, block_size: int, dimension: int) -> Moments:
        """Of ``speech`` (clips, ..., samples) or (clips, ..., mel bands, frames), plain or encrypted."""
        apart = blocks(speech, block_size, dimension).double()
        length = apart.shape[-1]
        mean = apart.reshape(-1, length).mean(0)
        centred = apart - mean
        covariances = centred.new_zeros(LAGS + 1, length, length)
        for lag in range(min(LAGS + 1, apart.shape[2])):
            now = centred[:, :, : apart.shape[2] - lag].reshape(-1, length)
            later = centred[:, :, lag:].reshape(-1, length)
            covariances[lag] = now.T @ later / len(now)
        variance = covariances[0].trace().clamp(min=1e-30)
        return cls(mean / variance.sqrt(), covariances / variance, apart.shape[:3].numel())


class Stationarity:
    """Projection of covariances onto those of speech whose statistics do not depend on where a block begins.

    The covariance of two samples then depends on the time between them (and, in a spectrogram, on their two mel bands)
    alone; :meth:`nearest` replaces entries that must be equal by their mean.
    """

    def __init__(self, block_size: int, dimension: int) -> None:
        place = torch.arange(block_size**dimension)
        time = place % block_size
        band = place // block_size  # 0 throughout in a waveform
        apart = torch.arange(LAGS + 1)[:, None, None] * block_size + time[None, :] - time[:, None]
        first, second = band[:, None].expand_as(apart), band[None, :].expand_as(apart)
        # Backwards in time is the same pair the other way round, and at the same time a pair has no order.
        turned = (apart < 0) | ((apart == 0) & (first > second))
        pair = torch.where(turned, second * block_size + first, first * block_size + second)
        _, self._group = torch.unique(apart.abs() * block_size**2 + pair, return_inverse=True)
        self._sizes = torch.bincount(self._group.flatten()).double()

    def nearest(self, covariances: Tensor) -> Tensor:
        """Of (batch, LAGS + 1, N, N), float64."""
        flat = covariances.flatten(1)
        sums = flat.new_zeros(len(flat), len(self._sizes)).index_add(1, self._group.flatten(), flat)
        means: Tensor = (sums / self._sizes)[:, self._group.flatten()]
        return means.reshape(covariances.shape)
