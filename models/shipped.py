"""A network on its way to another process of the same user: its layers, and its weights as plain bytes beside them.

What another process can import goes there as it is.  A network with a class of the user's own script or notebook, which
it cannot, goes as ``torch.fx`` traces it: layers of torch, and the order in which they are called.
"""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, fx, nn

from sotto.models.architectures import ModelError


@dataclass(frozen=True)
class Shipped:
    """A network without storage, and what belongs into it: ``weights`` by name as (dtype, shape, bytes)."""

    layers: nn.Module = field(repr=False)
    weights: dict[str, tuple[torch.dtype, tuple[int, ...], bytes]] = field(repr=False)

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """Pack a copy; the module is left as it is.  Raises :class:`sotto.models.ModelError` where it cannot go."""
        weights = {name: _bytes(tensor) for name, tensor in _tensors(module).items()}
        layers = copy.deepcopy(module)
        if not all(_importable(type(layer)) for layer in layers.modules()):
            try:
                layers = fx.symbolic_trace(layers)
            except Exception as error:  # whatever a forward method raises on a value that is none yet
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise ModelError(
                    "not-importable",
                    f"{type(module).__name__} is defined where another process cannot import it and cannot be traced"
                    f" ({reason[:160]}): move its class into a module",
                ) from None
        return cls(layers.to("meta"), weights)

    def module(self) -> nn.Module:
        """The network, with weights of its own."""
        module = self.layers.to_empty(device="cpu")
        tensors = _tensors(module)
        with torch.no_grad():
            for name, (dtype, shape, data) in self.weights.items():
                if shape and data:
                    tensors[name].copy_(torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape))
                elif data:
                    tensors[name].fill_(torch.frombuffer(bytearray(data), dtype=dtype).item())
        return module


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _bytes(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    plain = tensor.detach().cpu().contiguous()
    return tensor.dtype, tuple(tensor.shape), plain.flatten().view(torch.uint8).numpy().tobytes()


def _importable(kind: type) -> bool:
    if kind.__module__ == "__main__":
        return False
    try:
        found: object = importlib.import_module(kind.__module__)
    except ImportError:
        return False
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind
