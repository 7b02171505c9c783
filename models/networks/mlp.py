"""The multilayer perceptron over 88 eGeMAPS functionals, with ReLU or polynomial activations.

88 -> 100 -> 50 -> classes with batch normalisation before each activation (Dias, Abad, Trancoso, section 5.1 and
5.2.2). Normalising the pre-activation keeps it where the polynomial is close to ReLU. Inputs are expected in
[-1, 1] (``Normalisation.range`` of the training set). In evaluation batch normalisation is an affine map and
folds into the linear layer before it: :func:`affine_layers`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sotto.link import BadValue
from sotto.models.networks.annealed import AnnealedReLU
from sotto.models.networks.bounds import MAX_LAYERS, MAX_WIDTH
from sotto.models.networks.polynomial import PolynomialReLU, Source

Activation = Literal["relu", "poly2", "poly4", "poly6"]


@dataclass(frozen=True, eq=False)
class Affine:
    """One affine layer ``weight @ x + bias``: weight (outputs, inputs) and bias (outputs,), float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Affine({self.weight.shape[1]} -> {self.weight.shape[0]})"


class MLP(nn.Module):
    """Input float32 (n, inputs) in [-1, 1]; output float32 (n, classes) logits."""

    def __init__(
        self,
        inputs: int = 88,
        hidden: tuple[int, ...] = (100, 50),
        classes: int = 8,
        activation: Activation = "relu",
        batch_norm: bool = True,
        *,
        coefficients: Source = "fit",
        anneal: int | None = None,
    ) -> None:
        """``coefficients`` says where a polynomial activation comes from: our ``fit``, or ``table3`` as printed.
        ``anneal``: training steps until ReLU has become one of our fit, None for polynomials from the start.

        Raises
        ------
        ValueError
            a width is not between 1 and 16384, there are too many, or the activation is unknown.
        """
        super().__init__()
        hidden = tuple(hidden)
        require_activation(activation)
        if not all(1 <= width <= MAX_WIDTH for width in (inputs, *hidden, classes)):
            raise BadValue("out-of-range", f"every width of an MLP is between 1 and {MAX_WIDTH}")
        if len(hidden) > MAX_LAYERS:
            raise BadValue("too-many-layers", f"an MLP has at most {MAX_LAYERS} hidden layers, not {len(hidden)}")
        self.inputs, self.hidden, self.classes = inputs, hidden, classes
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *hidden), hidden, strict=False):
            layers.append(nn.Linear(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(activation_of(activation, anneal, coefficients))
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear((inputs, *hidden)[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return self.head(self.trunk(x))


def affine_layers(mlp: MLP) -> tuple[Affine, ...]:
    """The affine maps of an MLP between its activations, batch normalisation folded in, in float64.

    Folding uses the running statistics: ``(W x + b - mean) / sqrt(var + eps) * gamma + beta`` is one affine map,
    so the folded network equals ``mlp.eval()`` up to float32 rounding.
    """
    folded: list[Affine] = []
    for layer in (*mlp.trunk, mlp.head):
        if isinstance(layer, nn.Linear):
            folded.append(Affine(_double(layer.weight), _double(layer.bias)))
        elif isinstance(layer, nn.BatchNorm1d):
            folded[-1] = _fold(folded[-1], layer)
    return tuple(folded)


def activations(mlp: MLP) -> tuple[nn.Module, ...]:
    """The activation after each affine layer but the last: ``nn.ReLU`` or :class:`PolynomialReLU`."""
    layers = (layer.polynomial if isinstance(layer, AnnealedReLU) else layer for layer in mlp.trunk)
    return tuple(layer for layer in layers if isinstance(layer, nn.ReLU | PolynomialReLU))


def _fold(layer: Affine, norm: nn.BatchNorm1d) -> Affine:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without running statistics cannot be folded")
    gain = _double(norm.weight) / np.sqrt(_double(norm.running_var) + norm.eps)
    bias = (layer.bias - _double(norm.running_mean)) * gain + _double(norm.bias)
    return Affine(layer.weight * gain[:, None], bias)


def require_activation(name: str) -> None:
    """Raise ``ValueError`` for a name that is none of :data:`Activation`."""
    if name not in get_args(Activation):
        raise BadValue("unknown-activation", f"activation is {name!r}; use one of {', '.join(get_args(Activation))}")


def activation_of(name: Activation, anneal: int | None, source: Source = "fit") -> nn.Module:
    """ReLU, or a polynomial, which takes its place within ``anneal`` training steps.  Raises ``ValueError``."""
    require_activation(name)
    if name == "relu":
        return nn.ReLU()
    degree = int(name.removeprefix("poly"))
    return PolynomialReLU(degree, source) if anneal is None else AnnealedReLU(degree, anneal)


def _double(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()
