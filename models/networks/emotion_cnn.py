"""The two emotion networks over mel-frequency cepstral coefficients.

* :class:`Depinto`: one convolution over 40 time-averaged MFCC (de Pinto et al. 2020, "Emotions understanding
  model from spoken language using deep neural networks and mel-frequency cepstral coefficients").
* :class:`Frames`: three strided convolutions over 40 MFCC x 188 frames, then a pooled head.

Both exist with ReLU and with polynomials of degree 2, 4 or 6, which are trained as
:mod:`sotto.models.networks.annealed` says and which homomorphic encryption can evaluate. Every layer is one that secure
computation handles (convolution, linear, batch norm, ReLU, pooling, flatten; no softmax), and both trace with
``torch.fx``. Bob owns the weights; the layer shapes are public.
"""

import torch
from torch import Tensor, nn

from sotto.link import BadValue
from sotto.models.networks.mlp import Activation, activation_of


class Depinto(nn.Module):
    """40 time-averaged MFCC -> Conv1d 64@5 (pad 2) -> ReLU -> dropout -> Linear 2560 -> classes.

    Input float32 (n, 1, 40) or (n, 40); output float32 (n, classes) logits.  Before a polynomial in place of ReLU there
    is a batch norm; it takes ``anneal`` training steps to become one.
    """

    def __init__(
        self,
        classes: int = 8,
        *,
        coefficients: int = 40,
        dropout: float = 0.1,
        activation: Activation = "relu",
        anneal: int = 0,
    ) -> None:
        super().__init__()
        self.coefficients = coefficients
        self.conv = nn.Conv1d(1, 64, kernel_size=5, padding=2)
        self.relu = activation_of(activation, anneal)
        if activation != "relu":
            self.relu = nn.Sequential(nn.BatchNorm1d(64), self.relu)
        self.dropout = nn.Dropout(dropout)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64 * coefficients, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        x = torch.reshape(x, (-1, 1, self.coefficients))
        return self.linear(self.flatten(self.dropout(self.relu(self.conv(x)))))


class Frames(nn.Module):
    """40 MFCC x 188 frames -> three Conv1d (64, 64, 128) @5 stride 2 pad 2, batch norm, ReLU -> pooled head.

    Time shrinks 188 -> 94 -> 47 -> 24; the head averages over time and maps 128 channels to the classes. Batch
    norm follows its convolution directly, so it folds into it. Input float32 (n, 40, 188); output float32
    (n, classes) logits.  Polynomials in place of ReLU take ``anneal`` training steps to become so.
    """

    def __init__(
        self,
        classes: int = 8,
        *,
        coefficients: int = 40,
        frames: int = 188,
        dropout: float = 0.5,
        activation: Activation = "relu",
        anneal: int = 0,
    ) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *strided(coefficients, 64, activation_of(activation, anneal)),
            *strided(64, 64, activation_of(activation, anneal)),
            *strided(64, 128, activation_of(activation, anneal)),
        )
        steps = frames
        for _ in range(3):
            steps = (steps - 1) // 2 + 1
        if steps < 1:
            raise BadValue("out-of-range", f"Frames needs at least one frame, got frames={frames}")
        self.pool = nn.AvgPool1d(steps)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return self.linear(self.dropout(self.flatten(self.pool(self.trunk(x)))))


def strided(inputs: int, outputs: int, activation: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A convolution of five with stride 2, batch norm, and the activation."""
    return (
        nn.Conv1d(inputs, outputs, kernel_size=5, stride=2, padding=2),
        nn.BatchNorm1d(outputs),
        activation,
    )
