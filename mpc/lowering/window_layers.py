"""Convolutions and pooling of every kind, by the names of PyTorch's operators (see
:mod:`sotto.mpc.lowering.operators`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F

from sotto.mpc.graph import layers
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.program import adaptive_windows
from sotto.mpc.lowering.linear_builder import Wire
from sotto.mpc.lowering.operators import (
    NO_INDICES,
    Call,
    handles,
    known,
    only,
    wire,
)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return sizes * axes if len(sizes) == 1 else sizes


@handles("conv1d", "conv2d", "conv3d")
def _conv(
    call: Call, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Wire:  # fmt: skip
    axes = known(weight).dim() - 2
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(span % 2 for span in spans):  # PyTorch pads one more behind
            around = [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
            x, padding = call.build.moved(x, F.pad(call.build.numbered(wire(x)), around)), 0
        else:
            padding = [span // 2 for span in spans]
    elif padding == "valid":
        padding = 0
    return call.build.convolution(wire(x), weight, bias, stride, _each(padding, axes), dilation, groups)


@handles("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(
    call: Call, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Wire:  # fmt: skip
    axes = known(weight).dim() - 2
    stride, padding, output_padding, dilation = (
        _each(each, axes) for each in (stride, padding, output_padding, dilation)
    )
    return call.build.transposed_convolution(wire(x), weight, bias, stride, padding, output_padding, dilation, groups)


@handles("convolution")
def _convolution(
    call: Call, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Wire:  # fmt: skip
    if transposed:
        return _conv_transpose(call, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(call, x, weight, bias, stride, padding, dilation, groups)


def _plain_window(call: Call, x: Wire, kernel: Shape, stride: Shape, padding: Shape) -> bool:
    """Whether the plan's own pooling layers do: one example, one or two axes, windows that all fit."""
    lengths = x.shape[-len(kernel) :]
    fits = [
        (n + 2 * p - k) // s + 1 for n, k, s, p in zip(lengths, kernel, stride, padding, strict=True)
    ] == list(call.shape[-len(kernel) :])  # fmt: skip
    return fits and len(kernel) <= 2 and len(x.shape) == len(kernel) + 2 and x.shape[0] == 1


@handles("max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices", "max_pool2d_with_indices")
def _max_pool(
    call: Call, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    axes = _axes_of_pool(call, kernel, x)
    kernel, padding, dilation = _each(kernel, axes), _each(padding, axes), _each(dilation, axes)
    stride = _each(stride or kernel, axes)
    if not any(padding) and set(dilation) == {1} and _plain_window(call, x, kernel, stride, padding):
        result = call.build.emit(layers.MaxPool(x.number, kernel, stride, padding), call.shape)
    else:
        windows = [
            _filled([[o * s - p + j * d for j in range(k)] for o in range(out)], length)
            for out, length, k, s, p, d in zip(
                call.shape[-axes:], x.shape[-axes:], kernel, stride, padding, dilation, strict=True
            )
        ]
        result = _window_maxima(call, x, windows)
    return [result, NO_INDICES] if len(call.outputs) > 1 else result


def _axes_of_pool(call: Call, kernel: Any, x: Any) -> int:
    return len(kernel) if isinstance(kernel, (list, tuple)) and len(kernel) > 1 else max(1, len(wire(x).shape) - 2)


def _filled(windows: list[list[int]], length: int) -> list[list[int]]:
    """Places outside the input, which no maximum takes, as the first inside of the same window."""
    result = []
    for window in windows:
        inside = [place for place in window if 0 <= place < length]
        only(bool(inside), "a window of padding alone")
        result.append([place if 0 <= place < length else inside[0] for place in window])
    return result


def _window_maxima(call: Call, x: Wire, windows: Sequence[list[list[int]]]) -> Wire:
    """The largest of each window; ``windows`` for each axis and each place of the output list the input's places."""
    build, lead = call.build, len(x.shape) - len(windows)
    for axis, table in enumerate(windows):
        x = build.take(x, lead + axis, [place for window in table for place in window])
    split = [size for table in windows for size in (len(table), len(table[0]))]
    x = build.reshape(x, (*x.shape[:lead], *split))
    order = [*range(lead), *range(lead, len(x.shape), 2), *range(lead + 1, len(x.shape), 2)]
    x = build.moved(x, build.numbered(x).permute(order))
    flat = (*x.shape[: lead + len(windows)], math.prod(x.shape[lead + len(windows) :]))
    return build.reshape(build.largest(build.reshape(x, flat), len(flat) - 1, False), call.shape)


@handles("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    call: Call, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Wire:  # fmt: skip
    axes = _axes_of_pool(call, kernel, x)
    kernel, padding = _each(kernel, axes), _each(padding, axes)
    stride = _each(stride or kernel, axes)
    counted = count_include_pad or not any(padding)
    if counted and divisor_override is None and _plain_window(call, x, kernel, stride, padding):
        return call.build.emit(layers.AveragePool(x.number, kernel, stride, padding), call.shape)
    for axis, (k, s, p) in enumerate(zip(kernel, stride, padding, strict=True)):
        at = len(x.shape) - axes + axis
        length, windows = x.shape[at], []
        for o in range(call.shape[at]):
            start, stop = o * s - p, min(o * s - p + k, length + p)
            inside = (max(start, 0), min(stop, length))
            count = stop - start if count_include_pad else inside[1] - inside[0]
            windows.append((*inside, count if divisor_override is None else 1))
        x = _window_means(call, x, at, windows)
    return call.build.times(x, 1 / divisor_override) if divisor_override else x


def _window_means(call: Call, x: Wire, axis: int, windows: Sequence[tuple[int, int, int]]) -> Wire:
    number, at = call.build._axes_of(x, [axis])
    shape = (*x.shape[:axis], len(windows), *x.shape[axis + 1 :])
    return call.build.emit(layers.WindowMeans(number, at[0], tuple(windows)), shape)


@handles("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d")
def _adaptive_avg_pool(call: Call, x: Any, size: Any) -> Wire:
    axes = max(1, len(wire(x).shape) - 2) if not isinstance(size, (list, tuple)) else len(size)
    before, after = x.shape[-axes:], call.shape[-axes:]
    one = axes <= 2 and len(x.shape) == axes + 2 and x.shape[0] == 1
    if one and all(length % out == 0 for length, out in zip(before, after, strict=True)):
        kernel = tuple(length // out for length, out in zip(before, after, strict=True))
        return call.build.emit(layers.AveragePool(x.number, kernel, kernel, (0,) * axes), call.shape)
    if one:
        return call.build.emit(layers.AdaptiveAveragePool(x.number, tuple(after)), call.shape)
    for axis in range(axes):
        at = len(x.shape) - axes + axis
        windows = [(a, b, b - a) for a, b in adaptive_windows(x.shape[at], call.shape[at])]
        x = _window_means(call, x, at, windows)
    return wire(x)


@handles("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max_pool(call: Call, x: Any, size: Any) -> Any:
    axes = max(1, len(wire(x).shape) - 2) if not isinstance(size, (list, tuple)) else len(size)
    before, after = x.shape[-axes:], call.shape[-axes:]
    if all(length % out == 0 for length, out in zip(before, after, strict=True)):
        kernel = tuple(length // out for length, out in zip(before, after, strict=True))
        if _plain_window(call, x, kernel, kernel, (0,) * axes):
            return [call.build.emit(layers.MaxPool(x.number, kernel, kernel, (0,) * axes), call.shape), NO_INDICES]
    windows = []
    for length, out in zip(before, after, strict=True):
        spans = adaptive_windows(length, out)
        longest = max(b - a for a, b in spans)
        windows.append([[min(a + j, b - 1) for j in range(longest)] for a, b in spans])
    return [_window_maxima(call, x, windows), NO_INDICES]
