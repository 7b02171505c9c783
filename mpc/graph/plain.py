"""A plan computed in clear with PyTorch: what every private evaluation of it must come out as.

Bob's own check that a plan means what his module means, and the oracle of the tests.  No privacy here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import Weights


def evaluate(plan: layers.ModelPlan, weights: Weights, features: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Logits (n, classes) float32 of ``features``, float32 (n, *input_shape)."""
    values = [torch.tensor(np.asarray(features, np.float32))]
    with torch.no_grad():
        for number, layer in enumerate(plan.layers):
            own = {name: torch.tensor(tensor) for name, tensor in weights.get(number, {}).items()}
            values.append(layer_output(layer, own, [values[source] for source in layer.sources]))
    return values[-1].numpy()


def layer_output(layer: layers.Layer, own: dict[str, torch.Tensor], inputs: list[torch.Tensor]) -> torch.Tensor:
    """One layer of floating-point ``inputs`` (n, *shape); ``own`` are its tensors by name."""
    x = inputs[0]
    match layer:
        case layers.Convolution():
            convolve = F.conv1d if len(layer.kernel) == 1 else F.conv2d
            strides = (layer.stride, layer.padding, layer.dilation)
            return convolve(x, own["weight"], own.get("bias"), *strides, layer.groups)
        case layers.Linear():
            return F.linear(x, own["weight"], own.get("bias"))
        case layers.ChannelAffine():
            shape = (1, -1) + (1,) * (x.dim() - 2)
            return x * own["scale"].view(shape) + own["shift"].view(shape)
        case layers.ReLU():
            return F.relu(x)
        case layers.Reshape():
            return x.reshape(len(x), *layer.shape)
        case layers.Mean():
            return x.mean([axis + 1 for axis in layer.axes], keepdim=layer.keep)
        case layers.AveragePool():
            average = F.avg_pool1d if len(layer.kernel) == 1 else F.avg_pool2d
            return average(x, layer.kernel, layer.stride, layer.padding)
        case layers.MaxPool():
            largest = F.max_pool1d if len(layer.kernel) == 1 else F.max_pool2d
            return largest(x, layer.kernel, layer.stride)
        case layers.AdaptiveAveragePool():
            adaptive: Any = F.adaptive_avg_pool1d if len(layer.size) == 1 else F.adaptive_avg_pool2d
            return adaptive(x, layer.size)
        case layers.Add():
            return inputs[0] + inputs[1]
        case layers.Concat():
            return torch.cat(inputs, dim=layer.axis + 1)
