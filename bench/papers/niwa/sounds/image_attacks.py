"""The attacks of Chang and Case on encrypted 8-bit images, for blocks that are all encrypted under one key.

* *helper images* (chosen plaintext; for schemes that scramble blocks): one block for each place in it, black but for
  that place, is encrypted under the key.  Where it lights up, and whether it turned negative, is the key.
* *leading bits* (encrypted images alone): every grey level above the middle is taken for an inverted one.
* *least difference* (encrypted images alone): starting from a known pixel, each pixel is taken as it is or inverted,
  whichever differs less from the one decided before.  With the block size known and one key for all blocks, the
  decisions of all blocks are put to a vote: the one step here that goes beyond the source.

Source: Chang, Case, "Attacks on image encryption schemes for privacy-preserving deep neural networks", 2020.  There an
inverted grey level v is 255 - v.  A spectrogram is no image: its values are scaled to grey levels by whoever attacks,
who therefore knows the grey level that zero became, and inversion is about that one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def to_image(values: Floats) -> tuple[Image, float]:
    """Grey levels, the smallest value 0 and the largest 255; and the level, not rounded, that zero becomes."""
    low, high = float(values.min()), float(values.max())
    scale = 255 / max(high - low, np.finfo(np.float64).tiny)
    return np.round((values - low) * scale).astype(np.uint8), -low * scale


def helper_values(block_size: int) -> Floats:
    """What the attacker has encrypted: (M², M, M), block i zero but for 1 at place i."""
    return np.eye(block_size * block_size).reshape(-1, block_size, block_size)


def read_helpers(encrypted: Image, zero: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """From encrypted helpers (M², M, M): where each place went, and whether it was inverted (both (M²,)).

    ``zero`` is the grey level that zero became.
    """
    apart = encrypted.reshape(len(encrypted), -1) - zero
    place = np.abs(apart).argmax(axis=1)
    return place, apart[np.arange(len(apart)), place] < 0


def descrambled(
    image: Image, place: npt.NDArray[np.intp], inverted: npt.NDArray[np.bool_], zero: float, block_size: int
) -> Floats:
    """``image`` (height, width) in whole blocks with its pixels put back and turned positive again."""
    pixels = blocks_of(image.astype(np.float64), block_size)[:, place]
    return image_of(np.where(inverted, 2 * zero - pixels, pixels), image.shape, block_size)


def leading_bits(image: Image, zero: float) -> Floats:
    """Every grey level above ``zero`` inverted."""
    return zero - np.abs(image - zero)


def least_difference(image: Image, zero: float, first: float, block_size: int) -> Floats:
    """Each pixel, or its inverse, by which is nearer to the pixel above (in the first row, to the left); then a vote.

    ``first``: what the pixel at the top left should be, as the attacker must know or guess.
    """
    decided = image.astype(np.float64)
    decided[0, :1] = _nearer(np.array([first]), decided[0, :1], zero)
    for column in range(1, image.shape[1]):
        decided[0, column : column + 1] = _nearer(
            decided[0, column - 1 : column], decided[0, column : column + 1], zero
        )
    for row in range(1, len(image)):
        decided[row] = _nearer(decided[row - 1], decided[row], zero)
    share = blocks_of((decided != image).astype(np.float64), block_size).mean(axis=0)
    apart = blocks_of(image.astype(np.float64), block_size)
    return image_of(np.where(share > 0.5, 2 * zero - apart, apart), image.shape, block_size)


def _nearer(before: Floats, pixels: Floats, zero: float) -> Floats:
    inverse = 2 * zero - pixels
    return np.where(np.abs(before - pixels) <= np.abs(before - inverse), pixels, inverse)


def blocks_of(image: Floats, block_size: int) -> Floats:
    """(blocks, M²), each flattened row by row."""
    height, width = image.shape
    apart = image.reshape(height // block_size, block_size, width // block_size, block_size)
    return apart.swapaxes(1, 2).reshape(-1, block_size * block_size)


def image_of(blocks: Floats, shape: tuple[int, ...], block_size: int) -> Floats:
    """What :func:`blocks_of` took apart."""
    apart = blocks.reshape(shape[0] // block_size, shape[1] // block_size, block_size, block_size)
    return apart.swapaxes(1, 2).reshape(shape)
