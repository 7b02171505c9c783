"""What runs at Alice's: from a segment of sound to the representation z that she sends.

Spectrogram, source separation mask M (or none), 64 log-mel bands, feature extractor F (Luong et al., Figure 1).  The
sensor is public: Bob may know every weight of it, and every attacker of this package does.  It keeps no secret; it
only leaves things out, and what it leaves in was measured by attackers trained afterwards.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sotto.adversarial.sensor.extractor import Extractor
from sotto.adversarial.sensor.separation_network import SeparationNetwork
from sotto.adversarial.sensor.spectrogram import LogMel, Spectrogram
from sotto.link import BadValue

Mask = Literal["none", "continuous", "binary"]
BINARY_THRESHOLD = 0.4
PUBLISHED_FLOOR = 1e-10


class Sensor(nn.Module):
    """Segments (n, samples) float32 at ``rate``, on the scale of :mod:`sotto.adversarial.sounds.segments`, to z (n,
    dimensions)."""

    def __init__(
        self,
        rate: int = 16_000,
        mask: Mask = "continuous",
        separation: tuple[int, ...] = (16, 32, 64, 128, 256, 512),
        extractor: tuple[int, ...] = (64, 128, 256, 512),
        mels: int = 64,
        dimensions: int = 64,
        floor: float = PUBLISHED_FLOOR,
    ) -> None:
        """A sensor with freshly drawn weights.

        Parameters
        ----------
        rate
            samples per second.
        mask
            what is removed before the log-mel bands: nothing, or what M's mask in [0, 1] leaves out, or that
            mask after its values below 0.4 became 0 and the others 1.
        separation, extractor
            filters of each block of M and F.
        mels, dimensions
            bands, and size of z.
        floor
            see :class:`sotto.adversarial.sensor.spectrogram.LogMel`.

        Raises
        ------
        ValueError
            an argument out of range.
        """
        super().__init__()
        if mask not in get_args(Mask):
            raise BadValue("unknown-mask", f"mask must be one of {', '.join(get_args(Mask))}")
        self.rate, self.mask, self.dimensions = rate, mask, dimensions
        self.spectrogram = Spectrogram(rate)
        self.separation = None if mask == "none" else SeparationNetwork(separation)
        self.log_mel = LogMel(rate, self.spectrogram.bins, mels, floor)
        self.extractor = Extractor(mels, extractor, dimensions)

    def mask_of(self, magnitudes: Tensor) -> Tensor:
        """What each bin is multiplied by, float32 (n, bins, frames)."""
        if self.separation is None:
            return torch.ones_like(magnitudes)
        mask: Tensor = self.separation(magnitudes)
        return (mask >= BINARY_THRESHOLD).to(mask.dtype) if self.mask == "binary" else mask

    def bands(self, segments: Tensor) -> Tensor:
        """Log-mel bands of the masked sound, (n, mels, frames): what F sees."""
        magnitudes = self.spectrogram(segments)
        bands: Tensor = self.log_mel(magnitudes * self.mask_of(magnitudes))
        return bands

    def forward(self, segments: Tensor) -> Tensor:
        """The representation z, float32 (n, dimensions)."""
        z: Tensor = self.extractor(self.bands(segments))
        return z
