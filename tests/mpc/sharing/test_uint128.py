"""Arithmetic modulo 2^128 against Python's integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malicious_parties import MASK, MODULUS, integers_of, planes_of
from word_layers import EDGES, affines, convolutions, linears, product, words

from sotto.link import BadType
from sotto.mpc.graph.layers import Linear, ReLU
from sotto.mpc.sharing import uint128
from tests.error_codes import raises_code

word = st.integers(0, MASK) | st.sampled_from([int(edge) for edge in EDGES])
number = st.builds(lambda low, high: low | high << 64, word, word)
seeds = st.integers(0, 2**32 - 1)


def pairs(planes):
    """Whole numbers (pairs, …) of planes."""
    return np.stack([integers_of(planes[at : at + 2]) for at in range(0, len(planes), 2)])


def require_equal(planes, expected):
    """``planes`` (2k, …) against whole numbers (k, …)."""
    assert planes.dtype == np.uint64
    assert planes.shape == (2 * len(expected), *expected.shape[1:])
    assert (pairs(planes) == expected % MODULUS).all()


# -- one element, any numbers ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(number, number), min_size=1, max_size=8))
def test_sums_and_differences_carry_and_borrow(drawn):
    left, right = (np.array(each, object) for each in zip(*drawn, strict=True))
    count = len(drawn)
    planes = [np.concatenate([planes_of(each, count), planes_of(each[::-1], count)]) for each in (left, right)]
    whole = [np.stack([each, each[::-1]]) for each in (left, right)]
    require_equal(uint128.add(*planes), whole[0] + whole[1])
    require_equal(uint128.subtract(*planes), whole[0] - whole[1])


@given(st.lists(st.tuples(number, word), min_size=1, max_size=8))
def test_scaling_and_sums_of_products(drawn):
    values, factors = (np.array(each, object) for each in zip(*drawn, strict=True))
    count = len(drawn)
    planes = np.concatenate([planes_of(values, count), planes_of(values + 1, count)])
    coefficients = factors.astype(np.uint64)
    require_equal(uint128.scale(planes, coefficients), np.stack([values * factors, (values + 1) * factors]))
    require_equal(uint128.scale(planes, int(factors[0])), np.stack([values, values + 1]) * factors[0])
    assert uint128.combine(coefficients, planes[:2]) == int(sum(values * factors)) % MODULUS


@given(st.integers(0, 3), st.booleans(), seeds)
def test_weighted_sums_of_rows(rows, more, seed):
    count, ones = 700, words(seed, 2)  # more than are summed together
    planes, factors = words(seed + 1, 4, rows, count), words(seed + 2, 1 + rows + more, count)
    last = words(seed + 3, 4, count) if more else None
    expected = factors[0].astype(object) * ones.astype(object)[:, None]
    for row in range(rows):
        expected = expected + pairs(planes)[:, row] * factors[1 + row].astype(object)
    if more:
        expected = expected + pairs(last) * factors[-1].astype(object)
    require_equal(uint128.weighted_sum(factors, planes, last, ones), expected)


@given(st.lists(st.tuples(number, number), min_size=1, max_size=8))
def test_inner_products_of_wide_numbers(drawn):
    left, right = (np.array(each, object) for each in zip(*drawn, strict=True))
    count = len(drawn)
    assert uint128.inner(planes_of(left, count), planes_of(right, count)) == int(sum(left * right)) % MODULUS


@given(number)
def test_constants_and_words_are_what_they_say(value):
    assert (integers_of(uint128.of_integer(value, (2, 3))) == value).all()
    assert uint128.of_integer(value, (2, 3)).shape == (2, 2, 3)
    assert uint128.of_integer(value + MODULUS).shape == (2,)
    assert integers_of(uint128.of_integer(value - MODULUS)) == value
    low = np.array([value & MASK], np.uint64)
    assert integers_of(uint128.of_words(low)) == value & MASK


# -- arrays ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2), st.lists(st.integers(1, 4), min_size=3, max_size=3), seeds)
def test_sums_over_an_axis(axis, shape, seed):
    planes = words(seed, 4, *shape)
    require_equal(uint128.total(planes, axis + 1), pairs(planes).sum(axis=axis + 1, keepdims=True))


def test_arrays_that_are_no_contiguous_blocks():
    planes = words(3, 4, 6, 5).transpose(0, 2, 1)[:, :, ::2]
    other = np.broadcast_to(words(4, 4, 1, 3), planes.shape)
    assert not planes.flags.c_contiguous
    require_equal(uint128.add(planes, other), pairs(planes) + pairs(other))
    require_equal(uint128.subtract(planes, other), pairs(planes) - pairs(other))
    factors = words(5, 5, 6)[:, ::2]
    require_equal(uint128.scale(planes, factors), pairs(planes) * factors.astype(object))
    require_equal(uint128.total(planes, 1), pairs(planes).sum(axis=1, keepdims=True))


def test_nothing_at_all_is_added_and_multiplied():
    none = np.empty((4, 0), np.uint64)
    assert uint128.add(none, none).shape == (4, 0)
    assert uint128.combine(none[0], none[:2]) == uint128.inner(none[:2], none[:2]) == 0


# -- products of layers ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(convolutions() | linears() | affines(), st.integers(1, 3), seeds)
def test_products_of_layers(drawn, batch, seed):
    layer, shape = drawn
    weight_shape = next(iter(layer.parameters.values()))
    weight, x = words(seed, 4, *weight_shape), words(seed + 1, batch, *shape)
    expected = [product(layer, each, x.astype(object)) for each in pairs(weight)]
    require_equal(uint128.product(layer, weight, x), np.stack(expected))

    public, planes = words(seed + 2, *weight_shape), words(seed + 3, 4, batch, *shape)
    expected = [product(layer, public.astype(object), each) for each in pairs(planes)]
    require_equal(uint128.public_product(layer, public, planes), np.stack(expected))


@settings(max_examples=60, deadline=None)
@given(convolutions() | linears() | affines(), st.integers(1, 3), seeds)
def test_weight_sums_are_the_transpose(drawn, batch, seed):
    """A combination of a product's elements is a combination of its weights."""
    layer, shape = drawn
    weight_shape = next(iter(layer.parameters.values()))
    weight, x = words(seed, 4, *weight_shape), words(seed + 1, batch, *shape)
    whole = uint128.product(layer, weight, x)
    coefficients = words(seed + 2, *whole.shape[1:])
    sums = uint128.weight_sums(layer, coefficients, x)
    assert sums.shape == (2, *weight_shape)
    for pair in (slice(0, 2), slice(2, 4)):
        assert uint128.inner(weight[pair], sums) == uint128.combine(coefficients.ravel(), whole[pair])
    unit = np.zeros(weight_shape, object)
    place = tuple(size // 2 for size in weight_shape)
    unit[place] = 1
    expected = int((product(layer, unit, x.astype(object)) * coefficients.astype(object)).sum()) % MODULUS
    assert integers_of(sums)[place] == expected


def test_a_layer_without_weights_is_no_product():
    none = np.zeros((4, 1, 1), np.uint64)
    for function in (uint128.product, uint128.weight_sums):
        with raises_code(BadType, "not-a-product"):
            function(ReLU(0), none, none)
    with raises_code(BadType, "not-a-product"):
        uint128.public_product(ReLU(0), none[0], none)


@pytest.mark.parametrize("edge", [0, 1, MASK])
def test_edges_of_words_in_every_place(edge):
    layer, count = Linear(0, 7, 3, False), 7
    weight = np.full((4, 3, count), edge, np.uint64)
    x = np.full((2, count), MASK, np.uint64)
    whole = edge | edge << 64
    require_equal(uint128.product(layer, weight, x), np.full((2, 2, 3), count * whole * MASK, object))
    require_equal(uint128.public_product(layer, weight[0], np.full((4, 2, count), MASK, np.uint64)),
                  np.full((2, 2, 3), count * edge * (MODULUS - 1), object))  # fmt: skip
