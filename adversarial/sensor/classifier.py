"""The sound event classifier C: one linear layer on z (Luong et al., §3.2).  It is Bob's."""

from __future__ import annotations

from torch import Tensor, nn

from sotto.link import BadValue

MAX_CLASSES = 10_000


class Classifier(nn.Module):
    """z (n, dimensions) to event logits (n, classes)."""

    def __init__(self, classes: int, dimensions: int = 64) -> None:
        """Raises ValueError for sizes out of range."""
        super().__init__()
        if not 1 <= classes <= MAX_CLASSES or not 1 <= dimensions <= MAX_CLASSES:
            raise BadValue("out-of-range", f"classes and dimensions must be from 1 to {MAX_CLASSES}")
        self.linear = nn.Linear(dimensions, classes)

    def forward(self, z: Tensor) -> Tensor:
        """Logits, float32 (n, classes); their softmax is the paper's ŷ."""
        logits: Tensor = self.linear(z)
        return logits
