"""From a segment of sound to its magnitude spectrogram, and from that to log-mel bands.

Short-time Fourier transform with a Hamming window of 32 ms every 10 ms, and 64 mel bands (Luong et al., §3.2; the
sizes scale with the sampling rate, as there).  Both steps are differentiable, so that a mask between them can be
learnt.  Nothing here is learnt, and nothing here is secret.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sotto.audio.features.mel import mel_filters
from sotto.link import BadValue

WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.010
RATES = (8_000, 96_000)
MAX_FLOOR = 1e6


class Spectrogram(nn.Module):
    """Waveforms (n, samples) float32 at ``rate`` to magnitudes (n, bins, frames), frames centred."""

    window: Tensor

    def __init__(self, rate: int) -> None:
        """Raises ValueError for a rate outside ``RATES``."""
        super().__init__()
        if not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
            raise BadValue("wrong-rate", f"the rate must be a whole number from {RATES[0]} to {RATES[1]} Hz")
        self.size = 2 * round(rate * WINDOW_SECONDS / 2)
        self.hop = round(rate * HOP_SECONDS)
        self.register_buffer("window", torch.hamming_window(self.size), persistent=False)

    @property
    def bins(self) -> int:
        """Frequencies, from 0 to half the rate."""
        return self.size // 2 + 1

    def transform(self, waveforms: Tensor) -> Tensor:
        """The complex spectrogram, complex64 (n, bins, frames)."""
        return torch.stft(
            waveforms, self.size, self.hop, window=self.window, center=True, pad_mode="constant", return_complex=True
        )

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Waveforms (n, samples) whose complex spectrogram comes closest to ``spectrum``."""
        return torch.istft(spectrum, self.size, self.hop, window=self.window, center=True, length=samples)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Magnitudes, float32 (n, bins, frames)."""
        return self.transform(waveforms).abs()


class LogMel(nn.Module):
    """Magnitudes (n, bins, frames) to mel power in decibels (n, mels, frames).

    Power below ``floor`` counts as ``floor``: what a mask leaves of a voice disappears only under a floor that is
    above it.
    """

    filters: Tensor

    def __init__(self, rate: int, bins: int, mels: int, floor: float) -> None:
        """Raises ValueError for mel bands that are not fewer than the bins, or a floor that is not positive."""
        super().__init__()
        if not 1 <= mels < bins:
            raise BadValue("out-of-range", f"mels must be from 1 to {bins - 1}")
        if not 0 < floor <= MAX_FLOOR:
            raise BadValue("out-of-range", f"the floor must be more than 0 and at most {MAX_FLOOR:g}")
        self.floor = floor
        bank = mel_filters(rate, 2 * (bins - 1), mels, 0.0, None)
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Decibels re 1, float32 (n, mels, frames)."""
        return 10 * torch.log10(torch.matmul(self.filters, magnitudes.square()).clamp_min(self.floor))
