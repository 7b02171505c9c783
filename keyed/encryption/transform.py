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

import math
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from sotto.keyed.encryption.keys import Flipping, Key, Shuffling
from sotto.keyed.errors import WrongShapeError
from sotto.link import BadValue

if TYPE_CHECKING:
    from torch import Tensor

Tail = Literal["crop", "pad"]
#: An array of NumPy or a tensor of torch; what comes back is of the same kind.
Speech = TypeVar("Speech", npt.NDArray[np.floating], "Tensor")
_AT_A_TIME = 1 << 17  # numbers, so that what lies between the steps of a rotation stays in the cache
_ROW = 1024  # numbers in a row of signs
_WIDTH = 16  # least width of a product of matrices, in numbers: a vector register


def encrypt(x: Speech, key: Key, *, tail: Tail = "crop") -> Speech:
    """``x`` (..., samples) or (..., mel bands, frames) under ``key``, a new array of the same dtype and device.

    Raises
    ------
    WrongShapeError
        too few axes, shorter than one block, or not floating point.
    """
    _require_floating(x)
    return _transformed(whole_blocks(x, key.block_size, key.dimension, tail=tail), key, inverse=False)


def decrypt(x: Speech, key: Key, *, length: tuple[int, ...] | None = None) -> Speech:
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
        raise WrongShapeError(
            "not-whole-blocks", f"encrypted speech comes in whole blocks of {key.block_size}, not {tuple(x.shape)}"
        )
    plain = _transformed(x, key, inverse=True)
    if length is None:
        return plain
    padded = tuple(plain.shape[-key.dimension :])
    if len(length) != key.dimension or any(not 0 < n <= most for n, most in zip(length, padded, strict=True)):
        raise WrongShapeError("wrong-length", f"the length {length} does not fit speech of {padded}")
    for axis, size in zip(range(-key.dimension, 0), length, strict=True):
        plain = _cut(plain, axis, size)
    return plain


def whole_blocks(x: Speech, block_size: int, dimension: int, *, tail: Tail = "crop") -> Speech:
    """``x`` cropped or padded, by the rule above, to multiples of ``block_size`` in its last ``dimension`` axes."""
    if tail not in ("crop", "pad"):
        raise BadValue("unknown-tail", f"tail is 'crop' or 'pad', not {tail!r}")
    _require_content(x, dimension)
    given = tuple(x.shape)
    for axis in range(-dimension, 0):
        size = x.shape[axis]
        remainder = size % block_size
        if not remainder:
            continue
        if tail == "crop":
            x = _cut(x, axis, size - remainder)
        else:
            place = np.arange(size + block_size - remainder) % (2 * size)
            x = _taken(x, np.where(place < size, place, 2 * size - 1 - place), axis)
    if 0 in x.shape[-dimension:]:
        across = " × ".join([str(block_size)] * dimension)
        raise WrongShapeError(
            "too-short", f"speech of {given} is shorter than a block of {across}: pad it to at least one block first"
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


def _transformed(x: Speech, key: Key, *, inverse: bool) -> Speech:
    if isinstance(key, Shuffling):
        return _shuffled(x, key.values.argsort() if inverse else key.values.copy(), key)
    if isinstance(key, Flipping):
        return _flipped(x, key.signs, key)
    return _rotated(x, key.matrix().T if inverse else key.matrix(), key)


def _shuffled(x: Speech, order: npt.NDArray[Any], key: Key) -> Speech:
    m = key.block_size
    if key.dimension == 1:
        return _taken(x.reshape(-1, m), order, 1).reshape(x.shape)
    place = _places(x, m)
    source = np.empty_like(place)
    source[place] = place.reshape(-1, m * m)[:, order].ravel()
    return _taken(x.reshape(-1, len(source)), source, 1).reshape(x.shape)


def _flipped(x: Speech, signs: npt.NDArray[np.float64], key: Key) -> Speech:
    """One multiplication by signs repeated over rows long enough to run at the speed of a copy."""
    m = key.block_size
    if key.dimension == 2:
        bands = x.reshape(*x.shape[:-2], -1, m, x.shape[-1])
        return (bands * _as(x, np.tile(signs.reshape(m, m), x.shape[-1] // m))).reshape(x.shape)
    count = math.prod(x.shape) // m
    together = next(number for number in range(min(count, max(1, _ROW // m)), 0, -1) if count % number == 0)
    return (x.reshape(-1, together * m) * _as(x, np.tile(signs, together))).reshape(x.shape)


def _rotated(x: Speech, matrix: npt.NDArray[np.float64], key: Key) -> Speech:
    if key.dimension == 1:
        return _multiplied(x.reshape(-1, key.block_size), matrix).reshape(x.shape)
    place = _places(x, key.block_size)
    back = np.empty_like(place)
    back[place] = np.arange(len(place))  # its inverse
    planes = x.reshape(-1, len(place))
    rotated = _like(planes)
    step = max(1, _AT_A_TIME // len(place))
    for first in range(0, len(planes), step):
        apart = _taken(planes[first : first + step], place, 1).reshape(-1, len(matrix))
        turned = _multiplied(apart, matrix)
        rotated[first : first + step] = _taken(turned.reshape(-1, len(place)), back, 1)
    return rotated.reshape(x.shape)


def _multiplied(apart: Speech, matrix: npt.NDArray[np.float64]) -> Speech:
    """Blocks (n, N) times the key (N, N), short ones several at a time: products of narrow matrices are slow."""
    together = -(-_WIDTH // len(matrix))
    given = _at_least_single(apart)
    whole = len(given) // together * together
    wide = np.kron(np.eye(together), matrix)
    turned = (given[:whole].reshape(-1, len(wide)) @ _as(given, wide)).reshape(whole, len(matrix))
    if whole < len(given):
        first, turned = turned, _like(given)
        turned[:whole] = first
        turned[whole:] = given[whole:] @ _as(given, matrix)
    return _as(apart, turned)


def _places(x: Speech, block_size: int) -> npt.NDArray[np.int64]:
    """Where in a flattened plane the numbers of its blocks stand, block after block.

    Gathering whole planes by such indices is several times faster than transposing blocks into place.
    """
    height, width = x.shape[-2:]
    place = np.arange(height * width).reshape(height // block_size, block_size, -1, block_size)
    return place.swapaxes(1, 2).ravel()


# What NumPy and torch call by different names.  Torch is imported where a tensor came in, so not by Alice, who has
# arrays.


def _taken(x: Speech, index: npt.NDArray[Any], axis: int) -> Speech:
    if isinstance(x, np.ndarray):
        return np.take(x, index, axis)
    import torch

    return x.index_select(axis, torch.from_numpy(index).to(x.device))


def _as(x: Speech, values: Any) -> Speech:
    """``values`` in the kind, dtype and device of ``x``."""
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype, copy=False)
    import torch

    return torch.as_tensor(values).to(x.device, x.dtype)


def _like(x: Speech) -> Speech:
    if isinstance(x, np.ndarray):
        return np.empty(x.shape, x.dtype)
    import torch

    return torch.empty_like(x)


def _at_least_single(x: Speech) -> Speech:
    """A rotation is not computed with fewer digits than float32 has."""
    if isinstance(x, np.ndarray):
        return x if x.dtype.itemsize >= 4 else x.astype(np.float32)
    return x if x.dtype.itemsize >= 4 else x.float()


def _cut(x: Speech, axis: int, size: int) -> Speech:
    """The first ``size`` along ``axis``, which is counted from the end."""
    place: Any = (..., slice(size), *[slice(None)] * (-axis - 1))
    return x[place]


def _require_content(x: Speech, dimension: int) -> None:
    if len(x.shape) < dimension or 0 in x.shape:
        raise WrongShapeError(
            "empty", f"a key of dimension {dimension} needs an array with content, not {tuple(x.shape)}"
        )


def _require_floating(x: Speech) -> None:
    floating = np.issubdtype(x.dtype, np.floating) if isinstance(x, np.ndarray) else x.is_floating_point()
    if not floating:
        raise WrongShapeError("wrong-dtype", f"speech to encrypt is floating point, not {x.dtype}: convert it first")
