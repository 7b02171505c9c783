"""Modules become plans that compute the same, and what has no private counterpart is refused by name."""

import networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.capture import trace
from sotto.mpc.graph.plain import evaluate


class Functional(nn.Module):
    """The supported steps as functions and methods."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding="same")
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        x = x.view(x.shape[0], 2, -1)
        x = F.max_pool1d(F.relu(self.conv(x)), 2, stride=2)
        x = F.avg_pool1d(x, 3, padding=1)
        x = torch.add(x, F.adaptive_avg_pool1d(x, x.size(2)).relu())
        x = F.dropout(x, 0.5, training=self.training).contiguous()
        x = torch.cat([x, x], dim=-1)
        return self.linear(torch.flatten(torch.mean(x, -1, keepdim=True), 1))


CASES = {
    **{name: (lambda name=name: networks.build(name), shape) for name, shape in networks.INPUT_SHAPES.items()},
    "functional": (Functional, (24,)),
    "channels-last linear": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(5), nn.Flatten()), (5, 4)),
    "relu before norm": (lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.BatchNorm1d(2), nn.Flatten()), (1, 9)),
    "norm without affine": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False)), (4,)),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), (4,)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_computes_what_the_module_computes(name):
    make, shape = CASES[name]
    torch.manual_seed(3)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    plan, weights = trace(module, shape, input_limit=4.0)
    x = torch.randn(3, *shape)
    with torch.no_grad():
        expected = module(x)
    assert np.allclose(evaluate(plan, weights, x), expected, atol=1e-5)
    for number, layer in enumerate(plan.layers):
        found = {name: tensor.shape for name, tensor in weights.get(number, {}).items()}
        assert found == layer.parameters
        assert all(tensor.dtype == np.float32 for tensor in weights.get(number, {}).values())
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in before.items())


def test_batch_norm_folds_and_dropout_vanishes():
    plan, _ = trace(networks.build("frames"), (40, 188), input_limit=4.0)
    kinds = [type(layer).__name__ for layer in plan.layers]
    assert kinds == ["Convolution", "ReLU"] * 3 + ["AveragePool", "Reshape", "Linear"]


def test_a_norm_that_others_bypass_is_not_folded():
    class Bypassed(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x):
            x = self.linear(x)
            return self.norm(x) + x

    module = Bypassed().eval()
    module.norm.running_mean.fill_(3.0)
    plan, weights = trace(module, (4,), input_limit=4.0)
    assert [type(layer).__name__ for layer in plan.layers] == ["Linear", "ChannelAffine", "Add"]
    x = torch.randn(2, 4)
    assert np.allclose(evaluate(plan, weights, x), module(x).detach(), atol=1e-6)


class Calls(nn.Module):
    """Applies a function to a linear layer's output."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.function(self, self.linear(x))


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


REFUSED = {
    "LSTM": (nn.Sequential(nn.LSTM(4, 4)), (3, 4)),
    "GELU": (nn.Sequential(nn.Linear(4, 4), nn.GELU()), (4,)),
    "Softmax": (nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=1)), (4,)),
    "ConvTranspose1d": (nn.Sequential(nn.ConvTranspose1d(1, 1, 2), nn.Flatten()), (1, 4)),
    "LayerNorm": (nn.Sequential(nn.LayerNorm(4)), (4,)),
    "padding mode 'reflect'": (nn.Sequential(nn.Conv1d(1, 1, 3, padding=1, padding_mode="reflect")), (1, 4)),
    "even length": (nn.Sequential(nn.Conv1d(1, 1, 4, padding="same"), nn.Flatten()), (1, 4)),
    "ceil_mode": (nn.Sequential(nn.AvgPool1d(2, ceil_mode=True), nn.Flatten()), (1, 5)),
    "pooling with padding": (nn.Sequential(nn.MaxPool1d(3, padding=1), nn.Flatten()), (1, 6)),
    "does not count as zeros": (
        nn.Sequential(nn.AvgPool1d(3, padding=1, count_include_pad=False), nn.Flatten()), (1, 6),
    ),
    "dilated pooling": (nn.Sequential(nn.MaxPool1d(2, dilation=2), nn.Flatten()), (1, 6)),
    "different lengths": (nn.Sequential(nn.AdaptiveMaxPool1d(4), nn.Flatten()), (1, 6)),
    "no running statistics": (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), (4,)),
    "sigmoid": (Calls(lambda self, x: torch.sigmoid(x)), (4,)),
    "tanh": (Calls(lambda self, x: x.tanh()), (4,)),
    "mul": (Calls(lambda self, x: x * 2), (4,)),
    "scale": (Calls(lambda self, x: x * self.scale), (4,)),
    "other than the output of a layer": (Calls(lambda self, x: x + 1.0), (4,)),
    "computed size": (Calls(lambda self, x: F.max_pool1d(x.unsqueeze(1), x.size(1)).flatten(1)), (4,)),
    "alpha": (Calls(lambda self, x: torch.add(x, x, alpha=2)), (4,)),
    "two shapes": (Calls(lambda self, x: x + x.mean(dim=1, keepdim=True)), (4,)),
    "dropout is on": (Calls(lambda self, x: F.dropout(x)), (4,)),
    "'mean' mixes the examples": (Calls(lambda self, x: x + x.mean()), (4,)),
    "'flatten' mixes the examples": (Calls(lambda self, x: x.flatten().unsqueeze(0)), (4,)),
    "something other than one tensor": (Calls(lambda self, x: (x, x)), (4,)),
    "change their input": (Calls(lambda self, x: F.relu(x, inplace=True) + x), (4,)),
    "cannot trace": (Branches(), (4,)),
    "takes 2 inputs": (TwoInputs(), (4,)),
    "does not run": (nn.Sequential(nn.Linear(5, 4)), (4,)),
    "no vector of logits": (nn.Sequential(nn.Conv1d(1, 1, 1)), (1, 4)),
    "not its last layer": (nn.Identity(), (4,)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_private_counterpart_is_refused_by_name(name):
    module, shape = REFUSED[name]
    with pytest.raises(ModelRefused) as refused:
        trace(module, shape, input_limit=4.0)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shape", [(), (0,), (-4,), ("4",), (4.0,)])
def test_an_input_shape_is_positive_integers(shape):
    with pytest.raises(ModelRefused, match="input shape"):
        trace(nn.Linear(4, 4), shape, input_limit=4.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value):
    broken = nn.Linear(4, 4)
    with torch.no_grad():
        broken.weight[0, 0] = value
    with pytest.raises(ModelRefused, match="weight of layer 0"):
        trace(broken, (4,), input_limit=1.0)


class Written(nn.Module):
    """Linear layers written as matrix products."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(6, 5))
        self.register_buffer("second", torch.randn(5, 3))

    def forward(self, x):
        return torch.matmul(torch.relu(x @ self.first), self.second)


def test_a_product_with_a_matrix_of_the_modules_own_is_a_linear_layer():
    torch.manual_seed(1)
    module = Written()
    plan, weights = trace(module, (6,), input_limit=4.0)
    x = torch.randn(3, 6)
    with torch.no_grad():
        np.testing.assert_allclose(evaluate(plan, weights, x.numpy()), module(x).numpy(), atol=1e-5)
    assert [type(layer).__name__ for layer in plan.layers] == ["Linear", "ReLU", "Linear"]


@pytest.mark.parametrize(
    "forward", [lambda self, x: self.first.T @ x.T, lambda self, x: x @ x.T, lambda self, x: x + self.first[:1, :]]
)
def test_other_uses_of_a_tensor_are_refused(forward):
    class Odd(Written):
        pass

    Odd.forward = forward
    with pytest.raises(ModelRefused):
        trace(Odd(), (6,), input_limit=4.0)
