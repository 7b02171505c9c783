"""Curves: no input is further from the function than the bound says, and an interval holds all its values."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import curves
from tests.error_codes import raises_code


def everywhere(curve, reach=40.0):
    """Points between and around all knots, near and far."""
    knots = np.array([knot for knot, _, _ in curve.knots]) / 2.0**curve.fraction
    inner = np.concatenate([np.linspace(a, b, 60) for a, b in itertools.pairwise(knots)])
    return np.concatenate([inner, np.linspace(-reach, reach, 4001), [-1e4, 1e4]])


@pytest.mark.parametrize("tolerance", [5e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("name", sorted(curves.ACTIVATIONS))
def test_an_activation_is_within_its_bound_everywhere(name, tolerance):
    curve = curves.activation(name, tolerance)
    function = curves._ACTIVATIONS[name][0]
    x = everywhere(curve)
    with np.errstate(over="ignore"):
        error = np.abs(curves.value(curve, x) - function(x))
    assert error.max() <= curve.error * 1.01 <= tolerance * 1.01
    assert curve.error <= 2 * error.max() + 1e-9  # and the bound is not idle


@pytest.mark.parametrize("name", sorted(curves.ACTIVATIONS))
def test_the_stated_curvature_bounds_the_second_derivative(name):
    function, stated, *_ = curves._ACTIVATIONS[name]
    x, h = np.linspace(-12, 12, 48001), 1e-3
    second = np.abs(function(x + h) - 2 * function(x) + function(x - h)) / h**2
    assert second.max() <= stated * (1 + 1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["reciprocal", "rsqrt", "sqrt", "log"]), st.floats(-6, 6), st.floats(0.1, 10),
    st.sampled_from([1e-2, 1e-3]),
)  # fmt: skip
def test_functions_of_positive_numbers_are_within_their_bound(name, exponent, octaves, tolerance):
    low = 2.0**exponent
    high = low * 2.0**octaves
    curve = curves.positive(name, low, high, tolerance, 24)
    function, _, relative = curves._POSITIVE[name]
    x = np.geomspace(low, high, 20001)
    error = np.abs(curves.value(curve, x) - function(x))
    assert (error / np.abs(function(x)) if relative else error).max() <= curve.error * 1.01 <= tolerance * 1.01


@pytest.mark.parametrize("high", [-1.0, 0.0, 3.0])
def test_an_exponential_is_within_its_bound_far_below_too(high):
    curve = curves.exponential(-200.0, high, 1e-3)
    x = np.concatenate([np.linspace(-200, high, 100_001), [-1e6]])
    assert np.abs(curves.value(curve, x) - np.exp(x)).max() <= curve.error * 1.01 <= 1.01e-3
    with raises_code(ModelRefused, "exponent-too-large"):
        curves.exponential(0.0, 30.0, 1e-3)


@given(st.floats(0.1, 3), st.floats(0.5, 2), st.floats(0.5, 2))
def test_elu_and_its_kin_are_within_their_bound(alpha, scale, inner):
    curve = curves.elu(alpha, scale, inner, 1e-3)
    x = everywhere(curve, 30.0)
    expected = np.where(x < 0, scale * alpha * np.expm1(np.minimum(x, 0) * inner), scale * x)
    near = np.abs(x) <= 30
    # Its slope of `scale` is rounded to the curve's bits.
    slack = np.abs(x) * 2.0 ** -(curve.slope_fraction + 1)
    assert (np.abs(curves.value(curve, x) - expected) <= 1.01e-3 + slack)[near].all()


def test_exact_curves_are_exact():
    assert curves.exact("abs", [(0, 0)], (-1, 1)).error == 0
    clamp = curves.exact("clamp", [(-0.5, -0.5), (2, 2)], (0, 0))
    x = np.linspace(-4, 4, 1001)
    assert clamp.error == 0
    assert clamp.slope_fraction == 0
    assert (curves.value(clamp, x) == x.clip(-0.5, 2)).all()
    leaky = curves.exact("leaky", [(0, 0)], (0.01, 1))
    assert 0 < leaky.error < 2.0**-16


def test_stairs_have_the_heights_asked_for():
    curve = curves.stairs("powers", [(2.0**j, 2.0**-j) for j in range(-8, 6)], 2.0**9, 20, 12)
    x = np.exp2(np.linspace(-9, 6, 500)) * 1.0001
    expected = np.exp2(-np.clip(np.floor(np.log2(x)), -9, 5))
    assert curve.steps
    assert (curves.value(curve, x) == expected).all()


@given(st.floats(-9, 9), st.floats(0, 9), st.sampled_from(["gelu", "silu", "tanh", "mish", "stairs"]))
def test_the_bounds_of_a_curve_hold_all_its_values(low, length, name):
    if name == "stairs":
        curve = curves.stairs("stairs", [(-3.0, 5.0), (0.0, -1.0), (2.5, 4.0)], 0.5, 16, 4)
    else:
        curve = curves.activation(name, 1e-3)
    ends = torch.tensor([[low]], dtype=torch.float64), torch.tensor([[low + length]], dtype=torch.float64)
    least, largest = curves.bounds(curve, *ends)
    values = curves.value(curve, np.linspace(low, low + length, 999))
    assert float(least) - 1e-12 <= values.min()
    assert values.max() <= float(largest) + 1e-12


def test_what_needs_too_many_knots_is_refused_in_one_line():
    with raises_code(ModelRefused, "too-many-knots") as said:
        curves.positive("log", 1e-6, 1e6, 1e-6, 40)
    assert "\n" not in str(said.value)
    assert math.isfinite(curves.activation("tanh", 0.5).error)
