"""The gradient reversal layer: the identity forwards, a factor of -λ backwards (Ganin & Lempitsky, ICML 2015).

Between F and D it lets one backward pass train D to find speech and F (and M, where the mask is learnt) to hide it:
equations 4 and 6 of Luong et al.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return -ctx.weight * gradients[0], None


def reverse_gradient(z: Tensor, weight: float) -> Tensor:
    """``z``, whose gradient will be multiplied by ``-weight`` (the paper's λ)."""
    reversed_: Tensor = _Reversal.apply(z, weight)
    return reversed_
