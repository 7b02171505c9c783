"""Public normalisation statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sotto.link import BadValue
from sotto.models import Normalisation
from tests.error_codes import raises_code

finite = st.floats(-1e3, 1e3, width=32)
tables = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20), elements=finite)


@given(tables)
def test_range_maps_training_data_to_one(x):
    y = Normalisation.range(x).transform(x)
    assert y.dtype == np.float32
    assert y.shape == x.shape
    assert np.abs(y).max() <= 1 + 1e-3


@given(tables)
def test_clipped_counts_what_transform_changes(x):
    fitted = Normalisation.range(x[: len(x) // 2 + 1])
    clipping = Normalisation(fitted.mean, fitted.scale, "range", clip=1.0)
    changed = np.count_nonzero(fitted.transform(x) != clipping.transform(x))
    assert clipping.clipped(x) == changed
    assert fitted.clipped(x) == 0


def test_standard_per_coefficient_over_clips_and_time():
    x = np.random.default_rng(0).normal([[[1.0], [50.0]]], [[[2.0], [0.1]]], size=(30, 2, 70)).astype(np.float32)
    fitted = Normalisation.standard(x)
    assert fitted.mean.shape == (2, 1)
    y = fitted.transform(x)
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(y.std((0, 2)), 1, atol=1e-3)


def test_constant_coefficient_becomes_zero():
    x = np.ones((5, 3), np.float32)
    x[:, 1] = np.arange(5)
    for fitted in (Normalisation.standard(x), Normalisation.range(x)):
        np.testing.assert_array_equal(fitted.transform(x)[:, [0, 2]], 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normalisation(np.zeros(3), np.zeros(3)),
        lambda: Normalisation(np.zeros(3), np.ones(4)),
        lambda: Normalisation(np.array([np.nan]), np.ones(1)),
        lambda: Normalisation(np.zeros(1), np.ones(1), "median"),
        lambda: Normalisation(np.zeros(1), np.ones(1), clip=0.0),
        lambda: Normalisation.standard(np.zeros((0, 3))),
        lambda: Normalisation.standard(np.array([[1.0, np.inf]])),
        lambda: Normalisation.standard(np.zeros((2, 3)), axes=(1,)),
        lambda: Normalisation(np.zeros(3), np.ones(3)).transform(np.zeros((2, 4))),
        lambda: Normalisation(np.zeros(3), np.ones(3)).transform(np.zeros(3)),
        lambda: Normalisation(np.zeros((40, 3)), np.ones((40, 3))).transform(np.zeros((2, 3))),
    ],
)
def test_refuses(make):
    with raises_code(
        BadValue, ("bad-clip", "not-finite", "shapes-differ", "unknown-kind", "wrong-axes", "wrong-shape")
    ):
        make()
