"""What the provider reads in encrypted speech without attacking anything.

All three keys are orthogonal and act on every block alike, so each block keeps its energy (when there is speech, how
loud, in what rhythm) and equal blocks stay equal (the same recording sent twice is seen to be the same).  Shuffling
also keeps the numbers themselves, Flipping their magnitudes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sotto.keyed.attacks.outcome import correlation
from sotto.keyed.encryption.keys import Key
from sotto.keyed.encryption.transform import blocks, encrypt


@dataclass(frozen=True)
class Visible:
    """What shows through.

    Attributes
    ----------
    energy_correlation
        between the energy of every block, encrypted and plain; 1 is everything.
    magnitude_correlation
        between the magnitudes of single numbers, in place.
    silence_found
        share of the all-zero blocks that are all-zero when encrypted; None without such blocks.
    sorted_correlation
        between the sorted numbers of each block, encrypted and plain.
    linkable
        a clip encrypted twice is the same clip twice.
    """

    energy_correlation: float
    magnitude_correlation: float
    silence_found: float | None
    sorted_correlation: float
    linkable: bool


def what_shows(speech: Tensor, key: Key) -> Visible:
    """Measure it on ``speech`` (clips, ...)."""
    seen = encrypt(speech, key)
    x = blocks(speech, key.block_size, key.dimension).double()
    y = blocks(seen, key.block_size, key.dimension).double()
    silent = (x == 0).all(-1)
    return Visible(
        energy_correlation=correlation(y.square().sum(-1), x.square().sum(-1)),
        magnitude_correlation=correlation(y.abs(), x.abs()),
        silence_found=float((y == 0).all(-1)[silent].double().mean()) if bool(silent.any()) else None,
        sorted_correlation=correlation(y.sort(-1).values, x.sort(-1).values),
        linkable=bool(torch.equal(seen, encrypt(speech, key))),
    )
