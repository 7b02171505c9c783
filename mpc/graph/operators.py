"""Which steps of a traced module have a private counterpart, and how each becomes a layer of the plan.

Three tables, one for each way a step appears in a ``torch.fx`` graph: a module, a function, a method of a
tensor.  An entry reads the step's arguments and returns the layer, or None where the step changes nothing.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import Layer, Shape


@dataclass(frozen=True)
class Call:
    """One step: its node, the name to use in messages, and how to find an argument's value number and shape."""

    node: fx.Node
    name: str
    _tensor: Callable[[Any, str], int]
    _shape: Callable[[fx.Node], Shape]

    def source(self) -> int:
        return self.tensor(self.node.args[0] if self.node.args else self.node.kwargs.get("input"))

    def tensor(self, argument: Any) -> int:
        return self._tensor(argument, self.name)

    def input(self) -> Shape:
        """Shape of one example of the step's first tensor."""
        first = self.node.args[0] if self.node.args else self.node.kwargs.get("input")
        return self._shape(first) if isinstance(first, fx.Node) else ()

    def output(self) -> Shape:
        """Shape of one example of the step's result."""
        return self._shape(self.node)

    def arguments(self, *names: str) -> dict[str, Any]:
        """The step's arguments after the tensor, by name; only those in ``names`` may be there."""
        given = dict(zip(names, self.node.args[1:], strict=False)) | {
            name: value for name, value in self.node.kwargs.items() if name != "input"
        }
        if len(self.node.args) - 1 > len(names) or not set(given) <= set(names):
            raise self.refused("these arguments are not supported")
        return given

    def refused(self, why: str) -> ModelRefused:
        return ModelRefused(f"'{self.node.name}' ({self.name}) cannot be evaluated privately: {why}")


def supported() -> str:
    """The list of what is supported, for messages."""
    return "supported: " + ", ".join(sorted({kind.__name__ for kind in (*MODULES, nn.BatchNorm1d, nn.BatchNorm2d)}))


def _convolution(call: Call, module: Any) -> Layer:
    axes = len(module.kernel_size)
    if module.padding_mode != "zeros":
        raise call.refused(f"padding mode '{module.padding_mode}'")
    padding = module.padding
    if padding == "valid":
        padding = (0,) * axes
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(span % 2 for span in spans):
            raise call.refused("padding='same' with a kernel of even length")
        padding = tuple(span // 2 for span in spans)
    return layers.Convolution(
        call.source(), module.in_channels, module.out_channels, tuple(module.kernel_size), tuple(module.stride),
        tuple(padding), tuple(module.dilation), module.groups, module.bias is not None,
    )  # fmt: skip


def _linear(call: Call, module: Any) -> Layer:
    return layers.Linear(call.source(), module.in_features, module.out_features, module.bias is not None)


def _relu(call: Call, module: Any = None) -> Layer:
    return layers.ReLU(call.source())


def _reshape(call: Call, module: Any = None) -> Layer:
    """Any step that keeps the elements and their order; the traced shapes say what comes out."""
    return layers.Reshape(call.source(), call.output())


def _dropout(call: Call) -> None:
    if call.arguments("p", "training", "inplace").get("training", True):
        raise call.refused("dropout is on in evaluation mode: pass training=self.training")


def _add(call: Call) -> Layer:
    given = call.arguments("other", "alpha")
    if given.get("alpha", 1) != 1:
        raise call.refused("a sum with alpha")
    return layers.Add(call.source(), call.tensor(given.get("other")))


def _cat(call: Call) -> Layer:
    given = call.arguments("dim", "axis")
    tensors = call.node.args[0] if call.node.args else call.node.kwargs.get("tensors")
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise call.refused("it is not given a list of tensors")
    first, *others = [call.tensor(tensor) for tensor in tensors]
    dim = given.get("dim", given.get("axis", 0))
    return layers.Concat(first, tuple(others), _axis(call, dim, len(call.output())))


def _mean(call: Call) -> Layer:
    given = call.arguments("dim", "keepdim")
    dims = given.get("dim")
    axes = tuple(_axis(call, dim, len(call.input())) for dim in (dims if isinstance(dims, (list, tuple)) else [dims]))
    return layers.Mean(call.source(), axes, bool(given.get("keepdim", False)))


def _axis(call: Call, dim: Any, axes: int) -> int:
    """Axis of one example for ``dim`` of a batch of examples of ``axes`` axes."""
    if not isinstance(dim, int) or not -axes <= dim <= axes or dim == 0:
        raise call.refused(f"axis {dim}")
    return dim - 1 if dim > 0 else axes + dim


# What follows kernel_size, stride and padding in torch's own functions.
_MAX_POOL = ("dilation", "ceil_mode", "return_indices")
_AVERAGE_POOL = ("ceil_mode", "count_include_pad", "divisor_override")


def _pool(kind: type[layers.AveragePool] | type[layers.MaxPool], axes: int) -> Callable[..., Layer]:
    def make(call: Call, module: Any = None) -> Layer:
        if module is None:
            rest = _MAX_POOL if kind is layers.MaxPool else _AVERAGE_POOL
            given = call.arguments("kernel_size", "stride", "padding", *rest)
        else:
            given = vars(module)
        kernel = _sizes(call, given["kernel_size"], axes)
        stride = _sizes(call, given.get("stride") or kernel, axes)
        padding = _sizes(call, given.get("padding", 0), axes)
        if given.get("ceil_mode") or given.get("return_indices") or given.get("divisor_override"):
            raise call.refused("ceil_mode, return_indices and divisor_override")
        if any(padding) and (kind is layers.MaxPool or not given.get("count_include_pad", True)):
            raise call.refused("pooling with padding that does not count as zeros")
        if any(dilation != 1 for dilation in _sizes(call, given.get("dilation", 1), axes)):
            raise call.refused("dilated pooling")
        return kind(call.source(), kernel, stride, padding)

    return make


def _adaptive(axes: int, largest: bool) -> Callable[..., Layer]:
    def make(call: Call, module: Any = None) -> Layer:
        if module is not None and getattr(module, "return_indices", False):
            raise call.refused("return_indices")
        before, size = call.input()[1:], call.output()[1:]
        if all(length % out == 0 for out, length in zip(size, before, strict=True)):
            kernel = tuple(length // out for out, length in zip(size, before, strict=True))
            pool = layers.MaxPool if largest else layers.AveragePool
            return pool(call.source(), kernel, kernel, (0,) * axes)
        if largest:
            raise call.refused("adaptive max pooling into windows of different lengths")
        return layers.AdaptiveAveragePool(call.source(), size)

    return make


def _sizes(call: Call, value: Any, axes: int) -> Shape:
    each = value if isinstance(value, (list, tuple)) else (value,)
    if not all(isinstance(size, int) for size in each):
        raise call.refused("a window of computed size")
    return tuple(each * axes if len(each) == 1 else each)


MODULES: dict[type[nn.Module], Callable[[Call, Any], Layer]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.ReLU: _relu,
    nn.Flatten: _reshape,
    nn.Unflatten: _reshape,
    nn.AvgPool1d: _pool(layers.AveragePool, 1),
    nn.AvgPool2d: _pool(layers.AveragePool, 2),
    nn.MaxPool1d: _pool(layers.MaxPool, 1),
    nn.MaxPool2d: _pool(layers.MaxPool, 2),
    nn.AdaptiveAvgPool1d: _adaptive(1, largest=False),
    nn.AdaptiveAvgPool2d: _adaptive(2, largest=False),
    nn.AdaptiveMaxPool1d: _adaptive(1, largest=True),
    nn.AdaptiveMaxPool2d: _adaptive(2, largest=True),
}

#: Steps that change nothing in evaluation mode.
PASS_THROUGH = {nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, "contiguous"}

#: Steps that yield sizes rather than tensors; the traced shapes have them already.
SHAPE_ARITHMETIC = {
    "size", "dim", builtins.getattr, operator.getitem, operator.mul, operator.floordiv, operator.sub, operator.add,
}  # fmt: skip

#: A value times a matrix of the module's own.
MATRIX_PRODUCTS = {torch.matmul, torch.mm, operator.matmul, "matmul", "mm"}

FUNCTIONS: dict[Any, Callable[[Call], Layer | None]] = {
    torch.relu: _relu,
    F.relu: _relu,
    torch.flatten: _reshape,
    torch.reshape: _reshape,
    torch.squeeze: _reshape,
    torch.unsqueeze: _reshape,
    torch.add: _add,
    operator.add: _add,
    operator.iadd: _add,
    torch.cat: _cat,
    torch.concat: _cat,
    torch.mean: _mean,
    F.dropout: _dropout,
    F.avg_pool1d: _pool(layers.AveragePool, 1),
    F.avg_pool2d: _pool(layers.AveragePool, 2),
    F.max_pool1d: _pool(layers.MaxPool, 1),
    F.max_pool2d: _pool(layers.MaxPool, 2),
    F.adaptive_avg_pool1d: _adaptive(1, largest=False),
    F.adaptive_avg_pool2d: _adaptive(2, largest=False),
}

METHODS: dict[str, Callable[[Call], Layer | None]] = {
    "relu": _relu,
    "view": _reshape,
    "reshape": _reshape,
    "flatten": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "unflatten": _reshape,
    "add": _add,
    "mean": _mean,
}
