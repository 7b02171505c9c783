"""Hashes packed into bit planes: what goes over the wire, into files, and into the distance computation.

Plane b of a hash holds bit b of every symbol, so ⌈log₂ k⌉ planes hold any k ≤ 16, and two symbols differ exactly where
some plane differs. On the wire a plane is M bits padded to bytes, bit i of byte j being symbol 8j + i; in memory it is
padded to 64-bit words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.parameters import LARGEST_K

Planes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False, repr=False)
class PackedHashes:
    """``n`` hashes of ``symbols`` symbols 0 … ``k`` - 1.

    Attributes
    ----------
    planes
        (n, ⌈log₂ k⌉, ⌈symbols / 64⌉) uint64; the bits beyond ``symbols`` are zero.
    k
        modulus, 2 to 16.
    symbols
        M, symbols of one hash.
    """

    planes: Planes
    k: int
    symbols: int

    def __post_init__(self) -> None:
        bits = bits_per_symbol(self.k)
        if self.symbols < 1 or self.planes.shape[1:] != (bits, -(-self.symbols // 64)):
            raise HashingError(
                "wrong-shape", f"planes of shape {self.planes.shape} do not hold hashes of {self.symbols} symbols"
            )
        if self.planes.dtype != np.uint64:
            raise HashingError("wrong-dtype", f"bit planes are uint64, not {self.planes.dtype}")

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, count: int, k: int, symbols: int) -> Self:
        """Read ``count`` hashes that :meth:`to_bytes` wrote; for data from a peer.

        Raises
        ------
        HashingError
            another length than announced, a symbol that is not below k, or bits beyond the last symbol.
        """
        size = count * bytes_per_hash(k, symbols)
        if count < 0 or len(data) != size:
            raise HashingError("wrong-size", f"{count} hashes of {symbols} symbols are {size} bytes, not {len(data)}")
        bits, width = bits_per_symbol(k), -(-symbols // 8)
        rows = np.frombuffer(data, np.uint8).reshape(count, bits, width)
        return cls(_words(rows), k, symbols).checked()

    def checked(self) -> Self:
        """These hashes, having made sure that every symbol is below k and no bit lies beyond the last symbol.

        Raises
        ------
        HashingError
            otherwise.
        """
        used = self.symbols % 64
        if used and bool((self.planes[:, :, -1] >> np.uint64(used)).any()):
            raise HashingError("stray-bits", "packed hashes have bits set beyond their last symbol")
        if bool(_above(self.planes, self.k - 1).any()):
            raise HashingError("bad-symbol", f"packed hashes have a symbol that is not below k = {self.k}")
        return self

    def to_bytes(self) -> bytes:
        """The wire form, ``len(self) * bytes_per_hash(k, symbols)`` bytes."""
        width = -(-self.symbols // 8)
        return np.ascontiguousarray(_octets(self.planes)[:, :, :width]).tobytes()

    def unpack(self) -> npt.NDArray[np.uint8]:
        """The symbols, (n, M) uint8."""
        bits = np.unpackbits(_octets(self.planes), axis=-1, bitorder="little", count=self.symbols)
        symbols = np.zeros((len(self), self.symbols), np.uint8)
        for b in range(bits.shape[1]):
            symbols |= bits[:, b] << np.uint8(b)
        return symbols

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, rows: slice | npt.ArrayLike) -> PackedHashes:
        """Some of the hashes: a slice, positions, or a mask."""
        chosen = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        return PackedHashes(self.planes[chosen], self.k, self.symbols)

    def __repr__(self) -> str:
        return f"<{len(self)} packed hashes of {self.symbols} symbols, k={self.k}>"


def pack(symbols: npt.ArrayLike, k: int) -> PackedHashes:
    """Pack hash symbols (n, M), whole numbers 0 … k - 1 of any dtype.

    Raises
    ------
    HashingError
        not two-dimensional, no symbols, or a value that is no symbol.
    """
    values = np.asarray(symbols)
    if values.ndim != 2 or not values.shape[1]:
        raise HashingError("wrong-shape", f"hash symbols come as (n, M), not {values.shape}")
    small = values.astype(np.uint8, copy=False) if holds_symbols(values, k) else None
    if small is None:
        raise HashingError("bad-symbol", f"hash symbols are whole numbers from 0 to {k - 1}")
    bits = bits_per_symbol(k)
    rows = np.empty((len(small), bits, -(-small.shape[1] // 8)), np.uint8)
    for b in range(bits):
        rows[:, b] = np.packbits((small >> np.uint8(b)) & np.uint8(1), axis=1, bitorder="little")
    return PackedHashes(_words(rows), k, small.shape[1])


def holds_symbols(values: npt.NDArray[np.generic], k: int = LARGEST_K) -> bool:
    """Whether every value is a whole number from 0 to ``k`` - 1."""
    bits_per_symbol(k)
    if values.dtype.kind not in "biuf":
        return False
    if not values.size or values.dtype.kind == "b":
        return True
    numbers: npt.NDArray[Any] = values
    in_range = bool((numbers >= 0).all() and (numbers < k).all())
    return in_range and (numbers.dtype.kind != "f" or bool((numbers == np.floor(numbers)).all()))


def bits_per_symbol(k: int) -> int:
    """⌈log₂ k⌉, how many bit planes a hash has. Raises HashingError unless 2 ≤ k ≤ 16."""
    if not 2 <= k <= LARGEST_K:
        raise HashingError("bad-k", f"k is {k}; use a whole number from 2 to {LARGEST_K}")
    return (k - 1).bit_length()


def bytes_per_hash(k: int, symbols: int) -> int:
    """Bytes of one hash on the wire."""
    return bits_per_symbol(k) * -(-symbols // 8)


def _words(rows: npt.NDArray[np.uint8]) -> Planes:
    """(n, bits, bytes) to (n, bits, words), zero padded."""
    padding = -rows.shape[2] % 8
    padded = np.pad(rows, ((0, 0), (0, 0), (0, padding))) if padding else np.ascontiguousarray(rows)
    return padded.view("<u8").astype(np.uint64, copy=False)


def _octets(planes: Planes) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(planes).astype("<u8", copy=False).view(np.uint8)


def _above(planes: Planes, largest: int) -> Planes:
    """(n, words) with a bit set at every symbol greater than ``largest``: a comparator over the planes."""
    above = np.zeros_like(planes[:, 0])
    equal = ~above
    for b in reversed(range(planes.shape[1])):
        plane = planes[:, b]
        if largest >> b & 1:
            equal &= plane
        else:
            above |= equal & plane
            equal &= ~plane
    return above
