"""Features go out as finite numbers within the limit, whatever they are; what is no array of numbers does not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sotto.link import BadValue, as_numbers
from tests.error_codes import raises_code

ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(0, 5)), elements=ANY),
    st.floats(2.0**-10, 2.0**64),
    st.sampled_from([np.float32, np.float64]),
)
def test_what_goes_out_is_finite_and_within_the_limit(features, limit, dtype):
    before = features.copy()
    values, warnings = as_numbers(features, limit=limit, dtype=dtype)
    assert values.dtype == dtype
    assert values.shape == features.shape
    assert np.isfinite(values).all()
    assert (np.abs(values.astype(np.float64)) <= limit).all()
    fit = np.isfinite(features) & (np.abs(features.astype(np.float64)) <= limit)
    assert (values[fit] == features[fit]).all()
    assert (not warnings) == bool(fit.all())
    assert np.array_equal(features, before, equal_nan=True)


@pytest.mark.parametrize(
    "features",
    [
        [[1, 2]],
        np.ones((1, 2), np.uint8),
        np.ones((1, 2), np.float64),
        np.ones((1, 2), bool),
        torch.ones(1, 2),
        ((1.0, 2),),
    ],
)
def test_whatever_numpy_takes_is_taken(features):
    values, warnings = as_numbers(features)
    assert (values.dtype, values.shape, warnings) == (np.float32, (1, 2), ())


@pytest.mark.parametrize("errors", ["warn", "raise"])
@pytest.mark.parametrize("value", [10**400, -(10**400), 1e300, 1e-300, np.nan, np.inf])
def test_no_value_is_an_error_whatever_numpy_is_told_to_raise(value, errors):
    """Bob sees whether she asks: that must not depend on how large a number is, or on a setting of the caller's."""
    for features in ([[value, 1]], np.array([[value, 1]], object)):
        with np.errstate(all=errors):
            values, _ = as_numbers(features)
        assert np.isfinite(values).all()
        assert values[0, 1] == 1


@pytest.mark.parametrize("features", ["speech", [["1.5"]], [[1j]], [[1], [1, 2]], {"a": 1}, np.zeros(2, "M8[s]")])
def test_what_is_no_array_of_numbers_is_refused(features):
    with raises_code(BadValue, "not-numbers"):
        as_numbers(features)


def test_a_warning_counts_and_quotes_no_value():
    values, warnings = as_numbers([[np.nan, -np.inf, 8.5, 1.0]], limit=2.0)
    assert values.tolist() == [[0.0, -2.0, 2.0, 1.0]]
    assert warnings == (
        "2 of 4 feature values are NaN or infinite: check the recording",
        "1 of 4 feature values lay outside [-2, 2] and were clipped",
    )
