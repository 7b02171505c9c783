"""Chosen plaintext: somebody gets Alice to encrypt a sound of his making and reads the key off the result.

**How many blocks it takes**, N being the numbers in a block:

* Shuffling and Flipping: one, and it is the same for every key: N different numbers show where each went, N numbers
  that are not zero show their signs.  Fewer than one block says nothing, so one is the minimum.
* ROM: N - 1 blocks leave two keys, N leave one, and no choice of blocks does better.  Encrypted blocks x K of chosen
  blocks x say how K acts on the space V that the chosen ones span, and nothing else: if Q is any orthogonal matrix
  that leaves V as it is, Q K is an orthogonal matrix that encrypts all of V alike.  Those Q are the orthogonal matrices
  of the N - dim V dimensions that are left: two for one dimension (keep or negate it), a continuum for more.  Keys are
  drawn from both halves with equal probability, so the last block is needed.

All blocks fit into one short clip: M² samples of a waveform, M³ frames of a spectrogram M bands high.  The chosen
blocks of ROM are cosines rather than impulses: as loud as the loudest sample allows, they stand rounding and noise N
times better.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sotto.keyed.encryption.keys import ROM, SALT_BYTES, Flipping, Key, KeyType, Shuffling
from sotto.keyed.encryption.transform import blocks
from sotto.keyed.errors import KeyedError

_NO_SALT = bytes(SALT_BYTES)


def chosen_blocks(kind: KeyType, length: int) -> Tensor:
    """Blocks (n, N) float32 between -1 and 1 from which any key of the type can be read, as few as there can be."""
    if kind != "rom":
        return torch.arange(1, length + 1, dtype=torch.float32)[None] / length
    return (_cosines(length) * math.sqrt(length / 2)).float()


def chosen_speech(kind: KeyType, block_size: int, dimension: int) -> Tensor:
    """The chosen blocks side by side, one clip: float32 (1, samples) or (1, mel bands, frames)."""
    chosen = chosen_blocks(kind, block_size**dimension)
    if dimension == 1:
        return chosen.reshape(1, -1)
    return chosen.reshape(-1, block_size, block_size).transpose(0, 1).reshape(1, block_size, -1)


def keys_from_chosen(encrypted: Tensor, kind: KeyType, block_size: int, dimension: int) -> list[Key]:
    """Every key under which the first of :func:`chosen_blocks` become the blocks of ``encrypted`` (..., samples) or
    (..., mel bands, frames): one if they are all there, two for ROM if only the last is missing.

    Raises
    ------
    KeyedError
        more are missing, so that there is a continuum of such keys, or no key does this.
    """
    length = block_size**dimension
    chosen = chosen_blocks(kind, length).double()
    seen = blocks(encrypted, block_size, dimension).reshape(-1, length).double()[: len(chosen)]
    if kind == "flipping":
        return [Flipping(block_size, dimension, (seen[0] < 0).numpy().astype(np.uint8), _NO_SALT)]
    if kind == "shuffling":
        return [Shuffling(block_size, dimension, seen[0].numpy().argsort().argsort().astype(np.int64), _NO_SALT)]
    if len(seen) < length - 1:
        raise KeyedError(
            "too-few-blocks", f"{len(seen)} blocks leave a continuum of rom keys: {length - 1} leave two, {length} one"
        )
    chosen = chosen[: len(seen)]
    left, _, right = torch.linalg.svd(chosen.T @ seen)
    if len(seen) == length:
        return [ROM(block_size, dimension, (left @ right).numpy(), _NO_SALT)]
    signs = torch.ones(length, dtype=torch.float64)
    signs[-1] = -1  # of the direction in which nothing was seen: its singular value is zero, the last
    return [ROM(block_size, dimension, matrix.numpy(), _NO_SALT) for matrix in (left @ right, left * signs @ right)]


def _cosines(length: int) -> Tensor:
    """The orthonormal cosines of a block (N, N), float64, one a row."""
    place = torch.arange(length, dtype=torch.float64)
    waves = torch.cos(math.pi * (place + 0.5) * place[:, None] / length)
    return waves / waves.norm(dim=1, keepdim=True)
