"""Ciphertext-only attack on Flipping: signs from how neighbouring numbers go together.

Speech changes slowly from sample to sample and from frame to frame, so the sign with which two numbers of a block are
correlated is known from any public speech; a flipped number shows the opposite.  Near neighbours say most, and how much
more is tried out.  All signs follow up to a common one, which the mean settles in spectrograms and nobody hears in
waveforms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.moment_alignment import solve_signs
from sotto.keyed.attacks.ciphertext_only.moments import Moments
from sotto.keyed.attacks.ciphertext_only.plausibility import Judge
from sotto.keyed.encryption.keys import Key, guessed_key

_SHARPNESS = (1, 3, 9)


def flipping_from_statistics(
    encrypted: Tensor, public: Tensor, block_size: int, dimension: int, *, seed: int = 0
) -> Key | None:
    """The key as the attacker guesses it from ``encrypted`` and any plain speech; None if he finds nothing flipped."""
    generator = torch.Generator().manual_seed(seed)
    known, flipped = (Moments.of(speech, block_size, dimension) for speech in (public, encrypted))
    seen, plain = _correlations(flipped), _correlations(known)
    lean = flipped.mean * known.mean * len(known.mean)
    guesses = [solve_signs((seen * plain**power).sum(0), lean, generator) for power in _SHARPNESS]
    judge = Judge(known, block_size, dimension)
    signs = judge.most_plausible([torch.diag(guess) for guess in guesses], flipped).diagonal()
    return guessed_key("flipping", block_size, dimension, signs < 0)


def _correlations(moments: Moments) -> Tensor:
    spread = moments.covariances[0].diagonal().clamp(min=1e-30).sqrt()
    return moments.covariances / (spread[:, None] * spread)
