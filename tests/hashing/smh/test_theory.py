"""The closed forms against simulation: each simulated mean has to lie within four of its standard errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.hashing import HashingError, HashKey, HashParameters, modular_hash
from sotto.hashing.smh.theory import (
    euclidean_distance,
    expected_distance,
    expected_distance_paper,
    expected_slope,
    resolution_threshold,
    saturation,
    slope_threshold,
    small_distance_slope,
)

MODULI = (2, 3, 5, 10)


@pytest.mark.parametrize("k", MODULI)
@pytest.mark.parametrize("distance", [0.05, 0.5, 1.0, 2.0, 4.0, 8.0, 30.0])
def test_expected_distance_against_hashes(k, distance):
    """Real hashes under a real key; M = 200,000 independent measurements."""
    delta, parameters = 1.5, HashParameters(2, k, 1.5, 100_000)
    key = HashKey.generate(parameters, seed=f"{k} {distance}")
    x = np.array([[0.3, -2.0]])
    hx, hy = modular_hash(x, key), modular_hash(x + distance * np.array([[0.6, 0.8]]), key)
    expected = float(expected_distance(distance, k, delta))
    error = np.sqrt(expected * (1 - expected) / parameters.symbols)
    assert abs((hx != hy).mean() - expected) < 4 * error


@pytest.mark.parametrize("k", MODULI)
@pytest.mark.parametrize("delta", [2.0, 3.0, 3.5])
@pytest.mark.parametrize(("x", "y"), [((0, 0), (0.6, 0.8)), ((1, 0), (1.5, 1)), ((3, 0), (2.4, 1.9)), ((9, 1), (0, 9))])
def test_expected_distance_with_the_papers_dither_against_hashes(k, delta, x, y):
    key = HashKey.generate(HashParameters(2, k, delta, 100_000, "paper"), seed=f"{k} {delta} {x}")
    first, second = (modular_hash(np.array([point], float), key) for point in (x, y))
    expected = expected_distance_paper(np.array(x, float), np.array(y, float), k, delta)
    error = np.sqrt(expected * (1 - expected) / 200_000)
    assert abs((first != second).mean() - expected) < 4 * error + 1e-4


def test_the_papers_dither_makes_the_distance_depend_on_where_the_vectors_are():
    near = expected_distance_paper([0.0, 0.0], [1.0, 0.0], 2, 3.0)
    far = expected_distance_paper([9.0, 0.0], [9.0, 1.0], 2, 3.0)
    full = float(expected_distance(1.0, 2, 3.0))
    assert near < full - 0.02
    assert far == pytest.approx(full, abs=1e-6)


def test_where_delta_divides_k_both_dithers_give_the_same_distances():
    x, y = np.array([0.2, 0.1]), np.array([1.0, -0.4])
    distance = float(np.linalg.norm(x - y))
    for k, delta in ((2, 2.0), (10, 2.5), (3, 1.5)):
        assert expected_distance_paper(x, y, k, delta) == pytest.approx(float(expected_distance(distance, k, delta)))


@given(st.integers(2, 16), st.floats(0.1, 20), st.floats(0, 100))
def test_shape_of_the_curve(k, delta, distance):
    value = float(expected_distance(distance, k, delta))
    assert 0 <= value <= saturation(k) + 1e-12
    assert value <= small_distance_slope(delta) * distance + 1e-12
    assert float(expected_distance(distance * 1.01, k, delta)) >= value - 1e-12
    assert float(expected_distance(3 * distance, k, 3 * delta)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("k", range(2, 17))
def test_small_distances_saturation_and_the_seam_between_the_two_formulas(k):
    assert float(expected_distance(0.0, k, 2.0)) == 0
    assert float(expected_distance(1e-4, k, 2.0)) / 1e-4 == pytest.approx(small_distance_slope(2.0), rel=1e-9)
    assert float(expected_distance(20.0 * k, k, 2.0)) == pytest.approx(1 - 1 / k, abs=1e-12)
    seam = 0.05 * k
    below, above = expected_distance(np.array([seam * (1 - 1e-12), seam]), k, 1.0)
    assert below == pytest.approx(above, abs=1e-11)


def test_boufounos_and_ranes_binary_case():
    d, odd = np.array([0.3, 1.0, 2.5]), np.arange(1, 400, 2)
    series = 0.5 - np.sum(np.exp(-((np.pi * odd * d[:, None]) ** 2) / 2) / (np.pi * odd / 2) ** 2, axis=1)
    assert np.allclose(expected_distance(d, 2, 1.0), series, atol=1e-12)


@given(st.integers(2, 16), st.floats(0.01, 30))
def test_slope_is_the_derivative(k, distance):
    step = 1e-5 * max(1.0, distance)
    numeric = (expected_distance(distance + step, k, 2.0) - expected_distance(distance - step, k, 2.0)) / (2 * step)
    assert float(expected_slope(distance, k, 2.0)) == pytest.approx(float(numeric), abs=1e-7)


@given(st.integers(2, 16), st.floats(0.0, 1.0))
def test_the_inverse(k, share):
    distance = share * k * 0.8
    assert euclidean_distance(expected_distance(distance, k, 2.0), k, 2.0) == pytest.approx(distance, abs=1e-3)


def test_nothing_is_known_at_saturation():
    assert np.isinf(euclidean_distance([saturation(3), 0.9], 3, 2.0)).all()


@pytest.mark.parametrize(("k", "paper"), [(2, 0.475), (3, 0.65), (5, 0.775), (10, 0.875)])
def test_the_papers_thresholds_are_three_deviations_under_saturation(k, paper):
    assert resolution_threshold(k, 2816) == pytest.approx(paper, abs=0.011)


def test_the_resolution_threshold_against_unrelated_hashes():
    key = HashKey.generate(HashParameters(8, 3, 1.0, 32), seed=1)
    rng = np.random.default_rng(0)
    x, y = (modular_hash(100 * rng.normal(size=(20_000, 8)), key) for _ in range(2))
    below = ((x != y).mean(axis=1) < resolution_threshold(3, 256)).mean()
    assert 0.0005 < below < 0.003  # a Gaussian's tail beyond three deviations is 0.00135


@pytest.mark.parametrize("k", MODULI)
def test_the_slope_threshold_is_where_the_slope_has_fallen(k):
    threshold = slope_threshold(k, 0.1)
    distance = euclidean_distance(threshold, k, 1.0)
    assert float(expected_slope(distance, k, 1.0)) == pytest.approx(0.1 * small_distance_slope(1.0), rel=1e-3)
    assert threshold < saturation(k)


def test_arguments_out_of_range():
    with pytest.raises(HashingError):
        expected_distance(-1.0, 3, 2.0)
    with pytest.raises(HashingError):
        slope_threshold(3, 1.5)
