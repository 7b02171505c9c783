"""Builds a plan out of values as PyTorch sees them: every method adds the layers of one mathematical step.

The network is captured for a single example, batch axis 1 included, so a value's ``shape`` is PyTorch's, and an axis of
length 1 in front is not in the plan.  That axis may wander: a value (T, 1, F) stands in the plan as it is.
Nothing here knows of graphs or modules (:mod:`sotto.mpc.lowering.capture`) nor of operators' names
(:mod:`sotto.mpc.lowering.operators`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from sotto.mpc.errors import ModelRefused, PlanError
from sotto.mpc.graph import curves, ranges
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import Curve, ModelPlan, Shape, Weights

Function: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

#: The layers that a secret factor can be taken into.
_WEIGHTED = layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale

_MOST_PIECES = 64  # of a logarithm of a wide range in one curve, whose error is proven
_PRECISION = 12  # bits that a value keeps where it is scaled into a fixed interval


@dataclass(frozen=True)
class Wire:
    """A value that depends on the input: its ``number`` in the plan, its ``shape`` in PyTorch."""

    number: int
    shape: Shape


class Builder:
    """A plan in the making.  ``tolerance``: the largest error of a function that is approximated."""

    def __init__(self, input_shape: Shape, input_limit: float, tolerance: float) -> None:
        self._input = (input_shape, input_limit)
        self.tolerance = tolerance
        self.layers: list[layers.Layer] = []
        self.shapes: list[Shape] = [input_shape]
        self.weights: Weights = {}
        self.curves: list[Curve] = []
        self.functions: dict[int, Function] = {}
        limit = torch.full((1, *input_shape), input_limit + 2.0**-16, dtype=torch.float64)
        self._intervals: list[ranges.Interval] = [(-limit, limit)]

    # -- the plan ----------------------------------------------------------------------------------------------------

    def plan(self, result: Wire, final: layers.Final = "none") -> tuple[ModelPlan, Weights, dict[int, Function]]:
        """The plan that ends in ``result``, without layers that nothing uses; weights and functions renumbered."""
        if result.number != len(self.layers) or not self.layers:
            result = self.emit(layers.Reshape(result.number, self.shapes[result.number]), result.shape)
        used = {result.number}
        for number in range(len(self.layers), 0, -1):
            if number in used:
                used.update(self.layers[number - 1].sources)
        folded = self._fold_scales(used - {0})
        places: dict[int, int] = {}
        for old in sorted(used | {0}):
            places[old] = places[folded[old]] if old in folded else len(places) - len(folded.keys() & places.keys())
        kept = [number - 1 for number in sorted(used - folded.keys() - {0})]
        bends = sorted({layer.curve for at in kept if isinstance(layer := self.layers[at], layers.Bend)})
        numbers = {old: new for new, old in enumerate(bends)}
        plan = ModelPlan(
            *self._input, tuple(_renumbered(self.layers[at], places, numbers) for at in kept),
            tuple(self.curves[old] for old in bends), final,
        )  # fmt: skip
        weights = {places[at + 1] - 1: self.weights[at] for at in kept if at in self.weights}
        return plan, weights, {numbers[old]: each for old, each in self.functions.items() if old in numbers}

    def _fold_scales(self, used: set[int]) -> dict[int, int]:
        """Take each secret factor that alone reads a layer with weights into them: its value -> that layer's."""
        readers = Counter(source for number in used for source in self.layers[number - 1].sources)
        folded: dict[int, int] = {}
        for number in sorted(used):
            layer = self.layers[number - 1]
            if not isinstance(layer, layers.Scale) or math.prod(layer.shape) > 1 or readers[layer.source] > 1:
                continue
            source = folded.get(layer.source, layer.source)
            if source and isinstance(self.layers[source - 1], _WEIGHTED):
                factor = float(self.weights[number - 1]["scale"].ravel()[0])
                own = self.weights[source - 1]
                self.weights[source - 1] = {name: (each * factor).astype(np.float32) for name, each in own.items()}
                folded[number] = source
        return folded

    def emit(self, layer: layers.Layer, shape: Sequence[int], **own: torch.Tensor) -> Wire:
        """Add a layer; the value that it makes has ``shape`` in PyTorch."""
        try:
            planned = layer.output([self.shapes[source] for source in layer.sources])
            if math.prod(planned) > layers.MAX_ELEMENTS or len(self.layers) >= layers.MAX_LAYERS:
                raise PlanError(
                    "too-many-layers", f"the plan has more than {layers.MAX_LAYERS} layers, or a value is too large"
                )
        except PlanError as error:
            raise ModelRefused(*error.args) from None
        if own:
            self.weights[len(self.layers)] = {name: array(tensor) for name, tensor in own.items()}
        self.layers.append(layer)
        self.shapes.append(planned)
        return self._seen(len(self.layers), tuple(shape))

    def reach(self, wire: Wire) -> tuple[float, float]:
        """Least and largest value that can occur."""
        with torch.no_grad():
            while len(self._intervals) <= len(self.layers):
                number = len(self._intervals) - 1
                layer = self.layers[number]
                own = {name: torch.tensor(each).double() for name, each in self.weights.get(number, {}).items()}
                curve = self.curves[layer.curve] if isinstance(layer, layers.Bend) else None
                inputs = [self._intervals[source] for source in layer.sources]
                self._intervals.append(ranges.interval(layer, own, inputs, curve))
        low, high = self._intervals[wire.number]
        return float(low.min()), float(high.max())

    def _seen(self, number: int, shape: Shape) -> Wire:
        if self.shapes[number] != planned(shape):
            if math.prod(self.shapes[number]) != math.prod(shape):
                raise ModelRefused(
                    "wrong-shape", f"it gives shape {shape}, its plan {self.shapes[number]}: not supported"
                )
            return self.emit(layers.Reshape(number, planned(shape)), shape)
        return Wire(number, shape)

    def _aligned(self, wire: Wire, shape: Shape) -> int:
        """The number of ``wire`` under as many axes as ``shape`` has, the one in front where the plan has it."""
        full = (*(1,) * (len(shape) - len(wire.shape)), *wire.shape)
        wanted = full[1:] if len(planned(shape)) < len(shape) else full
        if self.shapes[wire.number] == wanted:
            return wire.number
        self.layers.append(layers.Reshape(wire.number, wanted))
        self.shapes.append(wanted)
        return len(self.layers)

    # -- elements moved ----------------------------------------------------------------------------------------------

    def reshape(self, wire: Wire, shape: Sequence[int]) -> Wire:
        return self._seen(wire.number, tuple(shape))

    def numbered(self, wire: Wire) -> torch.Tensor:
        """Each element's number plus 1, in the shape of ``wire``: move it about and give it to :meth:`moved`."""
        return torch.arange(1, math.prod(wire.shape) + 1, dtype=torch.float64).reshape(wire.shape)

    def moved(self, wire: Wire, numbers: torch.Tensor) -> Wire:
        """The elements of ``wire`` where their :meth:`numbered` numbers are; zero where 0 is."""
        shape = tuple(numbers.shape)
        places = numbers.round().long().numpy() - 1
        if not places.size:
            raise ModelRefused("empty-value", "a value without elements")
        if places.size == math.prod(wire.shape) and (places.ravel() == np.arange(places.size)).all():
            return self.reshape(wire, shape)
        axes = planned(shape)
        flat = places.reshape(axes)
        corner = flat[(0,) * len(axes)]
        strides = tuple(
            int(flat[tuple(int(a == axis) for a in range(len(axes)))] - corner) if length > 1 else 0
            for axis, length in enumerate(axes)
        )
        view = layers.Strided(wire.number, axes, strides, int(corner))
        if (places >= 0).all() and (view.places() == flat).all():
            return self.emit(view, shape)
        return self._taken(wire, places)

    def _taken(self, wire: Wire, places: Any) -> Wire:
        """Axis by axis, where each axis can be treated by itself."""
        shape = places.shape
        if len(shape) == len(wire.shape):
            coordinates = np.unravel_index(np.maximum(places, 0), wire.shape)
            tables = []
            for axis, each in enumerate(coordinates):
                others = tuple(a for a in range(len(shape)) if a != axis)
                tables.append(np.where(places < 0, -1, each).max(axis=others))
            meshes = np.meshgrid(*tables, indexing="ij")
            joined = np.ravel_multi_index([np.maximum(mesh, 0) for mesh in meshes], wire.shape)
            joined[np.min(meshes, axis=0) < 0] = -1
            if (joined == places).all():
                for axis, table in enumerate(tables):
                    if len(table) != wire.shape[axis] or (table != np.arange(len(table))).any():
                        wire = self.take(wire, axis, [int(each) for each in table])
                return wire
        if places.size > layers.MAX_PLACES:
            raise ModelRefused(
                "moves-elements", "it moves elements in a way that no plan describes: use slices, padding, permutations"
            )
        flat = self.reshape(wire, (1, math.prod(wire.shape)))
        return self.reshape(self.take(flat, 1, [int(each) for each in places.ravel()]), shape)

    def take(self, wire: Wire, axis: int, places: Sequence[int]) -> Wire:
        """Elements at ``places`` along an axis; -1 is zero."""
        shape = (*wire.shape[:axis], len(places), *wire.shape[axis + 1 :])
        number, at = self._axes_of(wire, [axis])
        return self.emit(layers.Take(number, at[0], tuple(places)), shape)

    def broadcast(self, wire: Wire, shape: Sequence[int]) -> Wire:
        if wire.shape == tuple(shape):
            return wire
        return self.moved(wire, self.numbered(wire).expand(tuple(shape)))

    def concat(self, wires: Sequence[Wire], axis: int) -> Wire:
        if len(wires) == 1:
            return wires[0]
        total = sum(wire.shape[axis] for wire in wires)
        shape = (*wires[0].shape[:axis], total, *wires[0].shape[axis + 1 :])
        if axis > 0 and shape[0] == 1:
            first, *others = [wire.number for wire in wires]
            return self.emit(layers.Concat(first, tuple(others), axis - 1), shape)
        full = [self._full(wire) for wire in wires]
        return self.emit(layers.Concat(full[0], tuple(full[1:]), axis), shape)

    def _full(self, wire: Wire) -> int:
        """The number of ``wire`` with all its axes in the plan."""
        if self.shapes[wire.number] == wire.shape:
            return wire.number
        self.layers.append(layers.Reshape(wire.number, wire.shape))
        self.shapes.append(wire.shape)
        return len(self.layers)

    def _axes_of(self, wire: Wire, axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """The value's number, and ``axes`` as the plan counts them; the one in front is put into the plan if needed."""
        if len(planned(wire.shape)) == len(wire.shape):
            return wire.number, tuple(axes)
        if 0 in axes:
            return self._full(wire), tuple(axes)
        return wire.number, tuple(axis - 1 for axis in axes)

    # -- sums and products -------------------------------------------------------------------------------------------

    def constant(self, tensor: torch.Tensor) -> Wire:
        shape = tuple(tensor.shape) or (1,)
        return self.emit(layers.Constant(planned(shape)), shape, value=tensor.reshape(planned(shape)))

    def add(self, left: Wire, right: Wire | torch.Tensor | float) -> Wire:
        if not isinstance(right, Wire):
            values = torch.as_tensor(right, dtype=torch.float64)
            shape = torch.broadcast_shapes(left.shape, values.shape)
            values = self._without_infinities(left, values)
            if not bool(values.any()):
                return self.broadcast(left, shape)
            right = self.constant(values)
        shape = torch.broadcast_shapes(left.shape, right.shape)
        left, right = self.broadcast(left, shape), self.broadcast(right, shape)
        return self.emit(layers.Add(left.number, right.number), shape)

    def _without_infinities(self, wire: Wire, values: torch.Tensor) -> torch.Tensor:
        """Minus infinity, which takes an element out of a maximum or a softmax, as a number that does the same."""
        if not bool(torch.isneginf(values).any()):
            return values
        low, high = self.reach(wire)
        return values.masked_fill(torch.isneginf(values), -(high - low + 32.0))

    def subtract(self, left: Wire, right: Wire) -> Wire:
        return self.add(left, self.times(right, -1.0))

    def times(self, wire: Wire, factor: float) -> Wire:
        """The value times a public number, which is exact in the plan if it has fewer than 18 bits there."""
        if factor == 1.0:
            return wire
        if factor == 0.0:
            return self.broadcast(self.constant(torch.zeros(1)), wire.shape)
        shift = min(40, max(0, 18 - math.frexp(factor)[1]))
        whole = round(factor * 2**shift)
        while shift and whole % 2 == 0 and whole == factor * 2.0**shift:
            whole, shift = whole // 2, shift - 1
        if not 0 < abs(whole) < 1 << 24:
            raise ModelRefused("factor-out-of-range", f"a factor of {factor:g} is beyond the fixed point")
        return self.emit(layers.Times(wire.number, whole, shift), wire.shape)

    def scale(self, wire: Wire, tensor: torch.Tensor) -> Wire:
        """The value times a secret tensor."""
        shape = torch.broadcast_shapes(wire.shape, tensor.shape)
        wire = self.broadcast(wire, shape)
        full = tensor.reshape((1,) * (len(shape) - tensor.dim()) + tuple(tensor.shape))
        if len(planned(shape)) < len(shape):
            full = full.squeeze(0)
        return self.emit(layers.Scale(wire.number, tuple(full.shape)), shape, scale=full)

    def multiply(self, left: Wire, right: Wire, limit: float = 0.0) -> Wire:
        shape = torch.broadcast_shapes(left.shape, right.shape)
        return self.emit(layers.Multiply(self._aligned(left, shape), self._aligned(right, shape), limit), shape)

    def matmul(self, left: Wire, right: Wire, limit: float = 0.0) -> Wire:
        """Matrix products (…, i, k) times (…, k, j)."""
        batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        left = self.broadcast(left, (*batch, *left.shape[-2:]))
        right = self.broadcast(right, (*batch, *right.shape[-2:]))
        shape = (*batch, left.shape[-2], right.shape[-1])
        if batch and batch[0] == 1 and len(batch) + 2 == len(planned(left.shape)) + 1:
            return self.emit(layers.MatMul(left.number, right.number, limit), shape)
        return self.emit(layers.MatMul(self._full(left), self._full(right), limit), shape)

    def linear(self, wire: Wire, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Wire:
        layer = layers.Linear(wire.number, weight.shape[1], weight.shape[0], bias is not None)
        own = {"weight": weight} | ({} if bias is None else {"bias": bias})
        return self.emit(layer, (*wire.shape[:-1], weight.shape[0]), **own)

    def transpose(self, wire: Wire, first: int, second: int) -> Wire:
        return self.moved(wire, self.numbered(wire).transpose(first, second))

    def mean(self, wire: Wire, axes: Sequence[int], keep: bool) -> Wire:
        number, at = self._summed_axes(wire, axes)
        return self.emit(layers.Mean(number, at, keep), reduced(wire.shape, axes, keep))

    def total(self, wire: Wire, axes: Sequence[int], keep: bool) -> Wire:
        number, at = self._summed_axes(wire, axes)
        return self._seen(
            self.emit(layers.Total(number, at), reduced(wire.shape, axes, False)).number,
            reduced(wire.shape, axes, keep),
        )

    def _summed_axes(self, wire: Wire, axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """The same, with an axis left over where all would go."""
        inner = [axis for axis in axes if wire.shape[axis] > 1 or axis > 0] or list(axes)
        number, at = self._axes_of(wire, inner)
        if len(at) == len(self.shapes[number]):
            return self._full(Wire(number, (1, *self.shapes[number]))), tuple(axis + 1 for axis in at)
        return number, at

    def largest(self, wire: Wire, axis: int, keep: bool) -> Wire:
        shape = reduced(wire.shape, [axis], keep)
        if wire.shape[axis] == 1:
            return self.reshape(wire, shape)
        number, at = self._axes_of(wire, [axis])
        if len(self.shapes[number]) == 1:
            number, at = self._full(Wire(number, (1, *self.shapes[number]))), (1,)
        value = self.emit(layers.Largest(number, at[0]), reduced(wire.shape, [axis], False) or (1,))
        return self.reshape(value, shape or (1,))

    def larger(self, left: Wire, right: Wire) -> Wire:
        shape = torch.broadcast_shapes(left.shape, right.shape)
        pair = [self.reshape(self.broadcast(wire, shape), (*shape, 1)) for wire in (left, right)]
        return self.largest(self.concat(pair, len(shape)), len(shape), False)

    # -- layers with weights -----------------------------------------------------------------------------------------

    def convolution(
        self, wire: Wire, weight: torch.Tensor, bias: torch.Tensor | None, stride: Shape, padding: Shape,
        dilation: Shape, groups: int,
    ) -> Wire:  # fmt: skip
        """``wire`` is (n, C, …) or (C, …); several at once become one more axis that the kernel does not reach over."""
        axes = weight.dim() - 2
        if len(wire.shape) == axes + 1:
            wire = self.reshape(wire, (1, *wire.shape))
            result = self.convolution(wire, weight, bias, stride, padding, dilation, groups)
            return self.reshape(result, result.shape[1:])
        if wire.shape[0] != 1:
            turned = self.transpose(wire, 0, 1)
            turned = self.reshape(turned, (1, *turned.shape))
            result = self.convolution(
                turned, weight.unsqueeze(2), bias, (1, *stride), (0, *padding), (1, *dilation), groups
            )
            return self.transpose(self.reshape(result, result.shape[1:]), 0, 1)
        layer = layers.Convolution(
            wire.number, weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), stride, padding, dilation,
            groups, bias is not None,
        )  # fmt: skip
        try:
            shape = layer.output([self.shapes[wire.number]])
        except PlanError as error:
            raise ModelRefused(*error.args) from None
        own = {"weight": weight} | ({} if bias is None else {"bias": bias})
        return self.emit(layer, (1, *shape), **own)

    def transposed_convolution(
        self, wire: Wire, weight: torch.Tensor, bias: torch.Tensor | None, stride: Shape, padding: Shape,
        output_padding: Shape, dilation: Shape, groups: int,
    ) -> Wire:  # fmt: skip
        """A convolution of the input with zeros between and around its elements."""
        axes = weight.dim() - 2
        kernel = weight.shape[2:]
        for axis in range(axes):
            at = len(wire.shape) - axes + axis
            length, step = wire.shape[at], stride[axis]
            spread = [-1 if place % step else place // step for place in range((length - 1) * step + 1)]
            around = dilation[axis] * (kernel[axis] - 1) - padding[axis]
            before, after = around, around + output_padding[axis]
            places = [-1] * before + spread[max(0, -before) : len(spread) - max(0, -after)] + [-1] * after
            if places != list(range(length)):
                wire = self.take(wire, at, places)
        inner = weight.shape[0] // groups
        turned = weight.flip(tuple(range(2, 2 + axes))).reshape(groups, inner, weight.shape[1], *kernel)
        turned = turned.transpose(1, 2).reshape(groups * weight.shape[1], inner, *kernel)
        return self.convolution(wire, turned, bias, (1,) * axes, (0,) * axes, dilation, groups)

    def normalise(self, wire: Wire, scale: torch.Tensor, shift: torch.Tensor, *, fold: bool) -> Wire:
        """Batch norm: a scale and a shift by channel, axis 1, folded into the layer before where ``fold`` allows it."""
        previous = self.layers[wire.number - 1] if wire.number else None
        vector = len(self.shapes[wire.number]) == 1
        convolved = isinstance(previous, layers.Convolution)
        if previous and fold and (convolved or (isinstance(previous, layers.Linear) and vector)):
            own = {name: torch.from_numpy(each).double() for name, each in self.weights[wire.number - 1].items()}
            fuse = fuse_conv_bn_weights if convolved else fuse_linear_bn_weights
            zero, one = torch.zeros_like(scale), torch.ones_like(scale)
            weight, bias = fuse(own["weight"], own.get("bias"), zero, one, 0.0, scale, shift)
            self.weights[wire.number - 1] = {"weight": array(weight), "bias": array(bias)}
            self.layers[wire.number - 1] = msgspec.structs.replace(previous, bias=True)
            del self._intervals[wire.number :]
            return wire
        if wire.shape[0] == 1 and len(wire.shape) > 1:
            return self.emit(layers.ChannelAffine(wire.number, len(scale)), wire.shape, scale=scale, shift=shift)
        shape = (-1, *(1,) * (len(wire.shape) - 2))
        return self.add(self.scale(wire, scale.reshape(shape)), shift.reshape(shape))

    # -- functions ---------------------------------------------------------------------------------------------------

    def relu(self, wire: Wire) -> Wire:
        return self.emit(layers.ReLU(wire.number), wire.shape)

    def bend(self, wire: Wire, curve: Curve, function: Function | None = None) -> Wire:
        """A curve of every element; ``function`` is what it approximates, None where it is exact."""
        if curve not in self.curves:
            if function:
                self.functions[len(self.curves)] = function
            self.curves.append(curve)
        return self.emit(layers.Bend(wire.number, self.curves.index(curve)), wire.shape)

    def activation(self, wire: Wire, name: str, function: Function) -> Wire:
        return self.bend(wire, curves.activation(name, self.tolerance), function)

    def round(self, wire: Wire, fraction: int) -> Wire:
        return self.emit(layers.Round(wire.number, max(0, min(40, fraction))), wire.shape)

    def exp(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        return self.bend(wire, curves.exponential(low, high, self.tolerance), torch.exp)

    def log(self, wire: Wire) -> Wire:
        if floored := self._floored(wire):
            source, floor = floored
            high = max(self.reach(wire)[1], 2 * floor)
            if math.log(high / floor) / math.sqrt(16 * self.tolerance) <= _MOST_PIECES:
                curve = curves.positive("log", floor, high, self.tolerance, _fraction(8 * floor), flat=True)
                return self.bend(source, curve, lambda x: x.clamp(min=floor).log())
        low, high = self._positive(wire, "a logarithm")
        pieces = math.log(high / low) / math.sqrt(16 * self.tolerance)
        if high <= low * 2**12 or pieces <= _MOST_PIECES:
            return self.bend(wire, curves.positive("log", low, high, self.tolerance, _fraction(low)), torch.log)
        scaled, steps = self._scaled(wire, low, high, 1, 0.0)
        log = self.bend(scaled, curves.positive("log", 0.98, 2.04, self.tolerance), torch.log)
        return self.add(log, steps(lambda j: j * math.log(2.0), 24, "logs"))

    def _floored(self, wire: Wire) -> tuple[Wire, float] | None:
        """What ``wire`` is but for a clamp from below by a positive number, and that number; None for anything else."""
        layer = self.layers[wire.number - 1] if wire.number else None
        curve = self.curves[layer.curve] if isinstance(layer, layers.Bend) else None
        if layer is None or curve is None or curve.name != "clamp" or len(curve.knots) > 1 or curve.slope:
            return None
        floor = curve.knots[0][0] / 2.0**curve.fraction
        return (Wire(layer.sources[0], wire.shape), floor) if floor > 0 else None

    def reciprocal(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        if high < 0:
            return self.times(self.reciprocal(self.times(wire, -1.0)), -1.0)
        low, high = self._positive(wire, "a divisor")
        if high <= low * 2**10:
            curve = curves.positive("reciprocal", low, high, self.tolerance, _fraction(low))
            return self.bend(wire, curve, torch.reciprocal)
        scaled, steps = self._scaled(wire, low, high, 1, 0.0)
        inverse = self.bend(scaled, curves.positive("reciprocal", 0.98, 2.04, self.tolerance), torch.reciprocal)
        return self.multiply(inverse, steps(lambda j: 2.0**-j, 0, "powers"), 1.02 / low)

    def sqrt(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        least = (self.tolerance / 2) ** 2
        if high <= 0 or low < -1e-3:
            raise ModelRefused("negative-root", "the argument of a square root can be negative")
        if high <= least * 2**16:
            curve = curves.positive("sqrt", least, high, self.tolerance, _fraction(least))
            return self.bend(wire, curve, lambda x: x.clamp(min=0).sqrt())
        scaled, steps = self._scaled(wire, max(low, 2.0**-12), high, 2, 0.0)
        curve = curves.positive("sqrt", least, 4.1, self.tolerance, _fraction(least))
        root = self.bend(scaled, curve, lambda x: x.clamp(min=0).sqrt())
        return self.multiply(root, steps(lambda j: 2.0**j, 16, "roots"), 1.05 * math.sqrt(high) + 0.1)

    def rsqrt(self, wire: Wire, epsilon: float = 0.0) -> Wire:
        """1 / sqrt(x + epsilon)."""
        low, high = self.reach(wire)
        low, high = max(low, 0.0) + epsilon, high + epsilon
        if low <= 0:
            raise ModelRefused("zero-reciprocal", "a reciprocal square root of what can be 0: add a small constant")
        scaled, steps = self._scaled(wire, low, high, 2, epsilon)
        root = self.bend(scaled, curves.positive("rsqrt", 0.98, 4.1, self.tolerance / 2), torch.rsqrt)
        return self.multiply(root, steps(lambda j: 2.0**-j, 0, "roots"), 1.02 / math.sqrt(low))

    def _positive(self, wire: Wire, what: str) -> tuple[float, float]:
        low, high = self.reach(wire)
        if low <= 0:
            raise ModelRefused(
                "not-positive", f"{what} can be {low:.3g}, and must be positive: add a constant, or clamp it"
            )
        return low, high

    def _scaled(
        self, wire: Wire, low: float, high: float, octaves: int, epsilon: float
    ) -> tuple[Wire, Callable[[Callable[[int], float], int, str], Wire]]:
        """(x + epsilon) / 2^(octaves · j) with the j that brings it into [1, 2^octaves), and what depends on that j.

        The second result makes f(j): from the function, its fraction bits at least, its name.  All ask for j at one
        word, rounded as finely as the knots lie: a gate that had to round would do so at a threshold of its own, and
        next to a knot two gates would take different j.
        """
        base = 2.0**octaves
        first = math.floor(math.log(low, base))
        last = max(first, math.ceil(math.log(high, base)) - 1)
        spare, wanted = 58 - octaves - max(0, octaves * last), max(16, _PRECISION - octaves * first)
        if spare < _PRECISION // 2 - octaves * first:
            raise ModelRefused(
                "range-too-wide",
                f"a value can lie anywhere from {low:.3g} to {high:.3g}, too far apart: lower input_limit",
            )
        fraction = min(spare, wanted, 40)
        rounded = self.round(wire, fraction)

        def steps(value: Callable[[int], float], bits: int, name: str) -> Wire:
            places = [(base**j - epsilon, value(j)) for j in range(first + 1, last + 1)]
            least = min(abs(value(j)) or 1.0 for j in range(first, last + 1))
            bits = max(bits, -math.floor(math.log2(least)), 0)
            return self.bend(rounded, curves.stairs(name, places, value(first), fraction, bits))

        factor = steps(lambda j: base**-j, 0, "powers")
        scaled = self.multiply(rounded, factor, base * 1.02)
        if epsilon:
            scaled = self.add(scaled, self.times(factor, epsilon))
        return scaled, steps

    # -- statistics --------------------------------------------------------------------------------------------------

    def centred(self, wire: Wire, axes: Sequence[int]) -> Wire:
        """The value less its mean over ``axes``."""
        return self.subtract(wire, self.broadcast(self.mean(wire, axes, True), wire.shape))

    def mean_square(self, wire: Wire, axes: Sequence[int]) -> Wire:
        """Mean of squares over ``axes``, which stay, with as many fraction bits as a word holds."""
        count = math.prod(wire.shape[axis] for axis in axes)
        bits = math.log2(max(map(abs, self.reach(wire))) + 1e-9)
        fraction = min(16, math.floor((57 - math.log2(count)) / 2 - bits))
        if fraction < 2:
            raise ModelRefused(
                "squares-too-large", "squares of a value of such a range do not fit into a word: lower input_limit"
            )
        kept = self.round(wire, fraction)
        return self.mean(self.multiply(kept, kept), axes, True)

    def standardised(self, wire: Wire, axes: Sequence[int], epsilon: float, *, centre: bool = True) -> Wire:
        """Mean 0 and variance 1 over ``axes``; ``centre=False``: only divided by the root of the mean square.

        The result cannot exceed the root of how many elements there are, whatever the input.
        """
        if centre:
            wire = self.centred(wire, axes)
        wire = self.round(wire, 16)
        count = math.prod(wire.shape[axis] for axis in axes)
        inverse = self.rsqrt(self.mean_square(wire, axes), epsilon)
        least = 1 / math.sqrt(max(map(abs, self.reach(wire))) ** 2 + epsilon)
        inverse = self.round(inverse, 15 - math.floor(math.log2(least)))
        return self.multiply(wire, inverse, 1.01 * (math.sqrt(count) + 2.0**-10 / math.sqrt(epsilon)))

    def variance(self, wire: Wire, axes: Sequence[int], correction: float, keep: bool) -> Wire:
        count = math.prod(wire.shape[axis] for axis in axes)
        if count <= correction:
            raise ModelRefused("one-element", "a variance of one element")
        square = self.mean_square(self.round(self.centred(wire, axes), 16), axes)
        return self.reshape(self.times(square, count / (count - correction)), reduced(wire.shape, axes, keep))

    def softmax(self, wire: Wire, axis: int, *, log: bool = False) -> Wire:
        shifted = self.subtract(wire, self.broadcast(self.largest(wire, axis, True), wire.shape))
        count = wire.shape[axis]
        low, _ = self.reach(shifted)
        curve = curves.exponential(min(low, -1.0), 2.0**-10, self.tolerance / 2)
        powers = self.bend(shifted, curve, torch.exp)
        total = self.total(powers, [axis], True)
        least, most = 1 - 2 * self.tolerance, count * (1 + self.tolerance) + 2.0**-8
        name = "log" if log else "reciprocal"
        function = torch.log if log else torch.reciprocal
        own = self.bend(total, curves.positive(name, least, most, self.tolerance / 2), function)
        if log:
            return self.subtract(shifted, self.broadcast(own, wire.shape))
        return self.multiply(powers, own, 1.0 + 4 * self.tolerance)


def planned(shape: Sequence[int]) -> Shape:
    """The shape in the plan of a value of ``shape`` in PyTorch: without an axis of length 1 in front."""
    shape = tuple(shape)
    if not shape:
        return (1,)
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def reduced(shape: Shape, axes: Sequence[int], keep: bool) -> Shape:
    """``shape`` without ``axes``, or with length 1 there."""
    if keep:
        return tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def array(tensor: torch.Tensor) -> Any:
    """A weight as NumPy holds it, float32."""
    return tensor.detach().to(torch.float32).contiguous().numpy().astype(np.float32)


def _fraction(least: float) -> int:
    """Fraction bits that tell the least value of a domain from its neighbours."""
    return min(40, max(16, 8 - math.floor(math.log2(least))))


def _renumbered(layer: layers.Layer, places: dict[int, int], numbers: dict[int, int]) -> layers.Layer:
    changed: dict[str, Any] = {}
    for name in ("source", "other"):
        if hasattr(layer, name):
            changed[name] = places[getattr(layer, name)]
    if isinstance(layer, layers.Concat):
        changed["others"] = tuple(places[other] for other in layer.others)
    if isinstance(layer, layers.Bend):
        changed["curve"] = numbers[layer.curve]
    return msgspec.structs.replace(layer, **changed) if changed else layer
