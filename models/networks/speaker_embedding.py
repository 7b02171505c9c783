"""A speaker embedding network on waveforms whose first convolution reads its input in blocks.

Two linear convolutions, blocks of M samples and then filters over blocks, compose to one filterbank of windows of 25 ms
every 10 ms, so a first layer of kernel = stride = M costs no frequency resolution.  They start out as a short-time
Fourier transform; its power is summed into mel bands and its logarithm goes through an ECAPA-style trunk: dilated
convolutions with squeeze-and-excitation, all of their outputs together, attentive statistics over time (Desplanques,
Thienpondt, Demuynck, "ECAPA-TDNN", Interspeech 2020).

The first two layers stay what they started as.  Whoever holds the second can therefore compute the first, and from an
encrypted first one its key: :mod:`sotto.keyed` hides nothing in a model whose first layer can be told from the others.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor, nn

from sotto.models.networks.bounds import MAX_BLOCK, MAX_WIDTH, require_between

RATE = 16000
_WINDOW, _HOP = 400, 160
MAX_BANDS = 96  # of more some hold no frequency of the shortest window
FLOOR = 1e-4  # added to the power in every band, for a sound of unit power


class SpeakerEmbedding(nn.Module):
    """Waveform -> Conv1d @M stride M -> filters -> log-mel -> ECAPA-style trunk -> embedding.

    Input float32 (n, samples) or (n, 1, samples) at 16 kHz, of unit power; what does not fill a block of M at the end
    is not read.  Output float32 (n, size); two embeddings are compared by their cosine.
    """

    def __init__(self, size: int = 128, *, block_size: int = 10, bands: int = 64, width: int = 128) -> None:
        """Raises ValueError for sizes out of range, or bands that are narrower than what the window tells apart."""
        super().__init__()
        require_between(1, MAX_WIDTH, size=size)
        require_between(4, MAX_WIDTH, width=width)
        self.arguments = {"size": size, "block_size": block_size, "bands": bands, "width": width}
        self.front = FilterbankFrontEnd(block_size, bands)
        self.trunk = EmbeddingTrunk(size, bands=bands, width=width)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (n, size)."""
        return self.trunk(self.front(x))


class FilterbankFrontEnd(nn.Module):
    """Waveform (n, samples) -> log-mel frames (n, bands, frames), one every 10 ms, by two linear convolutions.

    Window and hop are the nearest multiples of the block size to 400 and 160 samples.
    """

    def __init__(self, block_size: int, bands: int) -> None:
        """Raises ValueError for sizes out of range: the transform is a table of them."""
        super().__init__()
        require_between(1, MAX_BLOCK, block_size=block_size)
        require_between(1, MAX_BANDS, bands=bands)
        window, hop = (max(1, round(length / block_size)) for length in (_WINDOW, _HOP))
        bins = window * block_size // 2 + 1
        self.patches = nn.Conv1d(1, block_size, block_size, stride=block_size, bias=False)
        self.filters = nn.Conv1d(block_size, 2 * bins, window, stride=hop, bias=False)
        self.bands = nn.Conv1d(bins, bands, 1, bias=False)
        with torch.no_grad():
            patches = torch.linalg.qr(self.patches.weight[:, 0])[0]
            transform = fourier(window * block_size).reshape(2 * bins, window, block_size)
            mel = librosa.filters.mel(sr=RATE, n_fft=window * block_size, n_mels=bands, fmin=20.0, norm=None)
            self.patches.weight.copy_(patches[:, None])
            self.filters.weight.copy_((transform.to(patches.device) @ patches.T).transpose(1, 2))
            self.bands.weight.copy_(torch.from_numpy(mel / mel.sum(1, keepdims=True))[:, :, None])

    def forward(self, x: Tensor) -> Tensor:
        """Natural logarithms of mel power, (n, bands, frames)."""
        x = x.reshape(x.shape[0], 1, x.shape[-1])
        real, imaginary = self.filters(self.patches(x)).chunk(2, 1)
        return torch.log(self.bands(real * real + imaginary * imaginary) + FLOOR)


class EmbeddingTrunk(nn.Module):
    """Log-mel frames (n, bands, frames) -> embedding (n, size); the mean of every band over time is subtracted."""

    def __init__(self, size: int, *, bands: int, width: int) -> None:
        super().__init__()
        self.inward = nn.Sequential(nn.Conv1d(bands, width, 5, stride=2, padding=2), nn.ReLU(), nn.BatchNorm1d(width))
        self.blocks = nn.ModuleList([_Block(width, dilation) for dilation in (1, 2, 3)])
        self.together = nn.Sequential(nn.Conv1d(3 * width, 3 * width, 1), nn.ReLU())
        self.pooling = _AttentiveStatistics(3 * width, width // 2)
        self.outward = nn.Sequential(nn.BatchNorm1d(6 * width), nn.Linear(6 * width, size), nn.BatchNorm1d(size))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (n, size)."""
        x = self.inward((x - x.mean(2, keepdim=True)) / 2)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.outward(self.pooling(self.together(torch.cat(outputs, 1))))


class _Block(nn.Module):
    """Dilated convolution between two of kernel 1, squeeze-and-excitation, and the input added."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, width, 1),
            nn.ReLU(),
            nn.BatchNorm1d(width),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.BatchNorm1d(width),
            nn.Conv1d(width, width, 1),
            nn.ReLU(),
            nn.BatchNorm1d(width),
        )
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y * self.gate(y.mean(2))[:, :, None]


class _AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, each channel with weights of its own."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Conv1d(width, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.softmax(self.attention(x), 2)
        mean = (x * weight).sum(2)
        variance = (x * x * weight).sum(2) - mean * mean
        return torch.cat([mean, torch.sqrt(variance.clamp(min=1e-5))], 1)


def fourier(window: int) -> Tensor:
    """Real and imaginary parts of a transform under a Hann window, (2 bins, window): white noise of power 1 gives 1."""
    hann = np.hanning(window + 2)[1:-1]
    time, bins = np.arange(window), np.arange(window // 2 + 1)
    angle = 2 * np.pi * bins[:, None] * time / window
    scale = hann / np.sqrt((hann**2).sum())
    return torch.from_numpy(np.concatenate([np.cos(angle) * scale, -np.sin(angle) * scale]).astype(np.float32))
