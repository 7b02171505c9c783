"""An activation that is ReLU when training begins and a polynomial when it ends.

A network trained with ReLU loses accuracy when its activations are exchanged afterwards, and one trained with
polynomials from the start may run away, for outside the interval of the fit a polynomial grows without bound. So the
activation is a mixture whose share of the polynomial rises during training, and inputs outside the interval are pulled
back: the gradient is that of the loss plus :data:`PULL` times the mean square of what lies beyond ``INTERVAL`` (a range
penalty; Baruch et al., "A methodology for training homomorphic encryption friendly neural networks", 2022, section
3.2). In evaluation mode it is the polynomial alone, so that what is watched and kept is what will run under encryption.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.link import BadValue
from sotto.models.networks.polynomial import PolynomialReLU

INTERVAL = 3.0  # standard deviations: batch normalisation comes before

#: By degree: layers of degree 6 on top of one another run away where those of degree 2 or 4 do not.
PULL = {2: 1.0, 4: 1.0, 6: 300.0}


class AnnealedReLU(nn.Module):
    """Same shape and dtype out as in."""

    seen: Tensor

    def __init__(self, degree: int, steps: int) -> None:
        """Of the polynomial; ``steps`` of training until nothing of ReLU is left.

        Raises
        ------
        ValueError
            the degree is not 2, 4 or 6, or ``steps`` is negative.
        """
        super().__init__()
        if steps < 0:
            raise BadValue("out-of-range", f"an activation is annealed over 0 steps or more, not {steps}")
        self.polynomial = PolynomialReLU(degree)
        self.steps = steps
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def share(self) -> float:
        """How much of it is the polynomial."""
        return min(1.0, int(self.seen) / self.steps) if self.steps else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """The mixture in training, which counts the steps; the polynomial in evaluation mode."""
        if not self.training:
            return self.polynomial(x)
        share = self.share
        self.seen += 1
        held = _Held.apply(x, PULL[self.polynomial.degree])
        return share * self.polynomial(held) + (1 - share) * F.relu(held)

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


class _Held(torch.autograd.Function):
    """The identity, with the gradient of the range penalty added to what comes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pull: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.pull = pull
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        beyond = x - x.clamp(-INTERVAL, INTERVAL)
        return gradients[0] + 2 * ctx.pull / x.numel() * beyond, None
