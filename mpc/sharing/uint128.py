"""Arithmetic modulo 2^128: pairs of 64-bit planes, compiled kernels.

A wide array is uint64 (2, ...): plane 0 holds the low words, plane 1 the high ones.  An authenticated share is two wide
arrays in one, (4, ...): the value's planes, then its tag's.  Every function here takes any even number of planes and
works on each pair by itself.  Neither BLAS nor NumPy multiplies 128-bit integers; numba compiles LLVM's i128, which
is one multiplication and an addition with carry on a 64-bit processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sotto.link import BadType
from sotto.mpc.graph import layers
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.compiled import IN, OUT, WORD, compiled

Words = npt.NDArray[np.uint64]
Planes = npt.NDArray[np.uint64]

_PAIR = types.UniTuple(WORD, 2)
_TOGETHER = 1 << 9  # elements whose sums stay in the nearest cache


def _multiply_add(typingctx: Any, low: Any, high: Any, a_low: Any, a_high: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide, shift = ir.IntType(128), ir.Constant(ir.IntType(128), 64)
        low, high, a_low, a_high, b = args
        total = builder.or_(builder.zext(low, wide), builder.shl(builder.zext(high, wide), shift))
        product = builder.mul(builder.zext(a_low, wide), builder.zext(b, wide))
        upper = builder.shl(builder.zext(builder.mul(a_high, b), wide), shift)
        total = builder.add(total, builder.add(product, upper))
        parts = [builder.trunc(total, ir.IntType(64)), builder.trunc(builder.lshr(total, shift), ir.IntType(64))]
        return cgutils.pack_array(builder, parts, ir.IntType(64))

    return _PAIR(WORD, WORD, WORD, WORD, WORD), generate


#: In compiled code: multiply_add(low, high, a_low, a_high, b) is (low, high) + (a_low, a_high) · b mod 2^128.
multiply_add: Any = intrinsic(_multiply_add)


def product(layer: layers.Layer, weight: Planes, x: Words) -> Planes:
    """``layer`` without bias: wide weights (planes, *shape) times words x (n, *in) to (planes, n, *out)."""
    match layer:
        case layers.Convolution():
            patches = ring.columns(layer, x)  # (n, groups, K, P)
            rows = weight.reshape(len(weight), layer.groups, layer.out_channels // layer.groups, -1)
            right = np.ascontiguousarray(patches.transpose(1, 0, 3, 2))
            parts = [_public_right(rows[:, group], right[group]) for group in range(layer.groups)]
            out = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
            return out.reshape(len(weight), len(x), *layer.output([x.shape[1:]]))
        case layers.Linear():
            rows = np.ascontiguousarray(x.reshape(len(x), -1, x.shape[-1]))
            out = _public_right(weight, rows)
            return out.transpose(0, 1, 3, 2).reshape(len(weight), *x.shape[:-1], weight.shape[1])
        case layers.ChannelAffine():
            shape = (len(weight), 1, -1, *(1,) * (x.ndim - 2))
            return scale(np.broadcast_to(weight.reshape(shape), (len(weight), *x.shape)), x)
        case layers.Scale():
            return scale(np.broadcast_to(weight[:, None], (len(weight), *x.shape)), x)
        case _:
            raise BadType("not-a-product", f"{type(layer).__name__} is no product")


def public_product(layer: layers.Layer, weight: Words, x: Planes) -> Planes:
    """``layer`` without bias: public words as weights, times wide x (planes, n, *in) to (planes, n, *out)."""
    match layer:
        case layers.Convolution():
            rows = weight.reshape(layer.groups, layer.out_channels // layer.groups, -1)
            patches = np.stack([ring.columns(layer, plane) for plane in x])  # (planes, n, groups, K, P)
            right = np.ascontiguousarray(patches.transpose(2, 0, 1, 4, 3))
            parts = [_public_left(rows[group], right[group]) for group in range(layer.groups)]
            out = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
            return out.reshape(len(x), x.shape[1], *layer.output([x.shape[2:]]))
        case layers.Linear():
            rows = np.ascontiguousarray(x.reshape(len(x), x.shape[1], -1, x.shape[-1]))
            return _public_left(weight, rows).transpose(0, 1, 3, 2).reshape(*x.shape[:-1], len(weight))
        case layers.ChannelAffine():
            return scale(x, np.broadcast_to(weight.reshape(1, -1, *(1,) * (x.ndim - 3)), x.shape[1:]))
        case layers.Scale():
            return scale(x, np.broadcast_to(weight, x.shape[1:]))
        case _:
            raise BadType("not-a-product", f"{type(layer).__name__} is no product")


def weight_sums(layer: layers.Layer, coefficients: Words, x: Words) -> Planes:
    """The transpose of :func:`product` in its weights: (2, *weight shape) with which a weighted sum of outputs is one.

    For coefficients (n, *out): sum over outputs of coefficient · product(W, x) = sum over weights of W · weight_sums.
    """
    match layer:
        case layers.Convolution():
            patches = ring.columns(layer, x).transpose(1, 2, 0, 3)  # (groups, K, n, P)
            groups, inner = patches.shape[:2]
            right = np.ascontiguousarray(patches).reshape(groups, inner, -1)
            left = coefficients.reshape(len(x), groups, layer.out_channels // groups, -1).transpose(1, 2, 0, 3)
            rows = np.ascontiguousarray(left).reshape(groups, layer.out_channels // groups, -1)
            return _outer(rows, right).reshape(2, *layer.parameters["weight"])
        case layers.Linear():
            outputs, inputs = coefficients.reshape(-1, layer.outputs).T, x.reshape(-1, layer.inputs).T
            return _outer(np.ascontiguousarray(outputs)[None], np.ascontiguousarray(inputs)[None])[:, 0]
        case layers.ChannelAffine():
            by_channel = [np.ascontiguousarray(np.moveaxis(words, 1, 0)) for words in (coefficients, x)]
            return _outer(*(words.reshape(layer.channels, 1, -1) for words in by_channel))[:, :, 0, 0]
        case layers.Scale():
            sums = scale(of_words(coefficients), x)
            for axis, length in enumerate((1, *layer.shape)):
                sums = total(sums, axis + 1) if length == 1 and sums.shape[axis + 1] > 1 else sums
            return sums[:, 0]
        case _:
            raise BadType("not-a-product", f"{type(layer).__name__} is no product")


def inner(left: Planes, right: Planes) -> int:
    """The inner product of two wide arrays (2, …) of one shape, as a Python integer."""
    low, high = _inner(*_flat(left), *_flat(right))
    return int(low) | int(high) << 64


def _outer(left: Words, right: Words) -> Planes:
    """(groups, O, P) words times (groups, K, P) words, summed over P: (2, groups, O, K)."""
    out = np.empty((2, *left.shape[:2], right.shape[1]), np.uint64)
    _sum_products(left, right, out)
    return out


def _public_right(left: Planes, right: Words) -> Planes:
    out = np.empty((len(left), len(right), left.shape[1], right.shape[1]), np.uint64)
    _matmul(np.ascontiguousarray(left), right, out)
    return out


def _public_left(left: Words, right: Planes) -> Planes:
    out = np.empty((len(right), right.shape[1], len(left), right.shape[2]), np.uint64)
    _matmul_left(np.ascontiguousarray(left), right, out)
    return out


def add(left: Planes, right: Planes) -> Planes:
    """Sum of two wide arrays of one shape."""
    out = np.empty(left.shape, np.uint64)
    _add(_flat(left), _flat(right), _flat(out))
    return out


def subtract(left: Planes, right: Planes) -> Planes:
    """Difference of two wide arrays of one shape."""
    out = np.empty(left.shape, np.uint64)
    _subtract(_flat(left), _flat(right), _flat(out))
    return out


def scale(left: Planes, factor: Words | int) -> Planes:
    """A wide array (planes, ...) times words (...), or times one word."""
    out = np.empty(left.shape, np.uint64)
    words = np.broadcast_to(np.asarray(factor, np.uint64), left.shape[1:])
    _scale(_flat(left), np.ascontiguousarray(words).ravel(), _flat(out))
    return out


def total(planes: Planes, axis: int) -> Planes:
    """Sum over one ``axis`` of (planes, ...), which stays with length 1."""
    moved = np.ascontiguousarray(np.moveaxis(planes, axis, -1))
    out = np.empty(moved.shape[:-1], np.uint64)
    _sum(moved.reshape(len(planes), -1, moved.shape[-1]), _flat(out))
    return np.expand_dims(out, axis)


def combine(coefficients: Words, planes: Planes) -> int:
    """The sum of coefficient (N,) times element of (2, …), N in all, mod 2^128, as a Python integer."""
    low, high = _dot(coefficients, *_flat(planes))
    return int(low) | int(high) << 64


def weighted_sum(factors: Words, rows: Planes, last: Planes | None, ones: Words) -> Planes:
    """Sum of factors (k, N) times ``ones``, a word for each pair of planes, times each of the ``rows`` (planes, r, N)
    and, where there is a ``last`` one (planes, N), times that: (planes, N)."""
    out = np.empty((len(rows), rows.shape[2]), np.uint64)
    added = rows[:, :0] if last is None else last[:, None]
    _add_products(factors, (np.ascontiguousarray(rows), np.ascontiguousarray(added)), ones, out)
    return out


def of_words(words: Words) -> Planes:
    """Words as wide integers (2, ...): high plane zero."""
    return np.stack([words, np.zeros_like(words)])


def of_integer(value: int, shape: tuple[int, ...] = ()) -> Planes:
    """``value`` mod 2^128 in every place of (2, *shape)."""
    parts = np.array([value & (1 << 64) - 1, value >> 64 & (1 << 64) - 1], np.uint64)
    return np.broadcast_to(parts.reshape(2, *(1,) * len(shape)), (2, *shape))


def _flat(planes: Planes) -> Planes:
    return np.ascontiguousarray(planes).reshape(len(planes), -1)


@compiled(IN[3], IN[3], OUT[4])
def _matmul(left: Any, right: Any, out: Any) -> None:
    """left (planes, O, K) wide times right (n, P, K) words, into out (planes, n, O, P)."""
    planes, rows, inner = left.shape
    for i in range(right.shape[0]):
        for pair in range(0, planes, 2):
            for o in range(rows):
                for p in range(right.shape[1]):
                    low, high = np.uint64(0), np.uint64(0)
                    for k in range(inner):
                        low, high = multiply_add(low, high, left[pair, o, k], left[pair + 1, o, k], right[i, p, k])
                    out[pair, i, o, p] = low
                    out[pair + 1, i, o, p] = high


@compiled(IN[3], IN[3], OUT[4])
def _sum_products(left: Any, right: Any, out: Any) -> None:
    zero = np.uint64(0)
    for group in range(left.shape[0]):
        for o in range(left.shape[1]):
            for k in range(right.shape[1]):
                low, high = zero, zero
                for p in range(left.shape[2]):
                    low, high = multiply_add(low, high, left[group, o, p], zero, right[group, k, p])
                out[0, group, o, k] = low
                out[1, group, o, k] = high


@compiled(IN[1], IN[1], IN[1], IN[1], returns=_PAIR)
def _inner(lows: Any, highs: Any, other_lows: Any, other_highs: Any) -> Any:
    low, high = np.uint64(0), np.uint64(0)
    for i in range(len(lows)):
        low, high = multiply_add(low, high, lows[i], highs[i], other_lows[i])
        high += lows[i] * other_highs[i]
    return low, high


@compiled(IN[2], IN[4], OUT[4])
def _matmul_left(left: Any, right: Any, out: Any) -> None:
    """left (O, K) words times right (planes, n, P, K) wide, into out (planes, n, O, P)."""
    planes, count, width, inner = right.shape
    for pair in range(0, planes, 2):
        for i in range(count):
            for o in range(left.shape[0]):
                for p in range(width):
                    low, high = np.uint64(0), np.uint64(0)
                    for k in range(inner):
                        low, high = multiply_add(low, high, right[pair, i, p, k], right[pair + 1, i, p, k], left[o, k])
                    out[pair, i, o, p] = low
                    out[pair + 1, i, o, p] = high


@compiled(IN[2], IN[2], OUT[2])
def _add(left: Any, right: Any, out: Any) -> None:
    for pair in range(0, len(left), 2):
        for i in range(left.shape[1]):
            low = left[pair, i] + right[pair, i]
            carry = np.uint64(1) if low < left[pair, i] else np.uint64(0)
            out[pair, i] = low
            out[pair + 1, i] = left[pair + 1, i] + right[pair + 1, i] + carry


@compiled(IN[2], IN[2], OUT[2])
def _subtract(left: Any, right: Any, out: Any) -> None:
    for pair in range(0, len(left), 2):
        for i in range(left.shape[1]):
            borrow = np.uint64(1) if left[pair, i] < right[pair, i] else np.uint64(0)
            low = left[pair, i] - right[pair, i]
            out[pair + 1, i] = left[pair + 1, i] - right[pair + 1, i] - borrow
            out[pair, i] = low


@compiled(IN[2], IN[1], OUT[2])
def _scale(left: Any, factor: Any, out: Any) -> None:
    zero = np.uint64(0)
    for pair in range(0, len(left), 2):
        for i in range(left.shape[1]):
            out[pair, i], out[pair + 1, i] = multiply_add(zero, zero, left[pair, i], left[pair + 1, i], factor[i])


@compiled(IN[2], types.UniTuple(IN[3], 2), IN[1], OUT[2])
def _add_products(factors: Any, parts: Any, ones: Any, out: Any) -> None:
    zero = np.uint64(0)
    for start in range(0, out.shape[1], _TOGETHER):
        stop = min(start + _TOGETHER, out.shape[1])
        for pair in range(0, len(out), 2):
            low, high = out[pair], out[pair + 1]
            for i in range(start, stop):
                low[i], high[i] = multiply_add(zero, zero, ones[pair >> 1], zero, factors[0, i])
            at = 1
            for planes in parts:
                for row in range(planes.shape[1]):
                    for i in range(start, stop):
                        a, b = planes[pair, row, i], planes[pair + 1, row, i]
                        low[i], high[i] = multiply_add(low[i], high[i], a, b, factors[at, i])
                    at += 1


@compiled(IN[3], OUT[2])
def _sum(planes: Any, out: Any) -> None:
    for pair in range(0, len(planes), 2):
        for i in range(planes.shape[1]):
            low, high = np.uint64(0), np.uint64(0)
            for k in range(planes.shape[2]):
                low, high = multiply_add(low, high, planes[pair, i, k], planes[pair + 1, i, k], np.uint64(1))
            out[pair, i] = low
            out[pair + 1, i] = high


@compiled(IN[1], IN[1], IN[1], returns=_PAIR)
def _dot(coefficients: Any, lows: Any, highs: Any) -> Any:
    low, high = np.uint64(0), np.uint64(0)
    for i in range(len(coefficients)):
        low, high = multiply_add(low, high, lows[i], highs[i], coefficients[i])
    return low, high
