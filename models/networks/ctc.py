"""A recogniser of words whose first convolution reads log-mel frames in blocks, trained by CTC.

Connectionist temporal classification (Graves et al., ICML 2006): one distribution over words and a blank every M
frames; repetitions and then blanks are removed from the best path.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sotto.link import BadValue
from sotto.models.networks.bounds import MAX_BLOCK, MAX_WIDTH, require_between

BLANK = 0


class PatchCTC(nn.Module):
    """Log-mel frames -> Conv2d @M x M stride M -> Conv2d over bands and time -> Conv1d over time -> word scores.

    Input float32 (n, bands, frames) or (n, 1, bands, frames), bands and frames that do not fill a block of M at the end
    are not read; output float32 (n, 1 + words, frames // M) logarithms of probabilities, the blank first.
    """

    def __init__(
        self, words: int = 10, *, block_size: int = 3, bands: int = 48, channels: int = 32, width: int = 128,
        dropout: float = 0.2,
    ) -> None:  # fmt: skip
        """Raises ValueError for sizes out of range, or fewer bands than four blocks."""
        super().__init__()
        require_between(1, MAX_WIDTH, words=words, bands=bands, channels=channels, width=width)
        require_between(1, MAX_BLOCK, block_size=block_size)
        rows = bands // block_size
        if rows < 4:
            raise BadValue("too-few-bands", f"{bands} bands are fewer than four blocks of {block_size}")
        self.patches = nn.Conv2d(1, channels, block_size, stride=block_size)
        self.planes = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), *_over_bands(channels), *_over_bands(channels))
        left = (rows + 3) // 4
        self.frames = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv1d(channels * left, width, 1),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            *_over_time(width, dropout),
            *_over_time(width, dropout),
        )
        self.words = nn.Conv1d(width, 1 + words, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of probabilities (n, 1 + words, frames // M)."""
        x = x.reshape(x.shape[0], 1, x.shape[-2], x.shape[-1])
        x = self.planes(self.patches(x)).flatten(1, 2)
        return torch.log_softmax(self.words(self.frames(x)), 1)


def best_path(scores: Tensor) -> list[list[int]]:
    """For every example the words (0 is the first word) of the most likely path; ``scores`` (n, 1 + words, frames)."""
    found = []
    for path in scores.argmax(1):
        symbols = torch.unique_consecutive(path)
        found.append([int(symbol) - 1 for symbol in symbols if symbol != BLANK])
    return found


def _over_bands(channels: int) -> tuple[nn.Module, ...]:
    """Half as many bands."""
    return nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1), nn.BatchNorm2d(channels), nn.ReLU()


def _over_time(width: int, dropout: float) -> tuple[nn.Module, ...]:
    return nn.Conv1d(width, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)
