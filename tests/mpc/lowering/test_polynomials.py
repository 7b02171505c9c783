"""Polynomials are known however they are written, take few products, and are held where they would leave a word."""

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto import mpc
from sotto.link import encode
from sotto.models.networks.polynomial import PolynomialReLU
from sotto.mpc.graph.bounds.error_bound import Unproven, proven_error
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.plain import evaluate
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.protocols.scores import scores_of
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from sotto.mpc.sharing import ring


class Function(nn.Module):
    def __init__(self, function, **own):
        super().__init__()
        self.function = function
        for name, tensor in own.items():
            self.register_buffer(name, tensor)

    def forward(self, x):
        return self.function(self, x)


def kinds(module, shape, limit=2.0):
    plan, _ = trace(module.eval(), shape, input_limit=limit)
    return [type(layer).__name__ for layer in plan.layers]


WRITTEN = {
    "powers": lambda self, x: 0.5 * x**4 - x**2 / 4 + 3,
    "products": lambda self, x: (x * x - 1) * (x + 2) + x,
    "a residual sum": lambda self, x: x + 0.25 * x.square(),
    "turned round": lambda self, x: -(1 - x) * (2 - x**3),
    "a polynomial of one": lambda self, x: (x**2 + x) ** 2,
    "coefficients of its own": lambda self, x: (self.own[2] * x + self.own[1]) * x + self.own[0],
    "ended by a line": lambda self, x: (x**2 + 1).sum(1, keepdim=True) * 2 + 1,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_however_it_is_written_it_is_the_same(name):
    module = Function(WRITTEN[name], own=torch.tensor([0.3, -1.0, -0.7]))
    plan, weights = trace(module, (5,), input_limit=2.0)
    x = torch.linspace(-2, 2, 20).reshape(4, 5)
    assert np.allclose(evaluate(plan, weights, x), module(x), atol=1e-5)
    scores = FixedPointModel(plan, weights, "logits").answer(x.numpy()).scores
    assert np.abs(scores - module(x).numpy()).max() < 2e-3


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-2, 2).filter(lambda c: abs(c) > 0.05 or c == 0), min_size=2, max_size=7))
def test_any_coefficients(coefficients):
    coefficients[-1] = coefficients[-1] or 1.0
    module = PolynomialReLU(coefficients=coefficients)
    plan, weights = trace(module, (9,), input_limit=2.0)
    x = torch.linspace(-2, 2, 9)[None]
    assert np.allclose(evaluate(plan, weights, x), module(x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("degree", "products"), [(2, 1), (4, 2), (6, 3)])
def test_an_activation_takes_few_products_and_its_scale_none(degree, products):
    found = kinds(nn.Sequential(nn.Linear(4, 4), PolynomialReLU(degree)), (4,))
    assert found.count("Multiply") == products
    assert found.count("Scale") == (degree > 2)  # of the linear term


def test_the_plan_tells_no_coefficient():
    own = [PolynomialReLU(coefficients=each) for each in [(0.2, 0.5, 0.2), (0.7, 0.1, 0.4)]]
    plans = [trace(nn.Sequential(nn.Linear(4, 4), each), (4,), input_limit=2.0)[0] for each in own]
    assert encode(plans[0]) == encode(plans[1])


def test_a_layer_that_others_read_keeps_its_weights():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.relu = nn.Linear(4, 4), PolynomialReLU(2)

        def forward(self, x):
            x = self.linear(x)
            return torch.cat([self.relu(x), torch.relu(x)], dim=1)

    torch.manual_seed(0)
    module = Both().eval()
    plan, weights = trace(module, (4,), input_limit=2.0)
    x = torch.randn(3, 4)
    assert np.allclose(evaluate(plan, weights, x), module(x).detach(), atol=1e-5)
    assert "Scale" in [type(layer).__name__ for layer in plan.layers]


def wide(degree):
    """A network whose bounds a second polynomial would leave."""
    torch.manual_seed(4)
    module = nn.Sequential(nn.Linear(6, 8), PolynomialReLU(degree), nn.Linear(8, 8), PolynomialReLU(degree))
    module[2].weight.data *= 2.0**6
    return nn.Sequential(module, nn.Linear(8, 3)).eval()


@pytest.mark.parametrize("degree", [2, 4, 6])
def test_an_argument_that_could_leave_a_word_is_held(degree):
    module = wide(degree)
    plan, weights = trace(module, (6,), input_limit=64.0)
    assert [curve.name for curve in plan.curves].count("held") >= 1
    assert max(value_ranges(plan, weights)) < 46
    with pytest.raises(Unproven, match="holds the argument"):
        proven_error(plan, weights)
    stated = [each for each in mpc.function_bounds(plan) if each.function == "argument of a polynomial"]
    assert len(stated) >= 1
    assert all("no bound is proven" in each.condition for each in stated)
    x = np.random.default_rng(3).uniform(-0.05, 0.05, (40, 6)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    found = FixedPointModel(plan, weights, "logits").answer(x).scores
    assert np.abs(found - expected).max() < 2e-3 * max(1.0, np.abs(expected).max())
    assert np.abs(found - expected).max() <= proven_error(plan, weights, unheld=True)  # these are not held


def test_a_plain_power_is_not_held():
    plan, _ = trace(Function(lambda self, x: x.square() + 0), (4,), input_limit=2.0**13)
    assert not plan.curves


@pytest.mark.parametrize("execute", [masked_parties.execute, malicious_parties.execute])
def test_what_is_held_is_the_same_in_both_modes(execute):
    plan, weights = trace(wide(2), (6,), input_limit=64.0)
    program = compile_program(plan, value_ranges(plan, weights), "logits")
    x = np.random.default_rng(5).uniform(-64, 64, (6, 6)).astype(np.float32)  # far beyond the bounds, too
    expected = FixedPointModel(plan, weights, "logits").answer(x).scores
    scores = scores_of(program, execute(program, ring.encode(x), weights))
    assert np.allclose(scores, expected, rtol=1e-3, atol=1e-2)


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-6, 2.0), st.floats(-50_000, 50_000), st.floats(-1000, 1000))
def test_whatever_the_coefficients_the_plan_is_within_its_bound(a, b, c):
    own = torch.tensor([c, b, a], dtype=torch.float32)
    module = nn.Sequential(
        nn.Linear(4, 4, bias=False),
        Function(lambda self, x: (self.own[2] * x + self.own[1]) * x + self.own[0], own=own),
    )
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(4))
    plan, weights = trace(module.eval(), (4,), input_limit=4.0)
    x = np.random.default_rng(0).uniform(-4, 4, (50, 4)).astype(np.float32).astype(np.float64)
    exact = (float(own[2]) * x + float(own[1])) * x + float(own[0])
    assert np.abs(evaluate(plan, weights, x).astype(np.float64) - exact).max() <= proven_error(plan, weights)
