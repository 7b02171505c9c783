"""Encrypting and decrypting speech block by block, a whole batch at once.

The last axis of an array (dimension 1: a waveform) or its last two (dimension 2: a spectrogram, mel bands × frames) are
divided into blocks of the key's size; every block is transformed by the same key.  All other axes are batch axes.
Source: Niwa, Shiota, Kiya, §III-A, Algorithms 1, 3, 5.

**Lengths that are not multiples of M** (the papers do not say):

* ``tail="crop"``, the default: what does not fill a block is dropped *before* the transform.  A convolution with
  kernel = stride = M and no padding never reads it, so the encrypted model gives the answer that the plain model gives
  to the whole input, and nothing leaves untransformed.
* ``tail="pad"``, to keep all of it: the tail is filled up to a whole block by mirroring, that block is transformed like
  the others, and the array keeps the padded length, for a shuffled or rotated block cannot be cut without losing some
  of it.  :func:`decrypt` with ``length`` cuts after decryption.  The encrypted model then gives the answer of the plain
  model to the padded input.  The provider may guess that samples repeat at the end (zeros would show him a row of the
  key), so this is for storing speech rather than for queries.

Equal blocks stay equal and every block keeps its energy: this hides from the ear, not from an attacker
(:mod:`sotto.keyed.attacks`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sotto.keyed.errors import WrongShapeError
from sotto.keyed.keys import Flipping, Key, Shuffling

Tail = Literal["crop", "pad"]
_FULL = (torch.float32, torch.float64)
_AT_A_TIME = 1 << 17  # numbers, so that what lies between the steps of a rotation stays in the cache
_ROW = 1024  # numbers in a row of signs
_WIDTH = 16  # least width of a product of matrices, in numbers: a vector register


def encrypt(x: Tensor, key: Key, *, tail: Tail = "crop") -> Tensor:
    """``x`` (..., samples) or (..., mel bands, frames) under ``key``, a new tensor of the same dtype and device.

    Raises
    ------
    WrongShapeError
        too few axes, shorter than one block, or not floating point.
    """
    _require_floating(x)
    return _transformed(whole_blocks(x, key.block_size, key.dimension, tail=tail), key, inverse=False)


def decrypt(x: Tensor, key: Key, *, length: tuple[int, ...] | None = None) -> Tensor:
    """The speech that :func:`encrypt` made ``x`` from; ``length`` cuts the last axes to what they were before padding.

    Exact for Shuffling and Flipping, to rounding for ROM.  With another key the result is noise, and nothing says so.

    Raises
    ------
    WrongShapeError
        ``x`` is not in whole blocks, or ``length`` does not fit it.
    """
    _require_floating(x)
    _require_content(x, key.dimension)
    if any(size % key.block_size for size in x.shape[-key.dimension :]):
        raise WrongShapeError(f"encrypted speech comes in whole blocks of {key.block_size}, not {tuple(x.shape)}")
    plain = _transformed(x, key, inverse=True)
    if length is None:
        return plain
    padded = tuple(plain.shape[-key.dimension :])
    if len(length) != key.dimension or any(not 0 < n <= most for n, most in zip(length, padded, strict=True)):
        raise WrongShapeError(f"the length {length} does not fit speech of {padded}")
    for axis, size in zip(range(-key.dimension, 0), length, strict=True):
        plain = plain.narrow(axis, 0, size)
    return plain


def whole_blocks(x: Tensor, block_size: int, dimension: int, *, tail: Tail = "crop") -> Tensor:
    """``x`` cropped or padded, by the rule above, to multiples of ``block_size`` in its last ``dimension`` axes."""
    if tail not in ("crop", "pad"):
        raise ValueError(f"tail is 'crop' or 'pad', not {tail!r}")
    _require_content(x, dimension)
    given = tuple(x.shape)
    for axis in range(-dimension, 0):
        size = x.shape[axis]
        remainder = size % block_size
        if not remainder:
            continue
        if tail == "crop":
            x = x.narrow(axis, 0, size - remainder)
        else:
            place = torch.arange(size + block_size - remainder, device=x.device) % (2 * size)
            x = x.index_select(axis, torch.where(place < size, place, 2 * size - 1 - place))
    if 0 in x.shape[-dimension:]:
        across = " × ".join([str(block_size)] * dimension)
        raise WrongShapeError(
            f"speech of {given} is shorter than a block of {across}: pad it to at least one block first"
        )
    return x


def blocks(x: Tensor, block_size: int, dimension: int) -> Tensor:
    """``x`` as (batch, block rows, blocks per row, N), blocks flattened row by row; a waveform has one block row."""
    x = whole_blocks(x, block_size, dimension)
    if dimension == 1:
        return x.reshape(-1, 1, x.shape[-1] // block_size, block_size)
    rows, columns = x.shape[-2] // block_size, x.shape[-1] // block_size
    apart = x.reshape(-1, rows, block_size, columns, block_size).transpose(2, 3)
    return apart.reshape(-1, rows, columns, block_size * block_size)


def _transformed(x: Tensor, key: Key, *, inverse: bool) -> Tensor:
    if isinstance(key, Shuffling):
        order = torch.from_numpy(key.values.argsort() if inverse else key.values.copy()).to(x.device)
        return _shuffled(x, order, key)
    if isinstance(key, Flipping):
        return _flipped(x, torch.from_numpy(key.signs).to(x.device, x.dtype), key)
    matrix = torch.from_numpy(key.matrix().T if inverse else key.matrix())
    return _rotated(x, matrix.to(x.device, x.dtype if x.dtype in _FULL else torch.float32), key)


def _shuffled(x: Tensor, order: Tensor, key: Key) -> Tensor:
    m = key.block_size
    if key.dimension == 1:
        return x.reshape(-1, m).index_select(1, order).reshape(x.shape)
    place = _places(x, m)
    source = torch.empty_like(place).index_copy_(0, place, place.reshape(-1, m * m)[:, order].flatten())
    return x.reshape(-1, len(source)).index_select(1, source).reshape(x.shape)


def _flipped(x: Tensor, signs: Tensor, key: Key) -> Tensor:
    """One multiplication by signs repeated over rows long enough to run at the speed of a copy."""
    m = key.block_size
    if key.dimension == 2:
        bands = x.reshape(*x.shape[:-2], -1, m, x.shape[-1])
        return (bands * signs.reshape(m, m).repeat(1, x.shape[-1] // m)).reshape(x.shape)
    count = x.numel() // m
    together = next(number for number in range(min(count, max(1, _ROW // m)), 0, -1) if count % number == 0)
    return (x.reshape(-1, together * m) * signs.repeat(together)).reshape(x.shape)


def _rotated(x: Tensor, matrix: Tensor, key: Key) -> Tensor:
    if key.dimension == 1:
        return _multiplied(x.reshape(-1, key.block_size), matrix).reshape(x.shape)
    place = _places(x, key.block_size)
    back = torch.empty_like(place).index_copy_(0, place, torch.arange(len(place), device=x.device))  # its inverse
    planes = x.reshape(-1, len(place))
    rotated = torch.empty_like(planes)
    step = max(1, _AT_A_TIME // len(place))
    for first in range(0, len(planes), step):
        apart = planes[first : first + step].index_select(1, place).reshape(-1, len(matrix))
        turned = _multiplied(apart, matrix)
        rotated[first : first + step] = turned.reshape(-1, len(place)).index_select(1, back)
    return rotated.reshape(x.shape)


def _multiplied(apart: Tensor, matrix: Tensor) -> Tensor:
    """Blocks (n, N) times the key (N, N), short ones several at a time: products of narrow matrices are slow."""
    together = -(-_WIDTH // len(matrix))
    given = apart.to(matrix.dtype)
    whole = len(given) // together * together
    wide = torch.block_diag(*[matrix] * together)
    turned = (given[:whole].reshape(-1, len(wide)) @ wide).reshape(whole, len(matrix))
    if whole < len(given):
        turned = torch.cat([turned, given[whole:] @ matrix])
    return turned.to(apart.dtype)


def _places(x: Tensor, block_size: int) -> Tensor:
    """Where in a flattened plane the numbers of its blocks stand, block after block.

    Gathering whole planes by such indices is several times faster than transposing blocks into place.
    """
    height, width = x.shape[-2:]
    place = torch.arange(height * width, device=x.device).reshape(height // block_size, block_size, -1, block_size)
    return place.transpose(1, 2).flatten()


def _require_content(x: Tensor, dimension: int) -> None:
    if x.dim() < dimension or 0 in x.shape:
        raise WrongShapeError(f"a key of dimension {dimension} needs an array with content, not {tuple(x.shape)}")


def _require_floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise WrongShapeError(f"speech to encrypt is floating point, not {x.dtype}: convert it first")
