"""Ciphertext-only attack on Flipping: signs from how neighbouring numbers go together.

Speech changes slowly from sample to sample and from frame to frame, so the sign with which two numbers of a block are
correlated is known from any public speech; a flipped number shows the opposite.  All signs follow up to a common one,
which the mean settles in spectrograms and nobody hears in waveforms.
"""

from __future__ import annotations

import numpy as np
import torch

from keyed.attacks.lining_up import solve_signs
from keyed.attacks.moments import Moments
from keyed.errors import KeyedError
from keyed.keys import SALT_BYTES, Flipping


def flipping_from_statistics(
    encrypted: Moments, public: Moments, block_size: int, dimension: int, *, seed: int = 0
) -> Flipping | None:
    """The key as the attacker guesses it; None when he finds nothing flipped."""
    pull = (encrypted.covariances * public.covariances).sum(0)
    signs = solve_signs(pull, encrypted.mean * public.mean, torch.Generator().manual_seed(seed))
    try:
        return Flipping(block_size, dimension, (signs < 0).numpy().astype(np.uint8), bytes(SALT_BYTES))
    except KeyedError:
        return None
