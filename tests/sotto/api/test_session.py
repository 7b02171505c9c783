"""What is taken as examples, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sotto.api.errors import InputRefused
from sotto.api.session import as_batch

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@given(shapes, st.integers(1, 3), st.sampled_from(["float64", "float16", "int32", "uint8", "bool"]))
def test_a_batch_is_taken_as_it_is_and_one_example_as_a_batch_of_one(shape, n, dtype):
    batch = np.ones((n, *shape), dtype)
    assert as_batch(batch, shape).shape == batch.shape
    assert as_batch(batch, shape).dtype == np.float32
    assert as_batch(batch[0].tolist(), shape).shape == (1, *shape)
    assert as_batch(torch.ones(n, *shape, requires_grad=True), (None,) * len(shape)).shape == batch.shape


@pytest.mark.parametrize(
    ("x", "line"),
    [
        ([[1.0, 2.0], [3.0]], "no array of numbers"),
        (["a", "b"], "not of real numbers"),
        (np.array([1j, 2]), "not of real numbers"),
        (None, "not of real numbers"),
        (np.ones((2, 3)), "one example is 2, or n of them n × 2, not 2 × 3"),
        (1.0, "not a single number"),
        (np.ones((0, 2)), "no example"),
        ([1.0, np.inf], "NaN or infinity"),
        ([1.0, 1e300], "NaN or infinity"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_quotes_no_value(x, line):
    with pytest.raises(InputRefused) as caught:
        as_batch(x, (2,))
    assert line in str(caught.value)
    assert "1e" not in str(caught.value)
