"""Payload schemas: round trips, and nothing malformed gets past them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sotto.link import Array, FrameError, decode, encode

DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


class Query(msgspec.Struct, forbid_unknown_fields=True):
    features: Array
    note: str


@given(st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))))
def test_arrays_survive_the_wire(array):
    query = decode(encode(Query(Array.of(array), "n")), Query)
    back = query.features.numpy(dtype=array.dtype, shape=(None,) * array.ndim)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_a_received_array_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        Array.of(np.zeros(3)).numpy(dtype="float64", shape=(3,))[0] = 1


@pytest.mark.parametrize(
    "array",
    [
        Array("float32", (2, 3), bytes(20)),  # too few bytes
        Array("float32", (2, 3), bytes(28)),  # too many
        Array("float64", (2, 3), bytes(48)),  # another type
        Array("object", (2, 3), bytes(48)),
        Array("float32", (-2, -3), bytes(24)),
        Array("float32", (6,), bytes(24)),
        Array("float32", (3, 2), bytes(24)),
        Array("float32", (1 << 40, 1 << 40), b""),
        Array("float32", (0, 1 << 63), b""),
        Array("float32", (1 << 62, 0), b""),
        Array("float32", (0, 3), b"1234"),
    ],
)
def test_an_array_that_is_not_what_was_asked_for_is_refused(array):
    with pytest.raises(FrameError):
        array.numpy(dtype="float32", shape=(None, 3))


def test_an_array_of_too_many_axes_is_refused_whatever_was_asked_for():
    with pytest.raises(FrameError):
        Array("float32", (1,) * 100, bytes(4)).numpy(dtype="float32", shape=(None,) * 100)


def test_objects_do_not_travel():
    with pytest.raises(TypeError):
        Array.of(np.array([object()]))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_with_one_error(data):
    with pytest.raises(FrameError):
        decode(data, Query)
