"""The filter against what can be computed without it: enumeration of one comb, and least squares without wrapping."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.hashing.attacks.comb_filter import _comb_moments, filtered, gaussian


@settings(deadline=None, max_examples=40)
@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(0.05, 0.45))
def test_moments_of_a_comb_against_numerical_integration(offset, sigma, half):
    z = np.linspace(-9 * sigma, 9 * sigma, 400_001)
    inside = np.abs((z - offset + 0.5) % 1.0 - 0.5) <= half
    weight = np.exp(-0.5 * (z / sigma) ** 2) * inside
    if weight.sum() < 1e-3 * len(z) * half:  # too little mass for the numerical side
        return
    mean = (z * weight).sum() / weight.sum()
    variance = ((z - mean) ** 2 * weight).sum() / weight.sum()
    shift, left = _comb_moments(np.array([offset]), np.array([sigma**2]), 1.0, half)
    assert shift[0] == pytest.approx(mean, abs=2e-3 * sigma + 1e-4)
    assert left[0] == pytest.approx(min(variance, sigma**2), rel=0.01, abs=1e-5)


def test_without_wrapping_it_is_linear_regression():
    rng = np.random.default_rng(0)
    truth, directions = rng.normal(size=(3, 5)), rng.normal(size=(200, 5))
    cell = 0.2
    centres = cell * (np.floor(truth @ directions.T / cell) + 0.5)
    means, covariances = filtered(
        directions, centres, np.zeros((3, 5)), np.tile(np.eye(5), (3, 1, 1)), cell=cell, period=1e6
    )
    weight = cell**2 / 12
    regression = np.linalg.solve(directions.T @ directions + weight * np.eye(5), directions.T @ centres.T).T
    assert np.abs(means - regression).max() < 0.03
    assert np.abs(means - truth).max() < 0.03
    assert np.trace(covariances, axis1=1, axis2=2).max() < 0.01


def test_what_is_hopeless_changes_nothing():
    means, covariances = filtered(
        np.ones((4, 2)), np.zeros((1, 4)), np.zeros((1, 2)), np.eye(2)[None] * 100, cell=0.1, period=0.2
    )
    assert not means.any()
    assert np.allclose(covariances, 100 * np.eye(2))


def test_noise_makes_a_measurement_count_less():
    arguments = (np.ones((1, 1)), np.full((1, 1), 1.0), np.zeros((1, 1)), np.ones((1, 1, 1)))
    sure, _ = filtered(*arguments, cell=0.1, period=50.0)
    unsure, _ = filtered(*arguments, cell=0.1, period=50.0, noise=np.array([3.0]))
    assert sure[0, 0] == pytest.approx(1.0, abs=0.01)
    assert unsure[0, 0] == pytest.approx(0.25, abs=0.01)


def test_the_prior_can_be_inverted_even_from_two_examples():
    mean, covariance = gaussian(np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    assert mean.tolist() == [1.0, 1.0, 1.0]
    assert np.linalg.cond(covariance) < 1e6
