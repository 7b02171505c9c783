"""What a network does to its input, written down as a ``torch.fx`` graph while the network runs on shapes alone.

For networks that are not ``torch.nn`` modules and so cannot be traced: something that looks like a tensor to them (see
:mod:`sotto.mpc.crypten_api.tensor`) notes each operation here, with PyTorch's module of the same meaning.  The graph
then goes the way of every other network, through :mod:`sotto.mpc.lowering.capture`, so that what is supported is
decided in one place.

A party that does not know a weight has it on PyTorch's ``meta`` device, as a shape; in the graph stand zeros then.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.layers import Shape
from sotto.mpc.lowering.capture import tracing


class Recorded:
    """One value of a recording, of ``shape`` (n, …)."""

    def __init__(self, recording: Recording, node: fx.Node, shape: Shape) -> None:
        self.recording = recording
        self.shape = shape
        self._node = node

    def apply(self, name: str, module: nn.Module) -> Recorded:
        """The value that ``module``, one of PyTorch's in evaluation mode, makes of this one."""
        return self.recording._module(name, module.eval(), self)

    def with_bias(self, bias: torch.Tensor) -> Recorded:
        """This output of a layer without bias plus ``bias``, as CrypTen's modules add it: (C,) or (C, 1, …)."""
        return self.recording._biased(self, bias)

    def plus(self, other: Recorded) -> Recorded:
        return self.recording._function(operator.add, [self, other], self._node, other._node)

    def reshaped(self, shape: Sequence[int]) -> Recorded:
        """The same elements under another shape; the examples stay apart."""
        wanted = tuple(torch.empty(self.shape, device="meta").reshape(tuple(shape)).shape)
        if wanted[:1] != self.shape[:1]:
            raise ModelRefused(
                "mixes-batch", f"'reshape' to {wanted} mixes the examples of a batch: keep the first axis as it is"
            )
        return self.recording._function(torch.reshape, [self], self._node, (-1, *wanted[1:]))

    def mean(self, axes: Sequence[int], keep: bool) -> Recorded:
        return self.recording._function(torch.mean, [self], self._node, tuple(axes), keep)

    def joined(self, others: Sequence[Recorded], axis: int) -> Recorded:
        """This value and ``others`` side by side along ``axis``."""
        values = [self, *others]
        return self.recording._function(torch.cat, [values], [value._node for value in values], axis)


class Recording:
    """Everything done to one input (n, *shape); ``input`` is its first value."""

    def __init__(self, shape: Shape) -> None:
        if len(shape) < 2 or not all(shape):
            raise ModelRefused(
                "no-batch-axis", f"an input of shape {shape} is no batch of examples: it needs a first axis for them"
            )
        self.input_shape = shape[1:]
        self._graph = fx.Graph()
        self._modules: dict[str, nn.Module] = {}
        self.input = Recorded(self, self._graph.placeholder("x"), shape)

    def network(self, result: Recorded) -> fx.GraphModule:
        """The network that computes ``result``, with its weights where they are known."""
        graph, places = fx.Graph(), dict[fx.Node, fx.Node]()
        graph.graph_copy(self._graph, places)
        graph.output(places[result._node])
        network = fx.GraphModule(self._modules, graph)
        graph.eliminate_dead_code()
        network.delete_all_unused_submodules()
        network.recompile()
        return network.eval()

    def _module(self, name: str, module: nn.Module, value: Recorded) -> Recorded:
        with tracing, torch.no_grad():
            result = _tried(name, module, torch.zeros(1, *value.shape[1:]))
        target = f"{name}{len(self._modules)}"
        self._modules[target] = module
        return Recorded(self, self._graph.call_module(target, (value._node,)), (*value.shape[:1], *result.shape[1:]))

    def _biased(self, value: Recorded, bias: torch.Tensor) -> Recorded:
        module = self._modules.get(str(value._node.target))
        axes = module.weight.dim() - 2 if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)) else 0
        wanted = (value.shape[1 if axes else -1], *(1,) * axes)
        if not isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)) or module.bias is not None or bias.shape != wanted:
            raise ModelRefused(
                "weight-add", "'add' of a weight to anything but a layer's output cannot be evaluated privately"
            )
        biased = copy.copy(module)
        biased._parameters = {**module._parameters, "bias": parameter(bias.reshape(-1))}
        (source,) = value._node.args
        target = f"{value._node.target!s}_bias{len(self._modules)}"
        self._modules[target] = biased
        return Recorded(self, self._graph.call_module(target, (source,)), value.shape)

    def _function(self, function: Callable[..., Any], values: list[Any], *arguments: Any) -> Recorded:
        recorded = [each for value in values for each in (value if isinstance(value, list) else [value])]
        if any(each.recording is not self for each in recorded):
            raise ModelRefused("two-inputs", f"'{function.__name__}' joins two inputs of Alice: one is supported")
        shapes = [_empty(value) for value in values]
        if function is operator.add and recorded[0].shape != recorded[1].shape:
            raise ModelRefused(
                "shape-mismatch", f"'add' of shapes {recorded[0].shape} and {recorded[1].shape}: they must be the same"
            )
        result = _tried(function.__name__, function, *shapes, *arguments[len(shapes) :])
        if result.shape[:1] != self.input.shape[:1]:
            raise ModelRefused(
                "mixes-batch", f"'{function.__name__}' mixes the examples of a batch: keep the first axis as it is"
            )
        return Recorded(self, self._graph.call_function(function, arguments), tuple(result.shape))


def parameter(values: torch.Tensor) -> nn.Parameter:
    """``values`` as a module's parameter; zeros where this party does not know them."""
    known = torch.zeros(values.shape) if values.is_meta else values.detach().float().clone()
    return nn.Parameter(known, requires_grad=False)


def _empty(value: Any) -> Any:
    if isinstance(value, list):
        return [_empty(each) for each in value]
    return torch.empty(value.shape, device="meta")


def _tried(name: str, function: Callable[..., Any], *arguments: Any) -> torch.Tensor:
    try:
        return function(*arguments)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelRefused("does-not-fit", f"'{name}' does not fit its input: {reason}") from None
