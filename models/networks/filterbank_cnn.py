"""A network of samples whose first layer is a fixed bank of band-pass filters: no logarithm, nothing but products and
sums.

Each band is a pair of filters a quarter of a period apart, whose squares add up to the power in the band, as in a
spectrogram of windows: longer ones for the narrow low bands, as hearing has them.  Powers span far more than the
polynomials behind them like, so the samples come companded (:class:`sotto.audio.features.SampleBlocks`): a memoryless
curve of Alice's device, and all that it computes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sotto.audio.features.mel import mel_bands
from sotto.link import BadValue
from sotto.models.networks.emotion_cnn import strided
from sotto.models.networks.mlp import Activation, activation_of

_GAIN = 10.0  # of the filters: the powers of companded speech are then around one
_LOWEST, _HIGHEST = 80.0, 0.475  # centres of bands: from so many Hz to such a share of the rate


class FilterbankCNN(nn.Module):
    """Samples in blocks -> filters, squares, sums -> Conv1d 64@5 and 128@5, stride 2 -> mean -> linear.

    Input float32 (n, block, blocks) in [-1, 1]; output float32 (n, classes) logits.  Batch norms are affine and fold
    into what is beside them; polynomials in place of ReLU take ``anneal`` training steps to become so.
    """

    def __init__(
        self,
        classes: int = 8,
        *,
        block: int = 128,
        blocks: int = 128,
        rate: int = 8000,
        bands: int = 32,
        window: int = 3,
        dropout: float = 0.4,
        activation: Activation = "relu",
        anneal: int = 0,
    ) -> None:
        """``window``: blocks that a filter spans, an odd number."""
        super().__init__()
        if min(block, blocks // 2, bands) < 1 or window < 1 or window % 2 == 0 or rate < 1000:
            raise BadValue("out-of-range", "a filterbank needs blocks, bands, an odd window and a rate of 1000 or more")
        self.bands = bands
        self.filters = nn.Conv1d(block, 2 * bands, window, padding=window // 2, bias=False)
        with torch.no_grad():
            kernels = _GAIN * filterbank(bands, window * block, rate)
            self.filters.weight.copy_(torch.from_numpy(kernels.reshape(-1, window, block).transpose(0, 2, 1)))
        self.filters.requires_grad_(False)
        self.smooth = nn.AvgPool1d(2)
        self.scale = nn.BatchNorm1d(bands)
        self.trunk = nn.Sequential(
            *strided(bands, 64, activation_of(activation, anneal)),
            *strided(64, 128, activation_of(activation, anneal)),
        )
        self.pool = nn.AvgPool1d((blocks // 2 + 3) // 4)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        filtered = self.filters(x)
        power = (filtered * filtered).unflatten(1, (2, self.bands)).sum(1)
        return self.head(self.pool(self.trunk(self.scale(self.smooth(power)))))


def filterbank(bands: int, length: int, rate: int) -> npt.NDArray[np.float64]:
    """Cosines, then sines, of ``bands`` centres equally spaced on Slaney's scale, (2 · bands, length).

    Each under a Hann window of two periods of its band's width, or of ``length`` where that is shorter; the windows sum
    to one.
    """
    centres = mel_bands(_LOWEST, _HIGHEST * rate, bands)
    widths = np.gradient(centres) if bands > 1 else np.array([rate / 4])
    moments = np.arange(length)
    found = np.zeros((2, bands, length))
    for band, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        own = min(length, max(2, int(2 * rate / width)))
        first = (length - own) // 2
        window = np.zeros(length)
        window[first : first + own] = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(own) + 0.5) / own)
        turns = 2 * np.pi * centre / rate * moments
        found[:, band] = np.stack([np.cos(turns), np.sin(turns)]) * window / window.sum()
    return found.reshape(2 * bands, length)
