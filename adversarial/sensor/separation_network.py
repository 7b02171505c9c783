"""The source separation network M: a U-Net that masks speech out of a magnitude spectrogram.

Six encoder blocks (5×5 convolution with stride 2, batch normalisation, LeakyReLU), six decoder blocks (transposed
convolution, batch normalisation, ReLU) that also see the encoder's output of their size, and a sigmoid (Luong et al.,
§3.2, after Jansson et al., ISMIR 2017, from where the slope 0.2 and the dropout in the first three decoder blocks are).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.link import BadValue

_SLOPE, _DROPOUT, _DROPPED = 0.2, 0.5, 3
MAX_FILTERS = 4096


class SeparationNetwork(nn.Module):
    """Magnitudes (n, bins, frames) to a mask in [0, 1] of the same shape; 1 keeps, 0 removes."""

    def __init__(self, filters: tuple[int, ...] = (16, 32, 64, 128, 256, 512), dropout: float = _DROPOUT) -> None:
        """Args: filters: of each encoder block.  Raises ValueError for none, too many, or sizes out of range."""
        super().__init__()
        if not 1 <= len(filters) <= 8 or not all(1 <= width <= MAX_FILTERS for width in filters):
            raise BadValue("out-of-range", f"filters are 1 to 8 numbers from 1 to {MAX_FILTERS}")
        inputs = (1, *filters[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 5, stride=2, padding=2), nn.BatchNorm2d(b), nn.LeakyReLU(_SLOPE))
            for a, b in zip(inputs, filters, strict=True)
        )
        deeper = [filters[-1], *(2 * width for width in reversed(filters[:-1]))]  # a decoder block also sees the skip
        narrower = [*reversed(filters[:-1]), 1]
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2) for a, b in zip(deeper, narrower, strict=True)
        )
        self.finish = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(b), nn.ReLU(), nn.Dropout2d(dropout if i < _DROPPED else 0.0))
            for i, b in enumerate(narrower[:-1])
        )

    def forward(self, magnitudes: Tensor) -> Tensor:
        """The mask, float32 (n, bins, frames)."""
        levels = [torch.log1p(magnitudes).unsqueeze(1)]
        for block in self.encoder:
            levels.append(block(levels[-1]))
        x = levels.pop()
        for number, convolution in enumerate(self.decoder):
            skip = levels.pop()
            x = convolution(x, output_size=skip.shape[-2:])
            if levels:
                x = torch.cat([self.finish[number](x), skip], dim=1)
        return F.sigmoid(x).squeeze(1)
