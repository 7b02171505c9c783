"""The two networks on which latencies of private inference are compared, at any width, and the parties that run them.

    depinto   1 × 40    Conv1d 64@5 pad 2 → ReLU → Linear 2560 → classes
    frames    40 × 188  Conv1d 64@5, 64@5, 128@5, each stride 2 pad 2 and ReLU → Linear 3072 → classes

This ``frames`` ends in a wide linear layer; the recipe of the same name averages over time first and has batch norm.
A ``width`` other than 1 multiplies the channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sotto import mpc
from sotto.bench.parties.party import PartySpec
from sotto.link import Link
from sotto.mpc import parties
from sotto.mpc.graph.layers import Shape
from sotto.mpc.modes import needs_dealer, require_mode

INPUT_SHAPES: Mapping[str, Shape] = {"depinto": (1, 40), "frames": (40, 188)}
_CHANNELS = {"depinto": (64,), "frames": (64, 64, 128)}
_STRIDE = {"depinto": 1, "frames": 2}
_KERNEL = 5


@dataclass(frozen=True)
class TableNetwork:
    """Which network: a name of ``INPUT_SHAPES``, the multiple of its channels, and the number of classes."""

    name: str
    width: float = 1.0
    classes: int = 8

    @property
    def input_shape(self) -> Shape:
        """Of one example: (channels, frames)."""
        return INPUT_SHAPES[self.name]

    def build(self) -> nn.Module:
        """The network with PyTorch's initial weights: (n, *input_shape) to logits (n, classes), float32."""
        channels, length = self.input_shape
        stride = _STRIDE[self.name]
        layers: list[nn.Module] = []
        for base in _CHANNELS[self.name]:
            wide = max(1, round(base * self.width))
            layers += [nn.Conv1d(channels, wide, _KERNEL, stride=stride, padding=_KERNEL // 2), nn.ReLU()]
            channels, length = wide, (length - 1) // stride + 1
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * length, self.classes))

    def with_weights(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> nn.Module:
        """The network with ``weights``, in evaluation mode."""
        module = self.build()
        module.load_state_dict({name: torch.tensor(tensor) for name, tensor in weights.items()})
        return module.eval()

    def parts(self, module: nn.Module, mode: str, reveal: str) -> Mapping[str, PartySpec]:
        """Alice, Bob with ``module``, which is such a network, and the dealer, each to run in a process."""
        weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
        job = {"mode": mode, "reveal": reveal}
        return {
            "alice": PartySpec(parties.alice, job),
            "bob": PartySpec(_bob, {**job, "network": self, "weights": weights}),
            **(
                {"dealer": PartySpec(parties.dealer, {"mode": mode}, parties.warm_up_dealer)}
                if needs_dealer(require_mode(mode))
                else {}
            ),
        }


def relu_count(module: nn.Module, input_shape: Shape) -> int:
    """How many values ``module`` passes through a ReLU for one example."""
    counts: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: counts.append(output.numel()))
        for layer in module.modules()
        if isinstance(layer, nn.ReLU)
    ]
    with torch.no_grad():
        module(torch.zeros(1, *input_shape))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Bob:
    network: TableNetwork = job["network"]
    return mpc.Bob(
        network.with_weights(job["weights"]),
        links.get("dealer"),
        mode=job["mode"],
        reveal=job["reveal"],
        input_shape=network.input_shape,
    )
