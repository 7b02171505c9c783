"""The layers that a plan is made of: which values each reads, its secret tensors' shapes, its output's shape.

No weight is in them.  All shapes are those of one example; the batch is an extra first axis everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.mpc.errors import MpcError, PlanError

Shape: TypeAlias = tuple[int, ...]

MAX_DIMENSIONS = 8
MAX_PLACES = 1 << 12  # of adaptive pooling along an axis; its windows are laid one by one
MAX_ELEMENTS = 1 << 26  # of one tensor, the batch included: 512 MiB as 64-bit words


class _Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    @property
    def sources(self) -> tuple[int, ...]:
        return ()

    @property
    def parameters(self) -> dict[str, Shape]:
        """Names and shapes of the layer's secret tensors."""
        return {}

    def output(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the layer's output; raises :class:`PlanError` when the inputs do not fit."""
        return inputs[0]

    @property
    def spread(self) -> int:
        """How many elements are held at once for one element of the output."""
        return 1


class _Layer(_Base, frozen=True, forbid_unknown_fields=True):
    source: int

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)


class Convolution(_Layer, frozen=True, forbid_unknown_fields=True):
    """Convolution over one to three axes: input (in_channels, …), output (out_channels, …)."""

    in_channels: int
    out_channels: int
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    bias: bool

    @property
    def parameters(self) -> dict[str, Shape]:
        weight = (self.out_channels, self.in_channels // self.groups, *self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(self.groups > 0 and self.in_channels % self.groups == 0, "groups do not divide the input channels")
        require(self.out_channels > 0 and self.out_channels % self.groups == 0, "groups do not divide the channels")
        require(inputs[0][:1] == (self.in_channels,), "a convolution's input has other channels")
        return (self.out_channels, *_slide(inputs[0][1:], self.kernel, self.stride, self.padding, self.dilation))


class Linear(_Layer, frozen=True, forbid_unknown_fields=True):
    """Affine map of the last axis: (…, inputs) to (…, outputs)."""

    inputs: int
    outputs: int
    bias: bool

    @property
    def parameters(self) -> dict[str, Shape]:
        return {"weight": (self.outputs, self.inputs)} | ({"bias": (self.outputs,)} if self.bias else {})

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(inputs[0][-1:] == (self.inputs,), "a linear layer's input has another width")
        require(self.outputs > 0, "a linear layer has no outputs")
        return (*inputs[0][:-1], self.outputs)


class ChannelAffine(_Layer, frozen=True, forbid_unknown_fields=True):
    """Secret scale and shift per channel: a batch norm that stands alone and could not be folded into a layer."""

    channels: int

    @property
    def parameters(self) -> dict[str, Shape]:
        return {"scale": (self.channels,), "shift": (self.channels,)}

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(inputs[0][:1] == (self.channels,), "a batch norm's input has other channels")
        return inputs[0]


class ReLU(_Layer, frozen=True, forbid_unknown_fields=True):
    """max(x, 0) of every element."""


class Reshape(_Layer, frozen=True, forbid_unknown_fields=True):
    """The same elements in the same order under another shape: flatten, view, squeeze, unsqueeze."""

    shape: Shape

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(math.prod(self.shape) == math.prod(inputs[0]), "a reshape changes the number of elements")
        return self.shape


class Mean(_Layer, frozen=True, forbid_unknown_fields=True):
    """Mean over ``axes`` of the example, counted from 0; the axes stay with length 1 where ``keep`` is set."""

    axes: Shape
    keep: bool

    def output(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        require(bool(self.axes) and len(set(self.axes)) == len(self.axes), "a mean names no axis, or one twice")
        require(all(0 <= axis < len(shape) for axis in self.axes), "a mean names an axis that is not there")
        if self.keep:
            return tuple(1 if axis in self.axes else length for axis, length in enumerate(shape))
        return tuple(length for axis, length in enumerate(shape) if axis not in self.axes)


class _Pool(_Layer, frozen=True, forbid_unknown_fields=True):
    kernel: Shape
    stride: Shape
    padding: Shape

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(len(inputs[0]) == 1 + len(self.kernel), "a pooling layer's input has another number of axes")
        require(
            all(2 * p <= k for p, k in zip(self.padding, self.kernel, strict=False)), "a pooling layer pads too much"
        )
        ones = (1,) * len(self.kernel)
        return (inputs[0][0], *_slide(inputs[0][1:], self.kernel, self.stride, self.padding, ones))


class AveragePool(_Pool, frozen=True, forbid_unknown_fields=True):
    """Mean of a sliding window over one or two axes; padding counts as zeros in the mean."""


class MaxPool(_Pool, frozen=True, forbid_unknown_fields=True):
    """Largest element of a sliding window over one or two axes, without padding."""

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(not any(self.padding), "a max pooling layer pads")
        return super().output(inputs)

    @property
    def spread(self) -> int:
        return math.prod(self.kernel)


class AdaptiveAveragePool(_Layer, frozen=True, forbid_unknown_fields=True):
    """Means of ``size`` windows that may overlap, over one or two axes."""

    size: Shape

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(len(self.size) in (1, 2) and len(inputs[0]) == 1 + len(self.size), "adaptive pooling: other axes")
        require(max(self.size) <= MAX_PLACES, f"adaptive pooling to more than {MAX_PLACES} places along an axis")
        require(
            all(0 < out <= length for out, length in zip(self.size, inputs[0][1:], strict=True)),
            "adaptive pooling to more places than there are",
        )
        return (inputs[0][0], *self.size)


class _Pair(_Layer, frozen=True, forbid_unknown_fields=True):
    other: int

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source, self.other)


class Add(_Pair, frozen=True, forbid_unknown_fields=True):
    """Sum of two values of one shape: a residual connection."""

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(inputs[0] == inputs[1], "a sum adds values of two shapes")
        return inputs[0]


class Concat(_Layer, frozen=True, forbid_unknown_fields=True):
    """Several values side by side along one ``axis`` of the example."""

    others: tuple[int, ...]
    axis: int

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source, *self.others)

    def output(self, inputs: Sequence[Shape]) -> Shape:
        first = inputs[0]
        require(0 <= self.axis < len(first), "a concatenation names an axis that is not there")
        for shape in inputs:
            same = len(shape) == len(first) and all(
                a == b for axis, (a, b) in enumerate(zip(shape, first, strict=True)) if axis != self.axis
            )
            require(same, "a concatenation's values differ in another axis")
        length = sum(shape[self.axis] for shape in inputs)
        return (*first[: self.axis], length, *first[self.axis + 1 :])


class Constant(_Base, frozen=True, forbid_unknown_fields=True):
    """A secret tensor of Bob's as a value of its own, the same for every example."""

    shape: Shape

    @property
    def parameters(self) -> dict[str, Shape]:
        return {"value": self.shape}

    def output(self, inputs: Sequence[Shape]) -> Shape:
        return self.shape


class Scale(_Layer, frozen=True, forbid_unknown_fields=True):
    """Every element times a secret number; ``shape`` has the input's axes, those of length 1 serve all places."""

    shape: Shape

    @property
    def parameters(self) -> dict[str, Shape]:
        return {"scale": self.shape}

    def output(self, inputs: Sequence[Shape]) -> Shape:
        same = _broadcast(inputs[0], self.shape, "a scale has other axes than its input") == inputs[0]
        require(same, "a scale has more places than its input")
        return inputs[0]


class Times(_Layer, frozen=True, forbid_unknown_fields=True):
    """Every element times the public number ``factor`` / 2^``shift``."""

    factor: int
    shift: int

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(0 < abs(self.factor) < 1 << 24 and 0 <= self.shift <= 40, "a public factor is out of range")
        return inputs[0]


class Round(_Layer, frozen=True, forbid_unknown_fields=True):
    """The value itself, held with about ``fraction`` fractional bits from here on."""

    fraction: int

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(0 <= self.fraction <= 40, "a value is rounded to 0 to 40 fractional bits")
        return inputs[0]


class Strided(_Layer, frozen=True, forbid_unknown_fields=True):
    """Output[i, j, …] = input element number offset + i · stride_0 + j · stride_1 + …, elements numbered in order:
    permutations, slices, selections, flips, repetitions."""

    shape: Shape
    strides: Shape
    offset: int

    def output(self, inputs: Sequence[Shape]) -> Shape:
        require(len(self.shape) == len(self.strides), "a view has other strides than axes")
        require(all(length > 0 for length in self.shape), "a value has an empty axis")
        require(all(abs(stride) <= MAX_ELEMENTS for stride in self.strides), "a view's strides are out of range")
        reach = [(length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)]
        low = self.offset + sum(min(0, each) for each in reach)
        high = self.offset + sum(max(0, each) for each in reach)
        require(low >= 0 and high < math.prod(inputs[0]), "a view reaches beyond its input")
        return self.shape

    def places(self) -> npt.NDArray[np.int64]:
        """The numbers of the input's elements that make up the output."""
        places = np.full(self.shape, self.offset)
        for axis, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            places += (np.arange(length) * stride).reshape(-1, *(1,) * (len(self.shape) - axis - 1))
        return places


class Take(_Layer, frozen=True, forbid_unknown_fields=True):
    """Along one ``axis`` the elements at ``places``; -1 is zero: padding of every kind, repetition, cropping."""

    axis: int
    places: tuple[int, ...]

    def output(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        require(0 <= self.axis < len(shape), "elements are taken along an axis that is not there")
        require(0 < len(self.places) <= MAX_PLACES, f"1 to {MAX_PLACES} places are taken along an axis")
        require(all(-1 <= place < shape[self.axis] for place in self.places), "a place beyond its axis is taken")
        return (*shape[: self.axis], len(self.places), *shape[self.axis + 1 :])


class Total(_Layer, frozen=True, forbid_unknown_fields=True):
    """Sum over ``axes`` of the example, which go."""

    axes: Shape

    def output(self, inputs: Sequence[Shape]) -> Shape:
        return Mean(0, self.axes, False).output(inputs)


class WindowMeans(_Layer, frozen=True, forbid_unknown_fields=True):
    """Along one ``axis``, for each window (start, stop, divisor), the sum from start to stop over divisor."""

    axis: int
    windows: tuple[tuple[int, int, int], ...]

    def output(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        require(0 <= self.axis < len(shape), "windows lie along an axis that is not there")
        require(0 < len(self.windows) <= MAX_PLACES, f"1 to {MAX_PLACES} windows lie along an axis")
        for start, stop, divisor in self.windows:
            require(0 <= start < stop <= shape[self.axis] and 0 < divisor <= MAX_PLACES, "a window has no size")
        return (*shape[: self.axis], len(self.windows), *shape[self.axis + 1 :])


class Largest(_Layer, frozen=True, forbid_unknown_fields=True):
    """Largest element along one ``axis``, which goes."""

    axis: int

    def output(self, inputs: Sequence[Shape]) -> Shape:
        (shape,) = inputs
        require(0 <= self.axis < len(shape) and len(shape) > 1, "a maximum is over an axis that is not there")
        return (*shape[: self.axis], *shape[self.axis + 1 :])


class Bend(_Layer, frozen=True, forbid_unknown_fields=True):
    """A public piecewise linear function of every element: number ``curve`` of the plan's."""

    curve: int


class Multiply(_Pair, frozen=True, forbid_unknown_fields=True):
    """Product of two values, element by element; an axis of length 1 meets one of any length.

    ``limit``: a bound on the absolute result that Bob knows from what the factors are; 0 for none.
    """

    limit: float

    def output(self, inputs: Sequence[Shape]) -> Shape:
        return _broadcast(inputs[0], inputs[1], "a product multiplies values of two shapes")


class MatMul(_Pair, frozen=True, forbid_unknown_fields=True):
    """Matrix products of two values: (…, i, k) times (…, k, j), the axes before the same.  ``limit`` as there."""

    limit: float

    def output(self, inputs: Sequence[Shape]) -> Shape:
        left, right = inputs
        fits = len(left) == len(right) >= 2 and left[:-2] == right[:-2] and left[-1] == right[-2]
        require(fits, "a matrix product's factors do not fit")
        return (*left[:-1], right[-1])


Layer: TypeAlias = (
    Convolution | Linear | ChannelAffine | ReLU | Reshape | Mean | AveragePool | MaxPool | AdaptiveAveragePool
    | Add | Concat | Constant | Scale | Times | Round | Strided | Take | Total | WindowMeans | Largest | Bend
    | Multiply | MatMul
)  # fmt: skip


def strides_of(shape: Shape) -> Shape:
    """How far apart neighbours along each axis are among the elements in order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _slide(lengths: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    axes = len(kernel)
    require(axes in (1, 2, 3), "only windows over one to three axes are known")
    require(len(lengths) == len(stride) == len(padding) == len(dilation) == axes, "a sliding window has other axes")
    require(min(*kernel, *stride, *dilation) > 0 and min(padding) >= 0, "a sliding window has no size")
    result = tuple(
        (length + 2 * p - d * (k - 1) - 1) // s + 1
        for length, k, s, p, d in zip(lengths, kernel, stride, padding, dilation, strict=True)
    )
    require(min(result) > 0, "a sliding window is longer than its input")
    return result


def _broadcast(left: Shape, right: Shape, otherwise: str) -> Shape:
    require(len(left) == len(right), otherwise)
    require(all(a == b or 1 in (a, b) for a, b in zip(left, right, strict=True)), otherwise)
    return tuple(max(a, b) for a, b in zip(left, right, strict=True))


def checked(shape: Shape) -> Shape:
    """The shape itself.  Raises :class:`PlanError` for one that no value has."""
    require(0 < len(shape) <= MAX_DIMENSIONS, f"a value has 1 to {MAX_DIMENSIONS} axes")
    require(all(length > 0 for length in shape), "a value has an empty axis")
    require(math.prod(shape) <= MAX_ELEMENTS, f"a value has more than {MAX_ELEMENTS} elements")
    return shape


def require(condition: bool, otherwise: str, error: type[MpcError] = PlanError) -> None:
    """Raise :class:`PlanError`, or another ``error``, unless ``condition`` holds."""
    if not condition:
        raise error("bad-plan", otherwise)
