"""Triples of words from transfers, and the shapes of products of two secrets."""

from __future__ import annotations

import numpy as np
import pytest
from test_correlations import supplies

from sotto.link.secret_stream import SecretStream
from sotto.mpc.graph.layers import MatMul, Multiply
from sotto.mpc.graph.program import SecretProduct
from sotto.mpc.two_party.gates.correlations import Reader
from sotto.mpc.two_party.gates.gate_sizes import Multiplication
from sotto.mpc.two_party.gates.multiplication import TripleMaker, elements, factors, message_bytes, summed


def triples(size, count):
    """Both parties' triples, and their messages."""
    alice, bob = supplies(size.alice_chooses * count, size.bob_chooses * count)
    stream = SecretStream("test")
    one = TripleMaker(size, count, True, Reader(alice), stream)
    two = TripleMaker(size, count, False, Reader(bob), stream)
    messages = one.message, two.message
    return one.finish(memoryview(two.message)), two.finish(memoryview(one.message)), messages


@pytest.mark.parametrize("modulus", [1, 7, 46, 59, 64])
@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("count", [1, 50])
def test_shares_of_a_product(modulus, square, count):
    size, mask = Multiplication(modulus, square), np.uint64((1 << modulus) - 1)
    one, two, messages = triples(size, count)
    a, b, c = one.a + two.a, one.b + two.b, one.c + two.c
    assert ((a * b - c) & mask == 0).all()
    assert not square or ((a - b) & mask == 0).all()
    assert [len(each) for each in messages] == [message_bytes(size, count, first) for first in (True, False)]


def test_factors_and_messages_look_uniform():
    one, two, messages = triples(Multiplication(40, False), 3000)
    for words in (one.a, one.b, two.a, two.b, one.c, two.c):
        low = words & np.uint64((1 << 40) - 1)
        assert len(np.unique(low)) == 3000
        assert abs(np.bitwise_count(low).mean() - 20) < 0.4
    for message in messages:
        assert abs(np.unpackbits(np.frombuffer(message, np.uint8)).mean() - 0.5) < 0.01


@pytest.mark.parametrize(
    ("layer", "shapes", "expected"),
    [
        (Multiply(0, 1, 0.0), ((2, 3), (2, 3)), lambda x, y: x * y),
        (Multiply(0, 1, 0.0), ((2, 3), (2, 1)), lambda x, y: x * y),
        (MatMul(0, 1, 0.0), ((2, 3), (3, 4)), lambda x, y: x @ y),
        (MatMul(0, 1, 0.0), ((5, 2, 3), (5, 3, 1)), lambda x, y: x @ y),
    ],
)
def test_products_of_numbers_make_the_steps_output(layer, shapes, expected):
    rng = np.random.default_rng(3)
    x, y = (rng.integers(0, 100, (2, *shape)).astype(np.uint64) for shape in shapes)
    out = expected(x, y)
    step = SecretProduct("times1", (0, 1), 2, out.shape[1:], layer, shapes)
    left, right = factors(step, [x, y])
    assert left.size == right.size == 2 * elements(step)
    assert (summed(step, (left * right).ravel(), 2) == out).all()


def test_a_square_has_one_factor():
    step = SecretProduct("square1", (0, 0), 1, (4,), Multiply(0, 0, 0.0), ((4,), (4,)))
    assert step.square
    assert len(factors(step, [np.ones((1, 4), np.uint64)])) == 1
