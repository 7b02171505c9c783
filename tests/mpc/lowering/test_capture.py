"""Modules become plans that compute the same, and what has no private counterpart is refused by name."""

import networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.plain import evaluate
from sotto.mpc.lowering.capture import trace
from tests.error_codes import raises_code


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


class Attribute(nn.Module):
    """Several faults in modules of its own, and one in its own code."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), Calls(lambda self, x: x.sort(dim=1)[0]))
        self.head = Calls(lambda self, x: torch.sin(x).cumsum(1))

    def forward(self, x):
        return self.head(self.encoder(x)) + x.argmax(dim=1, keepdim=True)


REFUSED = {
    "sort": (Calls(lambda self, x: x.sort(dim=1)[0]), (4,)),
    "embedding": (Calls(lambda self, x: F.embedding(x.long(), self.scale[:, None])), (4,)),
    "no running statistics": (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), (4,)),
    "dropout is on": (Calls(lambda self, x: F.dropout(x)), (4,)),
    "drawn at random": (Calls(lambda self, x: x + torch.rand(4)), (4,)),
    "mixes the examples": (Calls(lambda self, x: x + x.mean()), (4,)),
    "mixes the examples of a batch": (Calls(lambda self, x: x.flatten().unsqueeze(0)), (4,)),
    "say which with output=": (Calls(lambda self, x: (x, x)), (4,)),
    "cannot trace": (Branches(), (4,)),
    "takes 2 inputs": (TwoInputs(), (4,)),
    "does not run": (nn.Sequential(nn.Linear(5, 4)), (4,)),
    "no vector of logits": (nn.Sequential(nn.Conv1d(1, 1, 1)), (1, 4)),
    "not its last layer": (nn.Identity(), (4,)),
    "must be positive": (Calls(lambda self, x: torch.log(x)), (4,)),
    "a divisor": (Calls(lambda self, x: 1 / x), (4,)),
    "can be negative": (Calls(lambda self, x: torch.sqrt(x - 100)), (4,)),
    "places of maxima": (Calls(lambda self, x: x.max(dim=1, keepdim=True)[1] * x), (4,)),
    "depends on the input": (Calls(lambda self, x: F.conv1d(x[:, None], x[:1, None])[:, 0]), (4,)),
    "does not depend on its input": (Calls(lambda self, x: self.scale[None] * 2), (4,)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_private_counterpart_is_refused_by_name(name):
    module, shape = REFUSED[name]
    with pytest.raises(ModelRefused) as refused:
        trace(module, shape, input_limit=4.0)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_faults_of_a_module_are_told_at_once_with_their_places():
    with pytest.raises(ModelRefused) as refused:
        trace(Attribute(), (4,), input_limit=4.0)
    first, *rest = str(refused.value).split("; ")
    assert first.startswith("'encoder.1: Calls")
    assert first.endswith("(sort) cannot be evaluated privately: use a maximum over an axis")
    assert [part.partition(":")[0] for part in rest] == ["'head", "'head", "'the module itself"]
    assert "(sin)" in rest[0]
    assert "multiply by a triangular matrix of ones" in rest[1]
    assert "return the logits" in rest[2]


@pytest.mark.parametrize("inplace", [lambda x: F.relu(x, inplace=True) + x, lambda x: x[:, :2].relu_() + x[:, :2]])
def test_steps_that_change_their_input_are_computed_as_they_are(inplace):
    module = Calls(lambda self, x: inplace(x * 1.0)).eval()
    plan, weights = trace(module, (4,), input_limit=4.0)
    x = torch.randn(3, 4)
    np.testing.assert_allclose(evaluate(plan, weights, x), module(x).detach(), atol=1e-5)


class Several(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.body, self.head = kind, nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        hidden = torch.relu(self.body(x))
        return self.kind(self.head(hidden), hidden)


@pytest.mark.parametrize(
    ("kind", "output", "classes"),
    [
        (lambda logits, hidden: {"logits": logits, "hidden": hidden}, None, 2),
        (lambda logits, hidden: {"logits": logits, "hidden": hidden}, "hidden", 3),
        (lambda logits, hidden: {"scores": logits}, "scores", 2),
        (lambda logits, hidden: (hidden, [logits]), 0, 3),
        (lambda logits, hidden: (hidden, logits), -1, 2),
        (lambda logits, hidden: (logits,), None, 2),
    ],
)
def test_one_of_several_results_is_chosen(kind, output, classes):
    plan, _ = trace(Several(kind), (4,), input_limit=4.0, output=output)
    assert plan.classes == classes


@pytest.mark.parametrize(
    ("end", "final"),
    [(nn.Softmax(1), "softmax"), (nn.LogSoftmax(-1), "log_softmax"), (nn.Sigmoid(), "sigmoid"),
     (nn.LogSigmoid(), "log_sigmoid")],
)  # fmt: skip
def test_what_changes_no_class_at_the_end_is_left_to_alice(end, final):
    module = nn.Sequential(nn.Linear(4, 3), end).eval()
    plan, weights = trace(module, (4,), input_limit=4.0)
    assert [type(layer).__name__ for layer in plan.layers] == ["Linear"]
    assert plan.final == final
    x = torch.randn(3, 4)
    np.testing.assert_allclose(evaluate(plan, weights, x), module(x).detach(), atol=1e-5)


def test_the_bound_of_every_approximation_stands_in_the_plan():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2), nn.GELU())
    for error in (1e-2, 1e-3, 2e-4):
        plan, _ = trace(module, (4,), input_limit=4.0, activation_error=error)
        assert [curve.name for curve in plan.curves] == ["tanh", "gelu"]  # one curve for both layers
        assert all(0 < curve.error <= error for curve in plan.curves)
    with raises_code(ModelRefused, "bad-activation-error"):
        trace(module, (4,), input_limit=4.0, activation_error=0.0)


def test_numbers_of_the_code_are_public_and_tensors_are_not():
    module = Calls(lambda self, x: x * 0.5 + self.scale).eval()
    plan, weights = trace(module, (4,), input_limit=4.0)
    assert [type(layer).__name__ for layer in plan.layers] == ["Linear", "Times", "Constant", "Add"]
    assert (plan.layers[1].factor, plan.layers[1].shift) == (1, 1)
    held = [name for tensors in weights.values() for name in tensors]
    assert held == ["weight", "bias", "value"]


@pytest.mark.parametrize("shape", [(), (0,), (-4,), ("4",), (4.0,)])
def test_an_input_shape_is_positive_integers(shape):
    with raises_code(ModelRefused, "bad-shape"):
        trace(nn.Linear(4, 4), shape, input_limit=4.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value):
    broken = nn.Linear(4, 4)
    with torch.no_grad():
        broken.weight[0, 0] = value
    with raises_code(ModelRefused, "not-finite", match="weight of layer 0"):
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
    "forward",
    [
        lambda self, x: (self.first[:, :3].T @ x.unsqueeze(2)).squeeze(2),
        lambda self, x: (x.unsqueeze(2) * self.first).sum(dim=1),
        lambda self, x: x + self.first[:, 0],
        lambda self, x: torch.addmm(self.second[0], x[:, :5], self.second),
    ],
)
def test_other_uses_of_a_tensor_compute_the_same(forward):
    class Other(Written):
        pass

    Other.forward = forward
    torch.manual_seed(2)
    module = Other()
    plan, weights = trace(module, (6,), input_limit=4.0)
    x = torch.randn(3, 6)
    with torch.no_grad():
        np.testing.assert_allclose(evaluate(plan, weights, x.numpy()), module(x).numpy(), atol=1e-5)


def test_a_product_over_the_batch_is_refused():
    class Mixing(Written):
        def forward(self, x):
            return x @ x.T

    with pytest.raises(ModelRefused):
        trace(Mixing(), (6,), input_limit=4.0)
