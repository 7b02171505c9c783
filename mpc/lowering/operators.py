"""Which operators of an exported module have a private counterpart, and what each becomes.

One table: the name of an ATen operator -> a function of the builder, the operator's arguments and its output's shapes.
Elements moved, sums and products are here; :mod:`sotto.mpc.lowering.window_layers`,
:mod:`sotto.mpc.lowering.function_layers` and :mod:`sotto.mpc.lowering.sequence_layers` add theirs.  Arguments that
depend on the input are :class:`sotto.mpc.lowering.linear_builder.Wire`; all others are tensors and numbers, because
whatever does not depend on the input is computed before (:mod:`sotto.mpc.lowering.capture`).  Operators that only
move elements are not written out: they are run once on the elements' numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.layers import Shape
from sotto.mpc.lowering.graph_builder import Builder
from sotto.mpc.lowering.linear_builder import Wire, reduced


@dataclass(frozen=True)
class Call:
    """One step: the builder, the shapes of its output, whether its first input is used by nothing else."""

    build: Builder
    outputs: tuple[Shape, ...]
    sole: bool

    @property
    def shape(self) -> Shape:
        return self.outputs[0]


Handler: TypeAlias = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler of these ATen operators."""

    def note(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return note


def only(condition: bool, otherwise: str) -> None:
    """Refuse a variant of an operator."""
    if not condition:
        raise ModelRefused("not-supported", otherwise)


def wire(value: Any) -> Wire:
    """``value``, which must depend on the input."""
    only(isinstance(value, Wire), "its first argument does not depend on the input")
    return value


def known(value: Any) -> torch.Tensor:
    """``value``, which must not depend on the input."""
    only(isinstance(value, torch.Tensor), "a weight that depends on the input")
    return value


# -- moving elements ------------------------------------------------------------------------------------------------

#: Operators that only move the elements of their first argument.
MOVES = frozenset(
    """view reshape _unsafe_view flatten unflatten permute transpose t numpy_T mT movedim swapaxes swapdims squeeze
    unsqueeze select slice narrow split split_with_sizes chunk unbind tensor_split hsplit vsplit expand expand_as
    flip fliplr flipud roll rot90 repeat tile repeat_interleave reflection_pad1d reflection_pad2d reflection_pad3d
    replication_pad1d replication_pad2d replication_pad3d _pad_circular upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d index_select index unfold diagonal
    pixel_shuffle pixel_unshuffle channel_shuffle im2col tril triu broadcast_to view_as reshape_as atleast_2d
    ravel zero_pad2d""".split()  # noqa: SIM905
)

#: Operators that change nothing.
SAME = frozenset(
    "contiguous clone detach alias lift_fresh_copy lift_fresh dropout feature_dropout alpha_dropout".split()  # noqa: SIM905
)


def moved(call: Call, run: Callable[..., Any], source: Wire, *arguments: Any, **options: Any) -> Any:
    """``run``, an operator of :data:`MOVES`, on the numbers of the source's elements."""
    result = run(call.build.numbered(source), *arguments, **options)
    if isinstance(result, (list, tuple)):
        return [call.build.moved(source, each) for each in result]
    return call.build.moved(source, result)


@handles("pad", "constant_pad_nd")
def _pad(call: Call, x: Any, pad: Sequence[int], *rest: Any, **options: Any) -> Wire:
    mode, fill = "constant", 0.0
    for each in (*rest, *options.values()):
        mode, fill = (each, fill) if isinstance(each, str) else (mode, 0.0 if each is None else float(each))
    numbers = F.pad(call.build.numbered(wire(x)), list(pad), mode, 0.0 if mode == "constant" else None)
    result = call.build.moved(x, numbers)
    return call.build.add(result, (numbers == 0).double() * fill) if fill else result


@handles("cat", "concat", "concatenate")
def _cat(call: Call, tensors: Sequence[Any], dim: int = 0) -> Wire:
    wires = [each if isinstance(each, Wire) else call.build.constant(each) for each in tensors]
    return call.build.concat(wires, dim % len(call.shape))


@handles("stack")
def _stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Wire:
    at = dim % len(call.shape)
    shape = (*call.shape[:at], 1, *call.shape[at + 1 :])
    wires = [each if isinstance(each, Wire) else call.build.constant(each) for each in tensors]
    return call.build.concat([call.build.reshape(each, shape) for each in wires], at)


@handles("slice_scatter", "select_scatter")
def _scatter(call: Call, x: Any, y: Any, dim: int = 0, *where: Any) -> Wire:
    """Part of one value written over part of another: both side by side, and the elements picked out."""
    build = call.build
    first, second = (each if isinstance(each, Wire) else build.constant(each) for each in (x, y))
    flat = [build.reshape(each, (1, math.prod(each.shape))) for each in (first, second)]
    over = torch.slice_scatter if len(second.shape) == len(first.shape) else torch.select_scatter
    numbers = over(build.numbered(first), build.numbered(second) + math.prod(first.shape), dim, *where)
    return build.moved(build.concat(flat, 1), numbers)


# -- sums and products ----------------------------------------------------------------------------------------------


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@handles("add")
def _add(call: Call, x: Any, y: Any, alpha: float = 1) -> Wire:
    if not isinstance(x, Wire):
        return call.build.add(product(call, y, alpha), x)
    return call.build.add(x, product(call, y, alpha) if isinstance(y, Wire) else y * alpha)


@handles("sub", "subtract")
def difference(call: Call, x: Any, y: Any, alpha: float = 1) -> Wire:
    """``x - alpha * y``."""
    return _add(call, x, y, -alpha)


@handles("mul", "multiply")
def multiplied(call: Call, x: Any, y: Any) -> Wire:
    """``x * y``, either of which may be known."""
    return product(call, x, y) if isinstance(x, Wire) else product(call, y, x)


def product(call: Call, x: Wire, y: Any) -> Wire:
    """``x * y`` for a secret ``x``."""
    if isinstance(y, Wire):
        return call.build.multiply(x, y)
    if _number(y):
        return call.build.times(x, float(y))
    return call.build.scale(x, torch.as_tensor(y).double())


@handles("div", "divide", "true_divide")
def _div(call: Call, x: Any, y: Any, rounding_mode: str | None = None) -> Wire:
    only(rounding_mode is None, "division that rounds")
    if isinstance(y, Wire):
        inverse = call.build.reciprocal(y)
        return inverse if _number(x) and x == 1 else multiplied(call, x, inverse)
    return product(call, wire(x), 1 / y if _number(y) else 1 / torch.as_tensor(y).double())


@handles("neg", "negative")
def _neg(call: Call, x: Any) -> Wire:
    return call.build.times(wire(x), -1.0)


@handles("pow")
def _pow(call: Call, x: Any, exponent: Any) -> Wire:
    only(isinstance(x, Wire) and _number(exponent), "powers with an exponent that is no number")
    if exponent in (0.5, -0.5, -1):
        return {0.5: call.build.sqrt, -0.5: call.build.rsqrt, -1: call.build.reciprocal}[exponent](x)
    only(exponent == int(exponent) and 1 <= exponent <= 16, f"a power of {exponent}: use whole exponents from 1 to 16")
    result, factor, rest = None, x, int(exponent)
    while rest:
        if rest % 2:
            result = factor if result is None else call.build.multiply(result, factor)
        rest //= 2
        factor = call.build.multiply(factor, factor) if rest else factor
    return wire(result)


@handles("mm", "bmm", "matmul")
def _matmul(call: Call, x: Any, y: Any) -> Wire:
    build = call.build
    if isinstance(x, Wire) and isinstance(y, Wire):
        left = build.reshape(x, (1, *x.shape)) if len(x.shape) == 1 else x
        right = build.reshape(y, (*y.shape, 1)) if len(y.shape) == 1 else y
        return build.reshape(build.matmul(left, right), call.shape)
    if isinstance(x, Wire):
        if y.dim() > 2 and y[..., :, :].reshape(-1, *y.shape[-2:]).shape[0] == 1:
            y = y.reshape(y.shape[-2:])
        if y.dim() <= 2:
            weight = y.reshape(len(y), -1).T
            return build.reshape(build.linear(x, weight), call.shape)
        return build.reshape(build.matmul(x, build.constant(y)), call.shape)
    y = wire(y)
    if x.dim() <= 2:
        turned = y if len(y.shape) == 1 else build.transpose(y, -2, -1)
        result = build.linear(turned, x.reshape(-1, x.shape[-1]))
        if x.dim() == 2 and len(y.shape) > 1:
            result = build.transpose(result, -2, -1)
        return build.reshape(result, call.shape)
    return build.reshape(build.matmul(build.constant(x), y), call.shape)


@handles("dot", "inner", "vdot")
def _inner(call: Call, x: Any, y: Any) -> Wire:
    only(len(call.shape) == 0, "inner products of matrices: use matmul")
    return call.build.total(multiplied(call, x, y), [0], False)


@handles("addmm", "addbmm", "baddbmm")
def _addmm(call: Call, start: Any, x: Any, y: Any, beta: float = 1, alpha: float = 1) -> Wire:
    if isinstance(x, Wire) and isinstance(y, torch.Tensor) and isinstance(start, torch.Tensor) and start.dim() == 1:
        return call.build.linear(x, alpha * y.T, beta * start)
    product = call.build.times(_matmul(call, x, y), float(alpha))
    return call.build.add(product, call.build.times(start, float(beta)) if isinstance(start, Wire) else beta * start)


HANDLERS["rsub"] = lambda call, x, y, alpha=1: _add(call, y, x, -alpha)
HANDLERS["square"] = lambda call, x: call.build.multiply(wire(x), x)
HANDLERS["linear"] = lambda call, x, weight, bias=None: call.build.linear(wire(x), known(weight), bias)


@handles("einsum")
def _einsum(call: Call, equation: str, operands: Sequence[Any], **_path: Any) -> Wire:
    """Of two operands: batch axes in front, then a matrix product."""
    left, _arrow, out = equation.replace(" ", "").partition("->")
    only(len(operands) == 2 and "." not in left, "einsum of anything but two operands with named axes")
    first, second = left.split(",")
    only(len(set(first)) == len(first) and len(set(second)) == len(second), "einsum over a diagonal")
    build = call.build
    x, y = (each if isinstance(each, Wire) else build.constant(each) for each in operands)
    size = dict(zip(first, x.shape, strict=True)) | dict(zip(second, y.shape, strict=True))
    batch = [axis for axis in first if axis in second and axis in out]
    summed = [axis for axis in first if axis in second and axis not in out]
    only(all(axis in out for axis in first + second if axis not in summed), "einsum that sums over one operand alone")
    rows = [axis for axis in first if axis not in second]
    columns = [axis for axis in second if axis not in first]

    def folded(value: Wire, own: Sequence[str], groups: Sequence[list[str]]) -> Wire:
        order = [own.index(axis) for group in groups for axis in group]
        turned = build.moved(value, build.numbered(value).permute(order))
        sizes = [math.prod(size[axis] for axis in group) for group in groups]
        return build.reshape(turned, sizes)

    product = build.matmul(folded(x, first, [batch, rows, summed]), folded(y, second, [batch, summed, columns]))
    product = build.reshape(product, [size[axis] for axis in (*batch, *rows, *columns)])
    order = [(*batch, *rows, *columns).index(axis) for axis in out]
    return build.moved(product, build.numbered(product).permute(order))


# -- sums over axes -------------------------------------------------------------------------------------------------


def _axes(x: Wire, dims: Any) -> list[int]:
    count = len(x.shape)
    if dims is None or (isinstance(dims, (list, tuple)) and not dims):
        return list(range(count))
    return sorted(dim % count for dim in (dims if isinstance(dims, (list, tuple)) else [dims]))


HANDLERS["mean"] = lambda call, x, dim=None, keepdim=False, dtype=None: call.build.mean(wire(x), _axes(x, dim), keepdim)
HANDLERS["sum"] = lambda call, x, dim=None, keepdim=False, dtype=None: call.build.total(wire(x), _axes(x, dim), keepdim)


@handles("var")
def _var(
    call: Call, x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> Wire:
    if correction is None:
        correction = 0 if unbiased is False else 1
    return call.build.variance(wire(x), _axes(x, dim), float(correction), keepdim)


HANDLERS["std"] = lambda call, x, *axes, **options: call.build.sqrt(_var(call, x, *axes, **options))


@handles("norm", "linalg_vector_norm")
def _norm(call: Call, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Wire:
    only(p in (2, 2.0, None), f"a norm of order {p}: use order 2")
    build, axes = call.build, _axes(wire(x), dim)
    count = math.prod(x.shape[axis] for axis in axes)
    square = build.times(build.mean_square(x, axes), float(count))
    return build.reshape(build.sqrt(square), reduced(x.shape, axes, keepdim))


@handles("amax")
def _amax(call: Call, x: Any, dim: Any = (), keepdim: bool = False) -> Wire:
    axes = _axes(wire(x), dim)
    for axis in axes:
        x = call.build.largest(x, axis, True)
    return call.build.reshape(x, call.shape)


HANDLERS["amin"] = lambda call, x, *axes, **options: _neg(call, _amax(call, _neg(call, x), *axes, **options))


@handles("max")
def _max(call: Call, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, (Wire, torch.Tensor)):
        return maximum(call, x, dim)
    if dim is None:
        return _amax(call, x)
    return [call.build.reshape(_amax(call, x, [dim], keepdim), call.shape), NO_INDICES]


@handles("min")
def _min(call: Call, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, (Wire, torch.Tensor)):
        return minimum(call, x, dim)
    result = _max(call, _neg(call, x), dim, keepdim)
    return [_neg(call, result[0]), NO_INDICES] if isinstance(result, list) else _neg(call, result)


class NoIndices:
    """Stands for the places of maxima, which are not computed."""


NO_INDICES = NoIndices()


@handles("maximum")
def maximum(call: Call, x: Any, y: Any) -> Wire:
    """The larger of two, element by element."""
    build = call.build
    first, second = (each if isinstance(each, Wire) else build.constant(torch.as_tensor(each)) for each in (x, y))
    return build.larger(first, second)


@handles("minimum")
def minimum(call: Call, x: Any, y: Any) -> Wire:
    """The smaller of two, element by element."""
    first, second = (_neg(call, each) if isinstance(each, Wire) else -each for each in (x, y))
    return _neg(call, maximum(call, first, second))


#: What to use in place of operators that are asked for now and then.
INSTEAD = {
    "argmax": "return the logits: the class is found by the protocol",
    "argsort": "use a maximum over an axis",
    "sort": "use a maximum over an axis",
    "topk": "use a maximum over an axis",
    "median": "use a mean or a maximum",
    "embedding": "give features, not indices",
    "upsample_linear1d": "use mode='nearest'",
    "upsample_bilinear2d": "use mode='nearest'",
    "cumsum": "multiply by a triangular matrix of ones",
    "std_mean": "use x.std(...) and x.mean(...)",
    "var_mean": "use x.var(...) and x.mean(...)",
    "logsumexp": "use softmax or log_softmax",
    "sin": "compute it from the features before they are asked about",
    "cos": "compute it from the features before they are asked about",
    "stft": "compute spectra before they are asked about",
    "_fft_r2c": "compute spectra before they are asked about",
    "floor": "it has no use in a trained network's answer: remove it",
    "hardshrink": "use softshrink",
}
