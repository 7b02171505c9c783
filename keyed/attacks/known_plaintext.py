"""Known plaintext: the provider has some speech both in the clear and encrypted, and computes the key from the pairs.

He may have recorded a query himself, or simply know the model: the kernel of a published model and its encrypted copy
are such pairs too, one for each output channel.  Everything Alice ever sends under that key is then open to him.

Flipping needs one block without zeros and Shuffling one without equal numbers; ROM needs N - 1 independent blocks, the
last direction being left over up to its sign, and N to settle that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from sotto.keyed.attacks.ciphertext_only.moment_alignment import orthogonal
from sotto.keyed.encryption.keys import Key, KeyType, guessed_key
from sotto.keyed.encryption.model_encryption import find_first_convolution
from sotto.keyed.encryption.transform import blocks, encrypt


def key_from_pairs(plain: Tensor, encrypted: Tensor, kind: KeyType, block_size: int, dimension: int) -> Key | None:
    """The key that best explains pairs of blocks, (pairs, N) each; None when the guess would be no key (the identity).

    The attacker knows the type and the block size: both are read off the provider's own model.
    """
    x, y = plain.double(), encrypted.double()
    values: npt.ArrayLike
    if kind == "flipping":
        values = (x * y).sum(0) < 0
    elif kind == "shuffling":
        # distance[i, j]: between what stands at i in the clear and at j encrypted, over all pairs
        distance = torch.cdist(x.T, y.T, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()
        values = linear_sum_assignment(distance.T)[1]
    else:
        values = orthogonal(x.T @ y)  # Procrustes: the rotation nearest to all pairs
    return guessed_key(kind, block_size, dimension, values)


def key_from_kernels(plain: nn.Module, encrypted: nn.Module, kind: KeyType, *, layer: str | None = None) -> Key | None:
    """The key, from a plain model and its encrypted copy, as a provider may have when the model is public."""
    name = find_first_convolution(plain) if layer is None else layer
    one, other = plain.get_submodule(name), encrypted.get_submodule(name)
    if not isinstance(one, nn.Conv1d | nn.Conv2d):
        return None
    dimension = len(one.kernel_size)
    x, y = (layer.get_parameter("weight").detach().flatten(-dimension).flatten(0, 1) for layer in (one, other))
    return key_from_pairs(x, y, kind, one.kernel_size[0], dimension)


def blocks_until_exact(speech: Tensor, key: Key, *, most: int = 4096) -> int | None:
    """How many successive blocks of ``speech`` (clips, ...), known in the clear, give away the exact key.

    Digital silence is left out, as an attacker would.  None when ``most`` blocks are not enough.  ROM counts as exact
    at 0.001 in every entry, from float32 speech.
    """
    plain = blocks(speech, key.block_size, key.dimension).reshape(-1, key.length)
    encrypted = blocks(encrypt(speech, key), key.block_size, key.dimension).reshape(-1, key.length)
    sounding = (plain != 0).any(1)
    plain, encrypted = plain[sounding][:most], encrypted[sounding][:most]
    if not _is_key(plain, encrypted, key):
        return None
    low, high = 0, 1  # `low` blocks are not enough, `high` are, once the search is over
    while not _is_key(plain[:high], encrypted[:high], key):
        low, high = high, min(2 * high, len(plain))
    while high - low > 1:
        middle = (low + high) // 2
        if _is_key(plain[:middle], encrypted[:middle], key):
            high = middle
        else:
            low = middle
    return high


def _is_key(plain: Tensor, encrypted: Tensor, key: Key) -> bool:
    guess = key_from_pairs(plain, encrypted, key.kind, key.block_size, key.dimension)
    return guess is not None and float(np.abs(guess.matrix() - key.matrix()).max()) < 1e-3
