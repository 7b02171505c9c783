"""From a public plan to a network of ``crypten.nn`` modules, without ONNX.

Alice and Bob build the same network from the same plan.  Bob fills in his weights; Alice's holds zeros of the
public shapes.  ``encrypt(src=1)`` then turns every tensor into shares of *Bob's* values: CrypTen adds the
source's tensor to a sharing of zero and ignores everyone else's, so Alice's zeros only say how large each share
is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import layers
from sotto.mpc.graph.plan import ModelPlan, Weights

crypten = load_crypten()
Module: Any = crypten.nn.Module


class Network(Module):
    """The layers of a plan in their order.  Holds ``weights`` or, for None, zeros, in clear until it is encrypted."""

    def __init__(self, plan: ModelPlan, weights: Weights | None) -> None:
        super().__init__()
        plan.shapes()
        self._sources = [layer.sources for layer in plan.layers]
        self._last_use = {source: number for number, sources in enumerate(self._sources) for source in sources}
        for number, layer in enumerate(plan.layers):
            if type(layer) not in _MODULES:
                raise ModelRefused("not-written", f"{type(layer).__name__} is not written for CrypTen here")
            module = _MODULES[type(layer)](layer)
            for name, shape in layer.parameters.items():
                module.set_parameter(name, torch.zeros(shape) if weights is None else _tensor(weights[number][name]))
            self.register_module(str(number), module)
        self.eval()

    def forward(self, x: Any) -> Any:
        """Shared logits (n, classes) of a shared input (n, …)."""
        values = {0: x}
        for number, sources in enumerate(self._sources):
            inputs = [values[source] for source in sources]
            values[number + 1] = self._modules[str(number)](inputs[0] if len(inputs) == 1 else inputs)
            for source in set(sources):
                if self._last_use[source] == number:
                    del values[source]
        return values[len(self._sources)]


def _tensor(values: npt.NDArray[np.float32]) -> torch.Tensor:
    return torch.tensor(np.asarray(values, np.float32))


class _ChannelAffine(Module):
    """x · scale + shift with one secret scale and shift per channel (axis 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_parameter("scale", torch.zeros(channels))
        self.register_parameter("shift", torch.zeros(channels))

    def forward(self, x: Any) -> Any:
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x.mul(self.scale.view(shape)).add(self.shift.view(shape))


class _ReshapeExamples(Module):
    """Another shape for every example; the batch axis stays."""

    def __init__(self, shape: layers.Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return x.reshape(x.size(0), *self.shape)


class _MeanOverAxes(Module):
    """Mean over axes of the example."""

    def __init__(self, axes: layers.Shape, keep: bool) -> None:
        super().__init__()
        self.axes = [axis + 1 for axis in axes]
        self.keep = keep

    def forward(self, x: Any) -> Any:
        return x.mean(self.axes, keepdim=self.keep)


class _OverOneAxis(Module):
    """A two-dimensional pooling module over (n, channels, length), which CrypTen has no module for."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Any) -> Any:
        return self.pool(x.unsqueeze(2)).squeeze(2)


def _convolution(layer: layers.Convolution) -> Any:
    one_axis = len(layer.kernel) == 1
    sizes = [
        values[0] if one_axis else values for values in (layer.kernel, layer.stride, layer.padding, layer.dilation)
    ]
    module = crypten.nn.Conv1d if one_axis else crypten.nn.Conv2d
    return module(layer.in_channels, layer.out_channels, *sizes, groups=layer.groups, bias=layer.bias)


def _window(module: Callable[..., Any], layer: layers.AveragePool | layers.MaxPool) -> Any:
    if len(layer.kernel) == 2:
        return module(layer.kernel, stride=layer.stride, padding=layer.padding)
    return _OverOneAxis(module((1, *layer.kernel), stride=(1, *layer.stride), padding=(0, *layer.padding)))


def _adaptive(layer: layers.AdaptiveAveragePool) -> Any:
    if len(layer.size) == 2:
        return crypten.nn.AdaptiveAvgPool2d(layer.size)
    return _OverOneAxis(crypten.nn.AdaptiveAvgPool2d((1, *layer.size)))


_MODULES: dict[type, Callable[[Any], Any]] = {
    layers.Convolution: _convolution,
    layers.Linear: lambda layer: crypten.nn.Linear(layer.inputs, layer.outputs, bias=layer.bias),
    layers.ChannelAffine: lambda layer: _ChannelAffine(layer.channels),
    layers.ReLU: lambda layer: crypten.nn.ReLU(),
    layers.Reshape: lambda layer: _ReshapeExamples(layer.shape),
    layers.Mean: lambda layer: _MeanOverAxes(layer.axes, layer.keep),
    layers.AveragePool: lambda layer: _window(crypten.nn.AvgPool2d, layer),
    layers.MaxPool: lambda layer: _window(crypten.nn.MaxPool2d, layer),
    layers.AdaptiveAveragePool: _adaptive,
    layers.Add: lambda layer: crypten.nn.Add(),
    layers.Concat: lambda layer: crypten.nn.Concat(layer.axis + 1),
}


def secure_argmax(logits: Any) -> Any:
    """Shares of the index of the largest logit of every example, (n,); nothing is opened.  Ties fall at random."""
    return logits.argmax(dim=1, one_hot=False)
