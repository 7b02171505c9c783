"""ConvMixer on spectrograms: patches, then convolutions over time and frequency and over channels in turn.

Trockman and Kolter, "Patches are all you need?", TMLR 2023.  The patch embedding is a convolution with kernel = stride
= M and no padding, which is what a secret-key transform needs.
"""

from __future__ import annotations

from torch import Tensor, nn

from sotto.link import BadValue
from sotto.models.networks.bounds import MAX_BLOCK, MAX_LAYERS, MAX_WIDTH, require_between


class ConvMixer(nn.Module):
    """Log-mel frames -> Conv2d @M x M stride M -> ``depth`` mixing blocks -> mean over positions -> classes.

    Input float32 (n, mels, frames) or (n, 1, mels, frames), bands and frames that do not fill a block of M at the end
    are not read; output float32 (n, classes) logits.
    """

    def __init__(
        self, classes: int = 10, *, block_size: int = 8, width: int = 96, depth: int = 6, kernel: int = 5,
        dropout: float = 0.2,
    ) -> None:  # fmt: skip
        """Raises ValueError for sizes out of range, or an even kernel."""
        super().__init__()
        require_between(1, MAX_WIDTH, classes=classes, width=width)
        require_between(1, MAX_BLOCK, block_size=block_size, kernel=kernel)
        require_between(0, MAX_LAYERS, depth=depth)
        if kernel % 2 == 0:
            raise BadValue("even-kernel", f"the kernel of a mixing block is odd, not {kernel}")
        self.patches = nn.Conv2d(1, width, block_size, stride=block_size)
        self.activation = nn.Sequential(nn.GELU(), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(*[_Mixing(width, kernel) for _ in range(depth)])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        x = x.reshape(x.shape[0], 1, x.shape[-2], x.shape[-1])
        return self.head(self.blocks(self.activation(self.patches(x))))


class _Mixing(nn.Module):
    """A depthwise convolution beside the identity, then a pointwise one."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.positions = nn.Sequential(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width), nn.GELU(), nn.BatchNorm2d(width)
        )
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.channels(x + self.positions(x))
