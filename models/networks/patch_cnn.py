"""Emotion networks whose first convolution reads its input in blocks, as secret-key transforms require.

The first layer is a convolution with kernel = stride = M and no padding, so each block of M samples, or of M mel bands
x M frames, meets the kernel exactly once and nothing else touches the input (Niwa, Shiota, Kiya, section III-B). Any
normalisation is part of the features: public statistics that Alice applies before she encrypts.
"""

import torch
from torch import Tensor, nn


class WavePatchCNN(nn.Module):
    """Waveform -> Conv1d @M stride M -> filters with logarithmic energies -> three Conv1d blocks -> pooled head.

    Input float32 (n, samples) or (n, 1, samples), what does not fill a block of M at the end is not read; output
    float32 (n, classes) logits. At 16 kHz and M = 10 a frame of the pooled head stands for 40 ms.
    """

    def __init__(
        self, classes: int = 8, *, block_size: int = 10, channels: int = 24, width: int = 48, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.patches = nn.Conv1d(1, channels, block_size, stride=block_size)
        self.filters = nn.Sequential(
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, width, 16, stride=4, padding=8),
            nn.BatchNorm1d(width),
            _LogMagnitude(),
            nn.AvgPool1d(4),
            nn.BatchNorm1d(width),
        )
        self.trunk = nn.Sequential(*_block1d(width, 5, 2), *_block1d(width, 5, 2), *_block1d(width, 3, 1))
        self.head = _Head(width, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        x = x.reshape(x.shape[0], 1, x.shape[-1])
        return self.head(self.trunk(self.filters(self.patches(x))))


class SpectrogramPatchCNN(nn.Module):
    """Log-mel frames -> Conv2d @M x M stride M -> four Conv2d blocks -> pooled head.

    Input float32 (n, mels, frames) or (n, 1, mels, frames), bands and frames that do not fill a block of M at the end
    are not read; output float32 (n, classes) logits.
    """

    def __init__(
        self, classes: int = 8, *, block_size: int = 8, channels: int = 48, width: int = 96, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, channels, block_size, stride=block_size)
        self.trunk = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            *_block2d(channels, channels, 1),
            *_block2d(channels, width, 2),
            *_block2d(width, width, 2),
            *_block2d(width, width, 1),
        )
        self.head = _Head(width, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        x = x.reshape(x.shape[0], 1, x.shape[-2], x.shape[-1])
        return self.head(self.trunk(self.patches(x)))


class _LogMagnitude(nn.Module):
    """Compresses filter outputs the way loudness does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(10 * x.abs())


class _Head(nn.Module):
    """Mean and maximum over all positions, then one linear layer."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        return self.linear(self.dropout(torch.cat([x.mean(2), x.amax(2)], 1)))


def _block1d(width: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv1d(width, width, kernel, stride, kernel // 2), nn.BatchNorm1d(width), nn.ReLU()


def _block2d(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()
