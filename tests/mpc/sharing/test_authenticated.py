"""Authenticated shares: what is done to them is done to value and tag alike."""

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malicious_parties import MASK, MODULUS, integers_of, planes_of, shared, uniform, value_of
from word_layers import affines, convolutions, linears, words
from word_layers import product as product_of

from sotto.mpc.protocols.malicious.preprocessing import SessionSecret
from sotto.mpc.sharing import uint128
from sotto.mpc.sharing.authenticated import Authenticated, Product, opened_minus

SECRET = SessionSecret.of(secrets.token_bytes(32))
number = st.integers(0, MODULUS - 1)
word = st.integers(0, MASK) | st.sampled_from([0, 1, MASK])


@given(st.lists(st.tuples(number, number, word), min_size=1, max_size=6))
def test_shares_are_linear(drawn):
    left, right, factors = (np.array(each, object) for each in zip(*drawn, strict=True))
    pairs = list(zip(shared(SECRET, left), shared(SECRET, right), strict=True))
    words_ = factors.astype(np.uint64)
    assert (value_of(SECRET, *(a + b for a, b in pairs)) == (left + right) % MODULUS).all()
    assert (value_of(SECRET, *(a - b for a, b in pairs)) == (left - right) % MODULUS).all()
    assert (value_of(SECRET, *(a * words_ for a, _ in pairs)) == left * factors % MODULUS).all()
    assert (value_of(SECRET, *(b * int(factors[0]) for _, b in pairs)) == right * factors[0] % MODULUS).all()


@given(st.lists(word, min_size=1, max_size=6))
def test_public_words_become_shares_with_tags(drawn):
    constant = np.array(drawn, np.uint64)
    halves = [keys.constant(constant) for keys in SECRET.keys]
    assert (value_of(SECRET, *halves) == constant.astype(object)).all()
    assert not halves[1].planes[:2].any()  # party 0 alone adds it
    wider = [keys.constant(constant, (3, len(drawn))) for keys in SECRET.keys]
    assert (value_of(SECRET, *wider) == np.broadcast_to(constant.astype(object), (3, len(drawn)))).all()


@given(st.lists(st.tuples(word, number), min_size=1, max_size=6))
def test_an_opened_word_minus_its_mask_is_the_value(drawn):
    opened, mask = (np.array(each, object) for each in zip(*drawn, strict=True))
    halves = [
        opened_minus(keys, opened.astype(np.uint64), half)
        for keys, half in zip(SECRET.keys, shared(SECRET, mask), strict=True)
    ]
    assert (value_of(SECRET, *halves) == (opened - mask) % MODULUS).all()


def test_sums_over_axes_and_rearrangements():
    values = uniform(2, 3, 4)
    halves = shared(SECRET, values)
    for axis, keepdims in ((1, True), (2, False), ((1, 2), True), ((0, 2), False)):
        expected = values.sum(axis=axis, keepdims=keepdims) % MODULUS
        assert (value_of(SECRET, *(half.sum(axis=axis, keepdims=keepdims) for half in halves)) == expected).all()
    moved = [half.rearranged(lambda x, y: np.concatenate([x[:, ::-1], y], axis=1), half) for half in halves]
    assert (value_of(SECRET, *moved) == np.concatenate([values[:, ::-1], values], axis=1)).all()
    assert len(halves[0]) == 2
    assert halves[0].shape == (2, 3, 4)


def test_the_low_half_of_a_share_is_a_share_modulo_2_to_the_64():
    values = uniform(50)
    first, second = shared(SECRET, values)
    assert (first.words + second.words == (values & MASK).astype(np.uint64)).all()
    assert (first.opening == first.planes[:2]).all()
    assert (integers_of(uint128.add(first.opening, second.opening)) == values).all()


def test_the_check_of_tags_used_here_sees_a_wrong_share():
    """The oracle of these tests is no rubber stamp."""
    first, second = shared(SECRET, [5, 6, 7])
    for plane in range(4):
        planes = first.planes.copy()
        planes[plane, 1] += np.uint64(1)
        with pytest.raises(AssertionError):
            value_of(SECRET, Authenticated(planes), second)


@settings(max_examples=40, deadline=None)
@given(convolutions() | linears() | affines(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_lazy_product_is_the_product(drawn, batch, seed):
    layer, shape = drawn
    weight_shape = next(iter(layer.parameters.values()))
    given_ = words(seed, batch, *shape)
    weights = uniform(*weight_shape)
    expected = product_of(layer, weights, given_.astype(object))
    added = uniform(*expected.shape)
    halves = [
        Product(layer, w, given_, a)
        for w, a in zip(shared(SECRET, weights), shared(SECRET, added), strict=True)
    ]  # fmt: skip
    whole = [half.full() for half in halves]
    assert (value_of(SECRET, *whole) == (expected + added) % MODULUS).all()
    coefficients = words(seed + 1, expected.size)
    for half, full in zip(halves, whole, strict=True):
        assert (half.opening == full.opening).all()
        assert half.tags(coefficients) == full.tags(coefficients)
        tags = integers_of(full.planes[2:]).ravel()
        assert full.tags(coefficients) == int((tags * coefficients.astype(object)).sum()) % MODULUS


def test_nothing_of_a_share_or_a_key_is_shown():
    first, _ = shared(SECRET, [1234567])
    numbers = [str(int(plane[0])) for plane in first.planes]
    keys = SECRET.keys[0]
    lazy = Product(None, first, first.words, first)
    for text in map(str, (first, keys, SECRET, lazy)):
        assert not any(each in text for each in [*numbers, str(keys.alpha), str(int(keys.delta[1]))])
        assert "array" not in text


def test_planes_of_a_number_are_its_halves():
    assert [int(each[0]) for each in planes_of([(7 << 64) + 9], 1)] == [9, 7]
