"""Comparisons in three digits: right whichever digit decides, and no more said than whole keys say."""

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadType
from sotto.mpc.fss import dcf, digits
from sotto.mpc.graph.program import Compare, Spline, Winner
from tests.error_codes import raises_code

KEY = bytes(range(16))


def uniform(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def gate(values, width, cut):
    """The gate's output for signed ``values``, and the bits as they are opened, (5, N)."""
    step = Compare("gate", (0,), 1, values.shape, width, cut)
    assert digits.suits(step)
    count = len(values)
    r, pads = [uniform(2, count).sum(axis=0) for _ in range(2)], uniform(digits.rows(step), count)
    e = [np.frombuffer(secrets.token_bytes(5 * count), np.uint8) & 1 for _ in range(2)]
    table, roots = uniform(count, digits.table_words(step)), uniform(2, count, 2)
    mask = r[0] + r[1]
    words = pads, digits.correlated(step, mask, e[0] ^ e[1], pads)
    tables = table, digits.tables(step, mask, table)
    width_of_key = digits.high_bits(step)
    corrections = dcf.generate_bits(digits.high(step, mask), width_of_key, roots, KEY, 1)
    opened = values.view(np.uint64) + mask
    shares = []
    for party in (0, 1):
        high = digits.high(step, opened)
        key_bits = [
            dcf.evaluate_bits(party, at, width_of_key, roots[party], corrections, KEY, 1)
            for at in (high, high - np.uint64(1))
        ]
        key_bits = key_bits if digits.keyed(step) else []
        shares.append(digits.shares_of_bits(step, party, opened, key_bits, tables[party], e[party]))
    bits = shares[0] ^ shares[1]
    own = [None if cut else each for each in r]
    out = [digits.selected(step, party, opened, bits, own[party], words[party]) for party in (0, 1)]
    return (out[0] + out[1]).view(np.int64), bits.reshape(digits.OPENED, -1)


@pytest.mark.parametrize(
    ("width", "cut"), [(21, 0), (26, 0), (37, 16), (44, 16), (45, 16), (46, 16), (46, 3), (62, 0), (62, 16)]
)
def test_whichever_digit_decides(width, cut):
    """Differences of one unit of each digit, up and down, so that the digits above are equal."""
    units = [0, 1, 511, 512, 513, 1 << 17, (1 << 18) - 1, 1 << 18, (1 << 18) + 1]
    near = [sign * (unit << cut) + off for unit in units for sign in (1, -1) for off in (-1, 0, 1)]
    top = (1 << (width - 1)) - max(1, 1 << cut if cut else 1)
    values = np.repeat(np.array([each for each in near if abs(each) <= top], np.int64), 64)
    result, bits = gate(values, width, cut)
    expected = np.maximum(values >> cut, 0)
    assert np.abs(result - expected).max() <= (1 if cut else 0)
    assert np.abs(bits.mean(axis=1) - 0.5).max() < 6 * 0.5 / np.sqrt(bits.shape[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(21, 62), st.integers(0, 16), st.data())
def test_any_values(width, cut, data):
    if width - 1 - cut < 20:
        cut = 0
    top = (1 << (width - 1)) - max(1, 1 << cut if cut else 1)
    values = np.array(data.draw(st.lists(st.integers(-top, top), min_size=1, max_size=20)), np.int64)
    result, _ = gate(values, width, cut)
    assert np.abs(result - np.maximum(values >> cut, 0)).max() <= (1 if cut else 0)


def test_a_gate_that_cuts_nothing_needs_the_share_of_its_mask():
    step, nothing = Compare("gate", (0,), 1, (0,), 46, 0), np.empty(0, np.uint64)
    with raises_code(BadType, "no-mask"):
        digits.selected(step, 0, nothing, np.empty(0, np.uint8), None, np.empty((digits.rows(step), 0), np.uint64))


def test_what_the_digits_are_for():
    def compare(width, cut):
        return Compare("gate", (0,), 1, (4,), width, cut)

    assert digits.suits(compare(46, 16))
    assert digits.keyed(compare(45, 16))
    assert not digits.keyed(compare(44, 16))  # 9 bits above the low 18: a table is shorter
    assert [digits.table_words(compare(width, 16)) for width in (37, 42, 44, 45)] == [17, 18, 24, 16]
    assert not digits.suits(compare(30, 16))  # too short to gain by it
    assert not digits.suits(compare(60, 17))  # what is cut would not fit
    assert not digits.suits(Winner("argmax", (0,), 1, (1,), 46, 0, 2))
    assert not digits.suits(Spline("spline", (0,), 1, (1,), 46, 16, 0, 1, ((0, 1, 0),)))


@pytest.mark.parametrize("width", [44, 46])
def test_tables_and_words_look_uniform_whatever_r(width):
    """With the other party's stream taken off, nothing of r shows."""
    step = Compare("gate", (0,), 1, (4000,), width, 16)
    for r in (np.zeros(4000, np.uint64), np.full(4000, 2**64 - 1, np.uint64)):
        e = np.zeros(digits.OPENED * len(r), np.uint8)
        tables = digits.tables(step, r, uniform(len(r), digits.table_words(step)))
        words = digits.correlated(step, r, e, uniform(digits.rows(step), len(r)))
        for array in (tables, *words):
            counts = np.bincount(np.frombuffer(array.tobytes(), np.uint8), minlength=256)
            expected = counts.sum() / 256
            assert ((counts - expected) ** 2 / expected).sum() < 450  # 255 degrees of freedom
