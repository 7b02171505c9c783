"""The speech discriminators D and D′: does z come from a segment with speech in it?

Linear layers of 48, 32, 16 and one output, LeakyReLU between them (Luong et al., §3.2).  They exist during training
only.  How well D fares says little about privacy, because F is trained to defeat just this D; an attacker trained
afterwards is the measure.
"""

from __future__ import annotations

from torch import Tensor, nn

_WIDTHS = (48, 32, 16)


class Discriminator(nn.Module):
    """z (n, dimensions) to the logit of "speech" (n,); its sigmoid is the paper's ŝ."""

    def __init__(self, dimensions: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((dimensions, *_WIDTHS[:-1]), _WIDTHS, strict=True):
            layers += [nn.Linear(a, b), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(_WIDTHS[-1], 1))

    def forward(self, z: Tensor) -> Tensor:
        """Logits, float32 (n,)."""
        logits: Tensor = self.layers(z).squeeze(-1)
        return logits
