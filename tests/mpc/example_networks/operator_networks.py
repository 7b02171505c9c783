"""One small network for each operator beyond the plainest: what is asked of each is the same."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sotto.models.networks.polynomial import PolynomialReLU

LIMIT = 4.0


class Applied(nn.Module):
    """A function of the input, its result flattened to a vector."""

    def __init__(self, function, **tensors):
        super().__init__()
        self.function = function
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, x):
        return self.function(self, x).flatten(1)


def applied(function, **tensors):
    return lambda: Applied(lambda self, x: function(x), **tensors)


def with_own(function, **tensors):
    return lambda: Applied(function, **tensors)


def layer(make):
    def build():
        module = make()
        return nn.Sequential(module, nn.Flatten())

    return build


def weights(*shape, low=-1.0, high=1.0):
    count = int(torch.tensor(shape).prod())
    return torch.linspace(low, high, count)[torch.arange(count) * 7 % count].reshape(shape)


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(3, 4, **options)

    def forward(self, x):
        outputs, state = self.layer(x)
        state = state[0] if isinstance(state, tuple) else state
        return torch.cat([outputs.flatten(1), state.transpose(0, 1).flatten(1)], dim=1)


#: Exact up to rounding: name -> (module, shape of one example)
EXACT = {
    "leaky relu": (layer(lambda: nn.LeakyReLU(0.25)), (6,)),
    "prelu": (layer(lambda: nn.PReLU(3)), (3, 4)),
    "relu6": (layer(nn.ReLU6), (6,)),
    "hardtanh": (layer(lambda: nn.Hardtanh(-0.5, 2.0)), (6,)),
    "hardsigmoid": (layer(nn.Hardsigmoid), (6,)),
    "hardswish": (layer(nn.Hardswish), (6,)),
    "softshrink": (layer(lambda: nn.Softshrink(0.75)), (6,)),
    "abs": (applied(torch.abs), (6,)),
    "clamp below": (applied(lambda x: x.clamp(min=-0.5)), (6,)),
    "clamp above": (applied(lambda x: x.clamp(max=0.5)), (6,)),
    "clamp to tensors": (
        with_own(lambda self, x: torch.clamp(x, self.low, self.high), low=weights(6) - 1, high=weights(6) + 1), (6,)
    ),
    "maximum of two": (applied(lambda x: torch.maximum(x[:, :3], x[:, 3:])), (6,)),
    "minimum of two": (applied(lambda x: torch.minimum(x[:, :3], 2 * x[:, 3:])), (6,)),
    "maximum over an axis": (applied(lambda x: x.max(dim=2)[0]), (3, 5)),
    "minimum over an axis": (applied(lambda x: x.amin(dim=1, keepdim=True)), (3, 5)),
    "maximum over all": (applied(lambda x: x.amax(dim=(1, 2)).unsqueeze(1)), (3, 5)),
    "padded maxima": (layer(lambda: nn.MaxPool1d(3, 2, padding=1)), (2, 7)),
    "dilated maxima": (layer(lambda: nn.MaxPool1d(3, 1, dilation=2)), (2, 7)),
    "maxima, ceil": (layer(lambda: nn.MaxPool2d(2, ceil_mode=True)), (2, 5, 3)),
    "maxima, three axes": (layer(lambda: nn.MaxPool3d(2)), (1, 4, 4, 2)),
    "adaptive maxima": (layer(lambda: nn.AdaptiveMaxPool1d(4)), (2, 6)),
    "means, ceil": (layer(lambda: nn.AvgPool1d(3, ceil_mode=True)), (2, 7)),
    "means without padding": (layer(lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)), (2, 5, 4)),
    "means, ceil and padding": (layer(lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True)), (2, 6)),
    "means by another divisor": (layer(lambda: nn.AvgPool2d(2, divisor_override=3)), (2, 4, 4)),
    "means, three axes": (layer(lambda: nn.AvgPool3d(2)), (1, 4, 4, 2)),
    "sum with a number": (applied(lambda x: 1.5 - x), (6,)),
    "times a number": (applied(lambda x: x * 0.3 - x / 3), (6,)),
    "sum with alpha": (applied(lambda x: torch.add(x, x.flip(1), alpha=0.5)), (6,)),
    "sum with a tensor": (with_own(lambda self, x: x + self.own - self.own.T, own=weights(3, 3)), (3, 3)),
    "times a tensor": (with_own(lambda self, x: x * self.own, own=weights(3, 1)), (3, 4)),
    "over a tensor": (with_own(lambda self, x: (x - 1) / self.own, own=weights(4, low=1, high=2)), (3, 4)),
    "tensor times input": (with_own(lambda self, x: self.own @ x, own=weights(2, 3)), (3, 4)),
    "tensors times inputs": (with_own(lambda self, x: x @ self.own, own=weights(2, 4, 3)), (2, 3, 4)),
    "reflection": (applied(lambda x: F.pad(x, (2, 1), "reflect")), (2, 5)),
    "replication": (applied(lambda x: F.pad(x, (2, 1, 1, 0), "replicate")), (1, 3, 5)),
    "circle": (applied(lambda x: F.pad(x, (2, 2), "circular")), (2, 5)),
    "padding with a number": (applied(lambda x: F.pad(x, (1, 2), value=0.5)), (2, 5)),
    "cropping": (applied(lambda x: F.pad(x, (-1, -2))), (2, 5)),
    "uneven same": (layer(lambda: nn.Conv1d(2, 3, 4, padding="same", dilation=1)), (2, 7)),
    "reflected convolution": (layer(lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), (1, 4, 4)),
    "transposed": (layer(lambda: nn.ConvTranspose1d(4, 6, 3, 2, padding=1, output_padding=1, groups=2)), (4, 5)),
    "transposed, two axes": (layer(lambda: nn.ConvTranspose2d(2, 3, (3, 2), (2, 1), dilation=2)), (2, 3, 4)),
    "transposed, cropped": (layer(lambda: nn.ConvTranspose1d(2, 3, 2, 1, padding=2)), (2, 8)),
    "three axes": (layer(lambda: nn.Conv3d(2, 2, 2, padding=(1, 0, 0), groups=2)), (2, 3, 3, 2)),
    "repetition": (layer(lambda: nn.Upsample(scale_factor=3)), (2, 4)),
    "repetition, two axes": (layer(lambda: nn.Upsample(size=(5, 4), mode="nearest")), (1, 3, 4)),
    "stack": (applied(lambda x: torch.stack([x, x.roll(1, 2)], dim=2)), (2, 4)),
    "chunks": (applied(lambda x: torch.cat(x.chunk(3, dim=1)[::-1], dim=2)), (6, 2)),
    "permutation": (applied(lambda x: x.permute(0, 3, 1, 2)[:, ::2, 1:]), (2, 3, 4)),
    "expansion": (applied(lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1) + x), (3, 4)),
    "flip": (applied(lambda x: x.flip(1, 2)), (3, 4)),
    "selection": (applied(lambda x: x[:, [2, 0, 0]]), (3, 4)),
    "lower triangle": (applied(torch.tril), (4, 4)),
    "batch first": (applied(lambda x: x.transpose(0, 1).reshape(-1, x.shape[0], 4).transpose(0, 1)), (3, 4)),
    "frames one by one": (
        lambda: Applied(lambda self, x: self.conv(x.reshape(-1, 2, 5)).reshape(x.shape[0], -1)), (3, 2, 5)
    ),
    "mask": (with_own(lambda self, x: x.masked_fill(self.own, 0.25), own=torch.eye(3) > 0), (3, 3)),
    "choice by a mask": (with_own(lambda self, x: torch.where(self.own, x, -x), own=torch.eye(3) > 0), (3, 3)),
    "choice by sign": (applied(lambda x: torch.where(x > 0, x, 0.5 * x)), (6,)),
    "steps": (applied(lambda x: (x >= 0.25).float() + (x < -0.25) * x), (6,)),
    "sums": (applied(lambda x: x.sum(dim=1) + x.sum(dim=(1, 2), keepdim=True).squeeze(2)), (3, 4)),
    "products": (applied(lambda x: x[:, :3] * x[:, 3:]), (6,)),
    "broadcast products": (applied(lambda x: x * x.mean(dim=2, keepdim=True)), (3, 4)),
    "squares": (applied(lambda x: x**2 + torch.square(x)), (6,)),
    "polynomial": (applied(lambda x: 0.5 * x**3 - x**2 + x), (6,)),
    "degree 2": (layer(lambda: nn.Sequential(nn.Linear(6, 4), PolynomialReLU(2), nn.Linear(4, 3))), (6,)),
    "degree 4": (layer(lambda: PolynomialReLU(4)), (6,)),
    "matrix products": (applied(lambda x: x @ x.transpose(1, 2)), (3, 4)),
    "einsum": (applied(lambda x: torch.einsum("bij,bkj->bki", x, x)), (3, 4)),
    "variance": (applied(lambda x: x.var(dim=2)), (3, 5)),
    "variance of all": (applied(lambda x: x.var(dim=(1, 2), unbiased=False, keepdim=True)), (3, 5)),
    "rnn": (lambda: Recurrent(nn.RNN, nonlinearity="relu", batch_first=True), (3, 3)),
}  # fmt: skip

#: Approximated: name -> (module, shape, largest error allowed at activation_error 1e-3)
APPROXIMATE = {
    "tanh": (layer(nn.Tanh), (6,), 1.1e-3),
    "sigmoid": (applied(torch.sigmoid, own=torch.zeros(1)), (6, 1), 1.1e-3),
    "elu": (layer(lambda: nn.ELU(1.5)), (6,), 1.1e-3),
    "selu": (layer(nn.SELU), (6,), 1.1e-3),
    "celu": (layer(lambda: nn.CELU(2.0)), (6,), 1.1e-3),
    "gelu": (layer(nn.GELU), (6,), 1.1e-3),
    "gelu by tanh": (layer(lambda: nn.GELU("tanh")), (6,), 1.1e-3),
    "silu": (layer(nn.SiLU), (6,), 1.1e-3),
    "mish": (layer(nn.Mish), (6,), 1.1e-3),
    "softplus": (layer(lambda: nn.Softplus(2)), (6,), 1.1e-3),
    "log sigmoid": (applied(lambda x: F.logsigmoid(x) * 2), (6,), 2.2e-3),
    "erf": (applied(torch.erf), (6,), 1.1e-3),
    "exp": (applied(lambda x: torch.exp(0.5 * x)), (6,), 1.2e-3),
    "log": (applied(lambda x: torch.log(x.abs() + 0.5)), (6,), 1.2e-3),
    "log of a wide range": (applied(lambda x: torch.log(x**2 * 16 + 0.01)), (6,), 3e-3),
    "reciprocal": (applied(lambda x: 1 / (x**2 + 0.5)), (6,), 2.2e-3),
    "reciprocal of a wide range": (applied(lambda x: 2 / (x**2 * 64 + 0.25)), (6,), 1.2e-2),
    "sqrt": (applied(lambda x: torch.sqrt(x.abs())), (6,), 4e-3),
    "rsqrt": (applied(lambda x: torch.rsqrt(x**2 + 0.5)), (6,), 3e-3),
    "norm": (applied(lambda x: x.norm(dim=2)), (3, 5), 2e-2),
    "deviation": (applied(lambda x: x.std(dim=2)), (3, 5), 8e-3),
    "quotient": (applied(lambda x: x[:, :3] / (x[:, 3:].abs() + 1)), (6,), 8e-3),
    "softmax": (applied(lambda x: x.softmax(dim=1) + 0), (3, 5), 3e-3),
    "log softmax": (applied(lambda x: x.log_softmax(dim=2) * 1), (3, 5), 8e-3),
    "degree 6": (layer(lambda: PolynomialReLU(6)), (6,), 2e-3),
    "glu": (applied(lambda x: F.glu(x, dim=1)), (6,), 8e-3),
    "layer norm": (layer(lambda: nn.LayerNorm(8)), (3, 8), 1e-2),
    "layer norm of all": (layer(lambda: nn.LayerNorm((3, 4), elementwise_affine=False)), (3, 4), 1e-2),
    "instance norm": (layer(lambda: nn.InstanceNorm1d(3, affine=True)), (3, 8), 1e-2),
    "group norm": (layer(lambda: nn.GroupNorm(2, 4)), (4, 5), 1e-2),
    "rms norm": (layer(lambda: nn.RMSNorm(8, eps=1e-5)), (3, 8), 1e-2),
    "attention": (applied(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, 4, 6), 4e-2),
    "causal attention": (applied(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)), (4, 6), 4e-2),
    "lstm": (lambda: Recurrent(nn.LSTM, num_layers=2, batch_first=True), (4, 3), 6e-3),
    "lstm both ways": (lambda: Recurrent(nn.LSTM, bidirectional=True, batch_first=True), (4, 3), 6e-3),
    "gru": (lambda: Recurrent(nn.GRU, num_layers=2, bidirectional=True, batch_first=True, bias=False), (4, 3), 6e-3),
    "tanh rnn": (lambda: Recurrent(nn.RNN, batch_first=True), (4, 3), 5e-3),
}  # fmt: skip


def build(name):
    """The network and the shape of one example, its numbers drawn from a fixed seed."""
    torch.manual_seed(11)
    make, shape, *_ = {**EXACT, **APPROXIMATE}[name]
    module = make()
    if name == "frames one by one":
        module.conv = nn.Conv1d(2, 2, 3)
    return module.eval(), shape


def features(shape, count, seed=1):
    """Uniform, at the edges of the range, tiny, and zero."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-LIMIT, LIMIT, (count, *shape))
    x[1::5] = np.where(rng.integers(0, 2, x[1::5].shape) == 1, LIMIT, -LIMIT)
    x[2::5] *= 2.0**-9
    x[3] = 0
    return x.astype(np.float32)
