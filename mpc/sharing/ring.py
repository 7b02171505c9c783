"""Arithmetic modulo 2^64 on NumPy arrays of uint64: encoding, matrix products, convolutions.

NumPy multiplies integer matrices without BLAS and without vector instructions; the kernels here are compiled for the
processor by numba.  Words of a batch are (n, *shape).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.link import BadType
from sotto.mpc.graph import layers
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.sharing.compiled import IN, OUT, compiled

Words = npt.NDArray[np.uint64]

WORD_BYTES = 8
_ROWS = 4  # rows of the left matrix that share one pass over the right one


def encode(values: npt.ArrayLike, fraction: int = FRACTION_BITS, divisor: int = 1) -> Words:
    """Nearest fixed point of real ``values`` divided by ``divisor``: round(v · 2^fraction / divisor) mod 2^64."""
    scaled = np.rint(np.asarray(values, np.float64) * (2.0**fraction / divisor))
    return scaled.astype(np.int64).view(np.uint64)


def decode(words: Words, fraction: int = FRACTION_BITS, divisor: int = 1) -> npt.NDArray[np.float64]:
    """The real values that ``words``, taken as signed, stand for."""
    return words.view(np.int64).astype(np.float64) / (2.0**fraction * divisor)


def product(layer: layers.Layer, weight: Words, x: Words) -> Words:
    """``layer`` applied with its weight and without its bias: x (n, *in) to (n, *out), both mod 2^64."""
    match layer:
        case layers.Convolution():
            return _convolve(layer, weight, x)
        case layers.Linear():
            rows = x.reshape(len(x), -1, x.shape[-1])
            turned = matmul(weight, np.ascontiguousarray(rows.transpose(0, 2, 1)))
            return turned.transpose(0, 2, 1).reshape(*x.shape[:-1], len(weight))
        case layers.ChannelAffine():
            return x * weight.reshape(1, -1, *(1,) * (x.ndim - 2))
        case layers.Scale():
            return x * weight
        case _:
            raise BadType("not-a-product", f"{type(layer).__name__} is no product")


def bias_of(layer: layers.Layer, own: dict[str, npt.NDArray[np.float32]], fraction: int, axes: int) -> Words | None:
    """What ``layer`` adds to its product, with ``fraction`` bits, in ``axes`` axes that broadcast over (n, *out)."""
    bias = own.get("shift", own.get("bias"))
    if bias is None:
        return None
    words = encode(bias, fraction)
    return words if isinstance(layer, layers.Linear) else words.reshape(1, -1, *(1,) * (axes - 2))


def weight_of(own: dict[str, npt.NDArray[np.float32]], fraction: int, divisor: int) -> Words:
    """A layer's multiplier as words: its weight, or a batch norm's scale."""
    return encode(own["weight"] if "weight" in own else own["scale"], fraction, divisor)


def columns(layer: layers.Convolution, x: Words) -> Words:
    """The patches of ``x`` (n, C, …) that the kernel meets: (n, groups, C/groups · taps, positions), contiguous."""
    n, channels, *lengths = x.shape
    # NumPy's own padding and windows take longer than the copy itself.
    padded = [length + 2 * p for length, p in zip(lengths, layer.padding, strict=True)]
    if any(layer.padding):
        inside = np.zeros((n, channels, *padded), np.uint64)
        middle = tuple(slice(p, p + length) for length, p in zip(lengths, layer.padding, strict=True))
        inside[:, :, *middle] = x
        x = inside
    x = np.ascontiguousarray(x)
    axes = list(zip(padded, layer.kernel, layer.stride, layer.dilation, x.strides[2:], strict=True))
    places = [(length - 1 - d * (k - 1)) // s + 1 for length, k, s, d, _ in axes]
    steps = (*(d * step for _, _, _, d, step in axes), *(s * step for _, _, s, _, step in axes))
    view = np.ndarray((n, channels, *layer.kernel, *places), np.uint64, x, strides=(*x.strides[:2], *steps))
    taps = channels // layer.groups * math.prod(layer.kernel)
    return np.ascontiguousarray(view).reshape(n, layer.groups, taps, math.prod(places))


def _convolve(layer: layers.Convolution, weight: Words, x: Words) -> Words:
    patches = columns(layer, x)
    rows = weight.reshape(layer.groups, layer.out_channels // layer.groups, -1)
    parts = [matmul(rows[group], patches[:, group]) for group in range(layer.groups)]
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return joined.reshape(len(x), *layer.output([x.shape[1:]]))


def matmul(left: Words, right: Words) -> Words:
    """(O, K) times (n, K, P) to (n, O, P), mod 2^64."""
    out = np.zeros((len(right), len(left), right.shape[2]), np.uint64)
    if right.shape[2] == 1:
        vectors = np.ascontiguousarray(right).reshape(right.shape[:2])
        _dot(np.ascontiguousarray(left), vectors, out.reshape(out.shape[:2]))
    else:
        _multiply(np.ascontiguousarray(left), np.ascontiguousarray(right), out)
    return out


def weighted_sum(factors: Words, rows: Words, last: Words | None, one: int) -> Words:
    """Sum of factors (k, N) times ``one``, times each of the ``rows`` (r, N) and, where there is a ``last`` one (N,),
    times that: (N,)."""
    out = factors[0] * np.uint64(one)
    for factor, row in zip(factors[1:], rows if last is None else (*rows, last), strict=True):
        out += factor * row
    return out


@compiled(IN[2], IN[2], OUT[2])
def _dot(left: Any, right: Any, out: Any) -> None:
    for i in range(right.shape[0]):
        for o in range(left.shape[0]):
            total = np.uint64(0)
            for k in range(left.shape[1]):
                total += left[o, k] * right[i, k]
            out[i, o] = total


@compiled(IN[2], IN[3], OUT[3])
def _multiply(left: Any, right: Any, out: Any) -> None:
    rows, inner = left.shape
    width = right.shape[2]
    whole = rows - rows % _ROWS
    for i in range(right.shape[0]):
        for o in range(0, whole, _ROWS):
            first, second, third, fourth = out[i, o], out[i, o + 1], out[i, o + 2], out[i, o + 3]
            for k in range(inner):
                a, b, c, d = left[o, k], left[o + 1, k], left[o + 2, k], left[o + 3, k]
                line = right[i, k]
                for p in range(width):
                    word = line[p]
                    first[p] += a * word
                    second[p] += b * word
                    third[p] += c * word
                    fourth[p] += d * word
        for o in range(whole, rows):
            for k in range(inner):
                a = left[o, k]
                for p in range(width):
                    out[i, o, p] += a * right[i, k, p]
