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
from sotto.mpc.graph import layers, ranges
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plan import MAX_LAYERS, Curve, Final, ModelPlan, Weights

Function: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

#: The layers that a secret factor can be taken into.
_WEIGHTED = layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale


@dataclass(frozen=True)
class Wire:
    """A value that depends on the input: its ``number`` in the plan, its ``shape`` in PyTorch."""

    number: int
    shape: Shape


class LinearBuilder:
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

    def plan(self, result: Wire, final: Final = "none") -> tuple[ModelPlan, Weights, dict[int, Function]]:
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
            if math.prod(planned) > layers.MAX_ELEMENTS or len(self.layers) >= MAX_LAYERS:
                raise PlanError(
                    "too-many-layers", f"the plan has more than {MAX_LAYERS} layers, or a value is too large"
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
