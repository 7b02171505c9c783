import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sotto.hashing import HashingError, hamming_kernel, pack
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def hashes():
    return np.random.default_rng(0).integers(0, 3, (30, 200))


def test_equation_two(hashes):
    expected = np.exp(-4.0 * cdist(hashes[:7], hashes, "hamming") ** 2)
    for x, y in (
        (hashes[:7], hashes),
        (pack(hashes[:7], 3), pack(hashes, 3)),
        (pack(hashes[:7], 3), hashes),
        (hashes[:7].astype(np.float32), pack(hashes, 4)),
        (hashes[:7] + 0.25, hashes + 0.25),
    ):
        assert np.allclose(hamming_kernel(x, y, gamma=4.0), expected, rtol=1e-14)


def test_symmetric_with_ones_on_the_diagonal_and_valid(hashes):
    kernel = hamming_kernel(hashes, gamma=3.0)
    assert np.array_equal(kernel, kernel.T)
    assert np.array_equal(kernel.diagonal(), np.ones(30))
    assert np.linalg.eigvalsh(kernel).min() > -1e-10


def test_not_positive_definite_for_every_gamma():
    cube = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1).T
    assert np.linalg.eigvalsh(hamming_kernel(cube, gamma=0.1)).min() < -0.01
    assert np.linalg.eigvalsh(hamming_kernel(cube, gamma=500.0)).min() > 0


@pytest.mark.parametrize("gamma", [0.0, -1.0, np.nan, np.inf])
def test_gamma_has_to_be_positive(hashes, gamma):
    with raises_code(HashingError, "bad-gamma"):
        hamming_kernel(hashes, gamma=gamma)


def test_shapes_have_to_fit(hashes):
    with raises_code(HashingError, "wrong-shape"):
        hamming_kernel(hashes, hashes[:, :5], gamma=1.0)
