"""What a payload holds: msgpack under a schema, and arrays that say their type and shape.

Nothing here can run code on decoding, and a decoded array is checked against what the caller expects before it is used.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.link.errors import BadType, FrameError

T = TypeVar("T")

_DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
#: Axes of an array on the wire at most; receivers that take any shape take one of these.
MAX_AXES = 8

_encoder = msgspec.msgpack.Encoder()


def encode(message: Any) -> bytes:
    """msgpack bytes of a ``msgspec.Struct``."""
    return _encoder.encode(message)


def decode(data: bytes | bytearray | memoryview, kind: type[T]) -> T:
    """The ``kind`` (a ``msgspec.Struct`` type) that ``data`` holds.  Raises :class:`FrameError` for anything else."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        raise FrameError(
            "malformed", f"the peer's {kind.__name__} is malformed: both sides need the same release"
        ) from None


class Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dense array on the wire: little-endian C-order bytes, with its dtype and shape."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __repr__(self) -> str:
        return f"<Array {self.dtype} {self.shape}>"

    @classmethod
    def of(cls, array: npt.ArrayLike) -> Array:
        """Pack a NumPy array of one of the plain numeric dtypes."""
        values = np.ascontiguousarray(array)
        if values.dtype.name not in _DTYPES:
            raise BadType("wrong-dtype", f"arrays of {values.dtype.name} do not go over a link")
        shape = np.shape(array)
        return cls(values.dtype.name, shape, values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())

    def numpy(self, *, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """The array, read-only, when it has ``dtype`` and ``shape`` (None: any length there), else FrameError."""
        expected = np.dtype(dtype)
        if self.dtype not in _DTYPES or np.dtype(self.dtype) != expected:
            raise FrameError(
                "wrong-dtype", f"the peer sent an array of another type where {expected.name} was expected"
            )
        fits = len(self.shape) == len(shape) <= MAX_AXES and all(
            0 <= length < 1 << 32 and wanted in (None, length) for length, wanted in zip(self.shape, shape, strict=True)
        )
        if not fits or len(self.data) != math.prod(self.shape) * expected.itemsize:
            wanted_shape = " × ".join("n" if length is None else str(length) for length in shape[: MAX_AXES + 1])
            raise FrameError(
                "wrong-shape", f"the peer sent an array of another shape where {wanted_shape} was expected"
            )
        flat = np.frombuffer(self.data, expected.newbyteorder("<"))
        try:
            return flat.reshape(self.shape).astype(expected, copy=False)
        except ValueError:  # no data, and lengths beside the zero that NumPy cannot hold
            raise FrameError("impossible-shape", "the peer sent an array of an impossible shape") from None
