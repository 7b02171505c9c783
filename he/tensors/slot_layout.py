"""Where the elements of a tensor sit in the slots of a ciphertext.

Channels go to blocks of slots, the positions of a channel into its block.  A strided convolution leaves its results
where the windows began, on every second slot say, and later rotations are that much longer: nothing is moved together
again (multiplexed packing; Lee et al., "Low-complexity deep convolutional neural networks on fully homomorphic
encryption using multiplexed parallel convolutions", ICML 2022).  The gaps hold further channels or partial sums.

Alice lays out the input with two numbers in a slot, as its real and its imaginary part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.he.network.network import Floats

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Layout:
    """``slots`` of a tensor's elements (elements,), and of copies of them every ``period`` slots.

    ``strides``: slots from one index to the next along each axis, the first axis's (channels) being its block.
    ``pitch``: the same before any layer had a stride, so that between two indices there are gaps every ``pitch``.
    ``split``, ``overlap``: for the input, as in :class:`InputGrid`; ``imaginary`` (elements,) says which elements are
    imaginary parts, None when all are real.
    """

    slots: Places
    period: int
    strides: tuple[int, ...]
    pitch: tuple[int, ...]
    overlap: int = 0
    imaginary: npt.NDArray[np.bool_] | None = None

    @property
    def complex(self) -> bool:
        """Whether slots hold more than real parts."""
        return self.overlap > 0 or self.imaginary is not None


@dataclass(frozen=True)
class InputGrid:
    """How Alice lays out an example of ``shape``: index i of an axis is ``strides`` slots from index i - 1.

    Attributes
    ----------
    shape
        of one example.
    strides
        slots, for each axis.
    split
        an axis of which half the indices are imaginary parts, -1 for none.
    inner
        the odd indices of that axis are the imaginary parts; otherwise those of its second half.
    overlap
        every slot also holds, as its imaginary part, what lies so many slots behind; 0 for none.
    period
        everything is repeated every so many slots, a power of two.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    split: int
    inner: bool
    overlap: int
    period: int

    @property
    def extent(self) -> int:
        """Slots from the first element to the last, both included."""
        return 1 + sum((self._length(axis) - 1) * stride for axis, stride in enumerate(self.strides))

    def layout(self) -> Layout:
        """The place of every element, in order."""
        slots = np.zeros(self.shape, np.int64)
        imaginary = np.zeros(self.shape, bool)
        for axis, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            index = np.arange(length)
            if axis == self.split:
                half = self._length(axis)
                part = index % 2 if self.inner else index // half
                index = index // 2 if self.inner else index % half
                imaginary |= _along(part, axis, len(self.shape)) > 0
            slots += _along(index * stride, axis, len(self.shape))
        parts = imaginary.ravel() if self.split >= 0 else None
        return Layout(slots.ravel(), self.period, self.strides, self.strides, self.overlap, parts)

    def lay_out(self, vector: Floats, slots: int) -> npt.NDArray[np.complex128]:
        """Slot values (slots,) for one example (elements,)."""
        layout = self.layout()
        one = np.zeros(self.period, np.complex128)
        factor = 1.0 if layout.imaginary is None else np.where(layout.imaginary, 1j, 1.0)
        np.add.at(one, layout.slots, vector * factor)
        values = np.tile(one, slots // self.period)
        return values + 1j * np.roll(values, -self.overlap) if self.overlap else values

    def _length(self, axis: int) -> int:
        return (self.shape[axis] + 1) // 2 if axis == self.split else self.shape[axis]


def strided(shape: tuple[int, ...], strides: tuple[int, ...]) -> Places:
    """The slot of every element of a tensor (elements,)."""
    slots = np.zeros(shape, np.int64)
    for axis, (length, stride) in enumerate(zip(shape, strides, strict=True)):
        slots += _along(np.arange(length) * stride, axis, len(shape))
    return slots.ravel()


def power(number: int) -> int:
    """The least power of two that is not below ``number``."""
    return 1 << (number - 1).bit_length()


def size(shape: tuple[int, ...]) -> int:
    """Elements of a tensor."""
    return math.prod(shape)


def _along(values: Places, axis: int, rank: int) -> Places:
    return values.reshape([-1 if axis == other else 1 for other in range(rank)])
