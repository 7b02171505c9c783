"""What an attacker expects of plain speech: a Gaussian for two successive blocks, one for each row of blocks.

Learnt from any public speech in the same form.  Rows differ: low mel bands are louder than high ones and move in
other ways, so that the same key is seen through several windows.  The wrong order of a block puts energy where public
speech has next to none, which a likelihood notices and a comparison of covariances does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sotto.keyed.encryption.transform import blocks
from sotto.keyed.errors import WrongShapeError

_FLOOR = 0.02  # of the mean variance: how far a stranger's speech may be from the public's


@dataclass(frozen=True, eq=False)
class Windows:
    """Second moments of two successive blocks, float64: ``mean`` (rows, 2 N), ``square`` (rows, 2 N, 2 N)."""

    mean: Tensor
    square: Tensor

    @classmethod
    def of(cls, speech: Tensor, block_size: int, dimension: int) -> Windows:
        """Of ``speech`` (clips, ..., samples) or (clips, ..., mel bands, frames).

        Raises
        ------
        WrongShapeError
            it is shorter than two blocks.
        """
        apart = blocks(speech, block_size, dimension).double()
        if apart.shape[2] < 2:
            raise WrongShapeError(
                "too-short", f"an attack on blocks of {block_size} needs speech of at least two of them"
            )
        pairs = torch.cat([apart[:, :, :-1], apart[:, :, 1:]], 3).transpose(0, 1).flatten(1, 2)
        return cls(pairs.mean(1), pairs.transpose(1, 2) @ pairs / pairs.shape[1])


class PublicModel:
    """How surprising decrypted speech would be to somebody who knows ``public`` speech."""

    def __init__(self, public: Windows) -> None:
        covariance = public.square - public.mean[:, :, None] * public.mean[:, None, :]
        length = covariance.shape[1]
        floor = _FLOOR * covariance.diagonal(dim1=1, dim2=2).mean(1)
        self._precision = torch.linalg.inv(covariance + floor[:, None, None] * torch.eye(length, dtype=floor.dtype))
        self._pull = (self._precision @ public.mean[:, :, None])[:, :, 0]

    def surprise_of_order(self, order: Tensor, seen: Windows) -> float:
        """Of decryption that puts number ``order[i]`` (N,) at place i: the mean squared Mahalanobis distance, without
        its constant part."""
        both = torch.cat([order, order + len(order)])
        square = seen.square[:, both[:, None], both]
        return float((self._precision * square).sum() - 2 * (self._pull * seen.mean[:, both]).sum())
