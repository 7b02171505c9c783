"""The feature extractor F: log-mel bands to the representation z.

CNN6 of Kong et al. (PANNs) as Luong et al. (§3.2) use it: four blocks of a 3×3 convolution, ReLU and batch
normalisation, 2×2 max pooling after the first three, the maximum over time and frequency after the last, and one
linear layer.  As in CNN6, every mel band is batch-normalised first.
"""

from __future__ import annotations

from torch import Tensor, nn

from sotto.link import BadValue

MAX_FILTERS = 4096


class Extractor(nn.Module):
    """Log-mel bands (n, mels, frames) in decibels to z (n, dimensions)."""

    def __init__(self, mels: int = 64, filters: tuple[int, ...] = (64, 128, 256, 512), dimensions: int = 64) -> None:
        """Args: filters: of each block.  Raises ValueError for none, too many, or sizes out of range."""
        super().__init__()
        if not 1 <= len(filters) <= 8 or not all(1 <= width <= MAX_FILTERS for width in (*filters, dimensions)):
            raise BadValue("out-of-range", f"filters are 1 to 8 numbers, they and dimensions from 1 to {MAX_FILTERS}")
        self.bands = nn.BatchNorm1d(mels)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(b))
            for a, b in zip((1, *filters[:-1]), filters, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.project = nn.Linear(filters[-1], dimensions)

    def forward(self, bands: Tensor) -> Tensor:
        """The representation, float32 (n, dimensions)."""
        x = self.bands(bands).unsqueeze(1)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < len(self.blocks) - 1:
                x = self.pool(x)
        z: Tensor = self.project(x.amax(dim=(2, 3)))
        return z
