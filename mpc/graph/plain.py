"""A plan computed in clear with PyTorch: what every private evaluation of it must come out as.

Bob's own check that a plan means what his module means, and the oracle of the tests.  No privacy here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.plan import Final, ModelPlan, Weights

if TYPE_CHECKING:
    pass

Functions: TypeAlias = Mapping[int, Callable[[torch.Tensor], torch.Tensor]]


def evaluate(
    plan: ModelPlan, weights: Weights, features: npt.ArrayLike, functions: Functions | None = None
) -> npt.NDArray[np.float32]:
    """Scores (n, classes) float32 of ``features``, float32 (n, *input_shape).

    ``functions`` by number of the curve: what to compute in place of a curve, the very function it stands for.
    """
    values = [torch.tensor(np.asarray(features, np.float32))]
    with torch.no_grad():
        for number, layer in enumerate(plan.layers):
            own = {name: torch.tensor(tensor) for name, tensor in weights.get(number, {}).items()}
            inputs = [values[source] for source in layer.sources]
            if isinstance(layer, layers.Bend):
                curve = functions.get(layer.curve) if functions else None
                values.append(curve(inputs[0]) if curve else curves.value(plan.curves[layer.curve], inputs[0]))
            else:
                values.append(layer_output(layer, own, inputs, len(values[0])))
    return final_scores(plan.final, values[-1]).numpy()


def final_scores(final: Final, logits: torch.Tensor) -> torch.Tensor:
    """What a network's end makes of its logits (n, classes)."""
    match final:
        case "softmax":
            return F.softmax(logits, dim=1)
        case "log_softmax":
            return F.log_softmax(logits, dim=1)
        case "sigmoid":
            return torch.sigmoid(logits)
        case "log_sigmoid":
            return F.logsigmoid(logits)
    return logits


def layer_output(
    layer: layers.Layer, own: dict[str, torch.Tensor], inputs: list[torch.Tensor], examples: int = 1
) -> torch.Tensor:
    """One layer, of floating-point ``inputs`` (n, *shape); ``own`` are its tensors by name.  Not for curves."""
    if isinstance(layer, layers.Constant):
        return own["value"].expand(examples, *layer.shape)
    x = inputs[0]
    match layer:
        case layers.Convolution():
            convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[len(layer.kernel) - 1]
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
        case layers.Scale():
            return x * own["scale"]
        case layers.Times():
            return x * (layer.factor / 2**layer.shift)
        case layers.Round():
            return x
        case layers.Strided():
            return x.reshape(len(x), -1)[:, torch.from_numpy(layer.places())]
        case layers.Take():
            return _taken(layer, x)
        case layers.Total():
            return x.sum([axis + 1 for axis in layer.axes])
        case layers.WindowMeans():
            axis = layer.axis + 1
            sums = [x.narrow(axis, a, b - a).sum(axis, keepdim=True) / divisor for a, b, divisor in layer.windows]
            return torch.cat(sums, dim=axis)
        case layers.Largest():
            return x.amax(layer.axis + 1)
        case layers.Multiply():
            return inputs[0] * inputs[1]
        case layers.MatMul():
            return inputs[0] @ inputs[1]
    raise TypeError(f"{type(layer).__name__} needs its plan's curves")


def _taken(layer: layers.Take, x: torch.Tensor) -> torch.Tensor:
    places = torch.tensor(layer.places)
    taken = x.index_select(layer.axis + 1, places.clamp(min=0))
    kept = (places >= 0).to(x.dtype).reshape(-1, *(1,) * (x.dim() - layer.axis - 2))
    return taken * kept
