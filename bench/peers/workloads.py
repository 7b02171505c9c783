"""What peers are asked: the networks of a paradigm, and how such a network is described to a program.

A description holds what is public (the shape); weights travel apart from it and are Bob's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from torch import nn

from sotto import he
from sotto.bench.experiment import Configuration
from sotto.bench.peers.squares import Squared, Squares
from sotto.link import BadValue
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.lowering.capture import trace


@dataclass(frozen=True, eq=False)
class Description:
    """A network for a program: its public ``shape`` as JSON, its ``weights`` by ``layer.name``."""

    shape: str
    weights: Mapping[str, npt.NDArray[np.floating]]


@dataclass(frozen=True)
class Workload:
    """The networks of a paradigm that a peer is asked to evaluate.

    ``models`` are those of the paradigm's own rows.  ``describe`` takes a trained network and the shape of one example.
     ``batch`` clips are asked together.  ``keys_ahead``: what comes before the queries is the
    offline phase of the paradigm's rows, as keys are made in it.
    ``slow`` models take seconds a clip and are asked few, as in the paradigm's own rows.
    """

    paradigm: str
    models: tuple[str, ...]
    describe: Callable[[nn.Module, Sequence[int]], Description]
    batch: int
    keys_ahead: bool
    slow: tuple[str, ...] = ()

    def cells(self, mode: str, peer: str) -> list[Configuration]:
        """The rows of a peer."""
        return [Configuration(self.paradigm, mode, model, {"peer": peer}) for model in self.models]


def describe_layers(module: nn.Module, shape: Sequence[int]) -> Description:
    """Any network that ``mpc`` takes, as a :class:`sotto.mpc.graph.plan.ModelPlan`."""
    plan, weights = trace(module, tuple(shape), input_limit=DEFAULT_INPUT_LIMIT)
    arrays = {
        f"{number}.{name}": np.asarray(value, np.float32)
        for number, tensors in weights.items()
        for name, value in tensors.items()
    }
    return Description(msgspec.json.encode(plan).decode(), arrays)


def describe_polynomials(module: nn.Module, shape: Sequence[int]) -> Description:
    """A polynomial MLP: ``widths``, ``polynomials`` (constant term first); batch normalisation is in the matrices."""
    network = he.PolynomialNetwork.of(module)
    if tuple(shape) != (network.inputs,):
        raise BadValue("wrong-shape", f"the network takes {network.inputs} features, the clips have {tuple(shape)}")
    arrays: dict[str, npt.NDArray[np.floating]] = {}
    for number, layer in enumerate(network.layers):
        arrays |= {f"{number}.weight": layer.weight, f"{number}.bias": layer.bias}
    public = {"widths": network.widths, "polynomials": network.polynomials}
    return Description(msgspec.json.encode(public).decode(), arrays)


def describe_squares(module: nn.Module, shape: Sequence[int]) -> Description:
    """A convolutional network of squares: ``stride`` and ``padding`` of each convolution; the last layer is linear."""
    network = Squares.of(module, shape[-1])
    arrays: dict[str, npt.NDArray[np.floating]] = {}
    layers: list[Squared | Squares] = [*network.convolutions, network]
    for number, layer in enumerate(layers):
        arrays |= {f"{number}.weight": layer.weight, f"{number}.bias": layer.bias}
    public = {name: [getattr(each, name) for each in network.convolutions] for name in ("stride", "padding")}
    return Description(msgspec.json.encode(public).decode(), arrays)


SECRET_SHARING = Workload(
    paradigm="mpc",
    models=("frames", "depinto"),
    describe=describe_layers,
    batch=16,
    keys_ahead=False,
)

ENCRYPTION = Workload(
    paradigm="he",
    models=("mlp-poly2",),
    describe=describe_polynomials,
    batch=64,
    keys_ahead=True,
)

CONVOLUTIONS = Workload(
    paradigm="he",
    models=("depinto-poly2", "frames-poly2"),
    describe=describe_squares,
    batch=0,
    keys_ahead=True,
    slow=("frames-poly2",),
)
