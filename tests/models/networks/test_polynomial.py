"""Polynomials for ReLU: our fit, the paper's table, the module, the swap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.link import BadValue
from sotto.models.networks.polynomial import (
    DEGREES,
    TABLE_3,
    PolynomialReLU,
    fit_relu,
    relu_polynomial,
    swap_relu,
    swap_relu_measured,
)
from tests.error_codes import raises_code

ROOT = 1 / math.sqrt(2 * math.pi)
#: The least-squares polynomials of ReLU under the standard normal density in closed form (Hermite expansion).
CLOSED_FORM = {
    2: (ROOT / 2, 1 / 2, ROOT / 2),
    4: (ROOT * 3 / 8, 1 / 2, ROOT * 3 / 4, 0, -ROOT / 24),
    6: (ROOT * 5 / 16, 1 / 2, ROOT * 15 / 16, 0, -ROOT * 5 / 48, 0, ROOT / 240),
}
#: How far each row of the printed table is from the fit, its misprinted coefficient aside.
TOLERANCE = {2: 5e-4, 4: 2e-3, 6: 4e-3}
MISPRINT = (4, 4)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_fit_is_the_one_under_the_standard_normal_density(degree):
    assert fit_relu(degree) == pytest.approx(CLOSED_FORM[degree], abs=1e-6)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_fit_reproduces_the_printed_table(degree):
    for power, (ours, printed) in enumerate(zip(fit_relu(degree), TABLE_3[degree], strict=True)):
        if (degree, power) != MISPRINT:
            assert ours == pytest.approx(printed, abs=TOLERANCE[degree])


def test_the_printed_quartic_coefficient_does_not_come_from_that_fit():
    x = np.linspace(-2, 2, 401)
    relu = np.maximum(x, 0)
    assert abs(TABLE_3[4][4] - fit_relu(4)[4]) > 0.02
    error = {
        source: np.abs(np.polynomial.polynomial.polyval(x, relu_polynomial(4, source)) - relu).max()
        for source in ("fit", "table3")
    }
    assert error["fit"] < 0.16 < 0.25 < error["table3"]


def test_a_fit_over_normal_samples_comes_near_the_table():
    samples = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(20_000) + 0.5) / 20_000).double().numpy()
    assert fit_relu(2, samples) == pytest.approx(TABLE_3[2], abs=5e-4)
    assert fit_relu(6, samples) == pytest.approx(TABLE_3[6], abs=2e-2)


def test_a_fit_over_a_measured_range_is_better_there():
    samples = np.linspace(-1, 4, 2000)
    measured, standard = fit_relu(4, samples), fit_relu(4)
    relu = np.maximum(samples, 0)

    def rms(coefficients):
        return np.sqrt(np.mean((np.polynomial.polynomial.polyval(samples, coefficients) - relu) ** 2))

    assert rms(measured) < rms(standard) / 2


@pytest.mark.parametrize("samples", [[], [1.0] * 100, [0.0, np.nan, 1.0, 2.0]])
def test_samples_that_fix_no_polynomial_are_refused(samples):
    with raises_code(BadValue, "too-few-values"):
        fit_relu(2, samples)


def test_other_degrees_and_sources_are_refused():
    with raises_code(BadValue, "unknown-degree"):
        fit_relu(3)
    with raises_code(BadValue, "unknown-source"):
        relu_polynomial(2, "table4")  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_the_module_is_the_polynomial(coefficients, values):
    x = torch.tensor(values, dtype=torch.float64)
    expected = np.polynomial.polynomial.polyval(np.array(values), coefficients)
    assert PolynomialReLU(coefficients=coefficients)(x).numpy() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_module_keeps_shape_and_type():
    x = torch.zeros(3, 4, dtype=torch.float32)
    result = PolynomialReLU(4)(x)
    assert result.shape == x.shape
    assert result.dtype == torch.float32


def test_swapping_replaces_every_relu_and_leaves_the_original():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    swapped = swap_relu(network, 2)
    assert not any(isinstance(module, nn.ReLU) for module in swapped.modules())
    assert sum(isinstance(module, PolynomialReLU) for module in swapped.modules()) == 2
    assert isinstance(network[1], nn.ReLU)


def test_swapping_without_relu_is_an_error():
    with raises_code(BadValue, "no-relu"):
        swap_relu(nn.Linear(2, 2), 2)


def test_polynomials_fitted_to_each_layers_inputs_follow_relu_better_there():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with torch.no_grad():
        network[0].weight *= 6  # far outside [-2, 2], where the standard fit runs away
    features = np.random.default_rng(0).uniform(-1, 1, (400, 5)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(features))
        for degree in DEGREES:
            measured = swap_relu_measured(network, degree, features)
            error = (measured(torch.from_numpy(features)) - expected).abs().mean()
            standard = (swap_relu(network, degree)(torch.from_numpy(features)) - expected).abs().mean()
            assert error < standard
            assert [layer.degree for layer in measured if isinstance(layer, PolynomialReLU)] == [degree, degree]
    assert isinstance(network[1], nn.ReLU)


def test_a_layer_whose_inputs_say_nothing_is_refused():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    nn.init.zeros_(network[0].weight)
    nn.init.zeros_(network[0].bias)
    with raises_code(BadValue, "too-few-values"):
        swap_relu_measured(network, 4, np.zeros((10, 2), np.float32))
