"""Any module that exports becomes the same network; what cannot be evaluated is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sotto.he.network.network import ModelRefused
from sotto.he.tensors.exporting import export
from sotto.he.tensors.substitutes import substitute
from sotto.models.networks.emotion_cnn import Depinto, Frames
from sotto.models.networks.polynomial import PolynomialReLU, swap_relu
from tests.error_codes import raises_code


class Residual(nn.Module):
    """Squares by hand, a residual sum across an activation, Horner by hand, means, dropout, a step in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.activation = PolynomialReLU(4)
        self.dropout = nn.Dropout(0.5)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        y = self.norm(self.first(x))
        y = y * y
        z = self.dropout(self.activation(self.second(y)) + y)
        z += 0.25
        z = self.pool(z).mean(3)
        z = (0.5 * z + 0.25) * z - 1
        return self.head(torch.flatten(z, 1))


class Branching(nn.Module):
    """Its Python looks at shapes, which torch.fx cannot follow and torch.export can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(6, 4), nn.Linear(4, 3)
        self.activation = PolynomialReLU(6)

    def forward(self, x):
        if x.shape[1] == 6:
            x = self.layer(x)
        return self.head(self.activation(x))


def settled(module, shape):
    """With the batch statistics of random inputs, and in evaluation mode."""
    torch.manual_seed(1)
    module.train()
    for _ in range(5):
        module(torch.rand(16, *shape) * 2 - 1)
    return module.eval()


CASES = {
    "residual": (Residual, (1, 12, 12)),
    "branching": (Branching, (6,)),
    "depinto": (lambda: swap_relu(Depinto(), 2), (40,)),
    "frames": (lambda: swap_relu(Frames(frames=30, coefficients=5), 4), (5, 30)),
    "sequential": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), PolynomialReLU(6), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(9, 40)),
        (2, 8),
    ),
    "linear": (lambda: nn.Linear(3, 2), (3,)),
    "depthwise, kernel 1, adaptive mean": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3, groups=2), nn.BatchNorm1d(4), PolynomialReLU(2), nn.Conv1d(4, 3, 1), PolynomialReLU(2),
            nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(6, 2),
        ),
        (2, 10),
    ),
    "stride 3, even kernel, padding, dilation": (
        lambda: nn.Sequential(
            nn.Conv1d(1, 3, 4, stride=3, padding=2), PolynomialReLU(2), nn.Conv1d(3, 2, 3, dilation=2, padding=2),
            nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), nn.Flatten(), nn.Linear(8, 2),
        ),
        (1, 20),
    ),
    "batch norm after linear": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), PolynomialReLU(4), nn.Linear(5, 35)),
        (6,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_network_computes_what_the_module_does(name):
    make, shape = CASES[name]
    torch.manual_seed(0)
    module = settled(make(), shape)
    network = export(module, shape)
    features = np.random.default_rng(0).uniform(-1, 1, (9, *shape))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(network.logits(features), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(network.logits(features.reshape(9, -1)), network.logits(features))


def test_only_polynomials_divide_stages():
    torch.manual_seed(0)
    network = export(settled(Residual(), (1, 12, 12)), (1, 12, 12))
    assert [stage.shape for stage in network.stages] == [(4, 6, 6), (4, 6, 6), (4, 3), (5,)]
    assert [len(s.polynomial) - 1 for s in network.stages if s.polynomial] == [2, 4, 2]
    assert [sorted(stage.weights) for stage in network.stages] == [[0], [1], [1, 2], [3]]
    assert "12" in repr(network)
    assert str(float(network.stages[0].weights[0].data[0]))[:6] not in repr(network)


def test_exporting_leaves_the_module_and_the_generator_as_they_are():
    module = swap_relu(Depinto(), 2).train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    export(module, (40,))
    assert torch.equal(torch.rand(3), expected)
    assert module.training
    assert module.conv.weight.dtype == torch.float32


class Two(nn.Module):
    def forward(self, x):
        return F.adaptive_max_pool1d(x, 1).flatten(1)


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.one(x) * self.two(x)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0, keepdim=True)


class InPlace(nn.Module):
    def forward(self, x):
        y = 2 * x
        y.mul_(3)
        return y


class ByValue(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Clamped(nn.Module):
    def forward(self, x):
        return x.clamp(-50, 50)


class Degree3(nn.Module):
    def forward(self, x):
        return (x**3 + x).sum(1, keepdim=True)


class Degree8(nn.Module):
    def forward(self, x):
        return ((x**4) ** 2).sum(1, keepdim=True)


class Inputs(nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize(
    ("module", "shape", "match"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (4,), "not-polynomial"),
        (nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)), (4,), "not-polynomial"),
        (Two(), (2, 9), "not-polynomial"),
        (Product(), (4,), "not-polynomial"),
        (Centred(), (4,), "mixes-batch"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2)), (4,), "mixes-batch"),
        (InPlace(), (4,), "other-function"),
        (ByValue(), (4,), "cannot-export"),
        (Clamped(), (4,), "not-polynomial"),
        (Degree3(), (4,), "bad-degree"),
        (Degree8(), (4,), "bad-degree"),
        (Inputs(), (4,), "many-inputs"),
        (nn.Linear(4, 2), (5,), "does-not-run"),
        (nn.Linear(4, 2), (), "bad-shape"),
        (nn.Sequential(nn.Conv1d(1, 4, 3), nn.Conv1d(4, 2, 3)), (1, 9), "wrong-axes"),
        (nn.Sequential(nn.Linear(4, 3, bias=False), PolynomialReLU(2), nn.Linear(3, 2)), (40_000,), "too-many-values"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(module, shape, match):
    with raises_code(ModelRefused, match):
        export(module, shape)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value):
    module = nn.Sequential(nn.Linear(4, 3), PolynomialReLU(2), nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight[0, 0] = value
    with pytest.raises(ModelRefused):
        export(module, (4,))


def test_dead_layers_are_refused():
    module = nn.Sequential(nn.Linear(4, 3), PolynomialReLU(2), nn.Linear(3, 2))
    with torch.no_grad():
        module[2].weight[:] = 0
    with raises_code(ModelRefused, "not-logits"):
        export(module, (4,))


@pytest.mark.parametrize(
    ("layer", "instead"),
    [
        (nn.GELU(), r"layer '1' \(GELU\).* PolynomialReLU"),
        (nn.MaxPool1d(2), "average pooling"),
        (nn.Softmax(1), "the largest logit names the class"),
        (nn.LayerNorm(4), "batch norm"),
    ],
)
def test_a_refusal_names_the_layer_and_what_to_put_in_its_place(layer, instead):
    with raises_code(ModelRefused, "not-polynomial", match=instead):
        export(nn.Sequential(nn.Linear(4, 4), layer), (4,))


def test_recurrent_layers_and_products_of_values_have_substitutes_too():
    steps = {
        "LSTM": "mean over time", "scaled_dot_product_attention": "mean over time", "mul": "square",
        "native_layer_norm": "batch norm", "dropout": "training=self.training", "half": "not rounded",
    }  # fmt: skip
    for step, instead in steps.items():
        assert instead in substitute(step)
