"""The gate on authenticated shares: the same values as the semi-honest one, and every output with a right tag."""

import numpy as np
import pytest
from gate_values import edges, one_gate, range_of, require_relu, require_truncation, samples
from hypothesis import given, settings
from hypothesis import strategies as st
from malicious_parties import Dealt, words_of

from sotto.mpc.fss import comparison_gate, dcf
from sotto.mpc.graph.program import Compare, Truncate

FAST = [(2, 0), (9, 8), (33, 1), (41, 16), (48, 32), (62, 0), (62, 16)]


def through(gate, values, width, cut):
    """What both parties get from signed ``values`` (N,), signed; all tags verified on the way."""
    program = one_gate(gate, len(values), width, cut)
    step, dealt = program.steps[0], Dealt(program)
    words = values.view(np.uint64)
    gates = [bundle.gates[step.out] for bundle in dealt.bundles]
    masked = [keys.constant(words) + share.r for keys, share in zip(dealt.keys, gates, strict=True)]
    opened = words_of(dealt.secret, *masked)
    assert (opened == masked[0].words + masked[1].words).all()
    bits = None if gate is Truncate else signs(step, dealt, gates, opened)
    factors = comparison_gate.factors(step, opened, bits)
    out = []
    for keys, share in zip(dealt.keys, gates, strict=True):
        last = None if gate is Truncate else comparison_gate.last_row(step, share.r)
        out.append(keys.weighted_sum(factors, share.words, last))
    return words_of(dealt.secret, *out).view(np.int64)


def signs(step, dealt, gates, opened):
    """The opened bits of a comparison, their tags verified."""
    points = comparison_gate.compared(step, opened)
    tags = [
        dcf.evaluate_tags(points, step.depth, keys.delta, share.corrections, dealt.bundles[0].key, step.out) ^ share.e
        for keys, share in zip(dealt.keys, gates, strict=True)
    ]
    bits = ((tags[0] ^ tags[1])[:, 0] & np.uint64(1)).astype(np.uint8)
    proofs = [
        tag ^ bits.astype(np.uint64)[:, None] * keys.delta for tag, keys in zip(tags, dealt.keys, strict=True)
    ]  # fmt: skip
    assert (proofs[0] == proofs[1]).all()
    flipped = tags[0] ^ (1 - bits).astype(np.uint64)[:, None] * dealt.keys[0].delta
    assert (flipped != proofs[1]).any(axis=1).all()  # any single wrong bit shows
    return bits


@pytest.mark.parametrize(("width", "cut"), FAST)
def test_ten_thousand_values_are_compared(width, cut):
    values = samples(width, cut)
    require_relu(values, through(Compare, values, width, cut), cut)


@pytest.mark.parametrize(("width", "cut"), [(41, 16), (62, 1), (62, 46)])
def test_ten_thousand_values_are_truncated(width, cut):
    values = samples(width, cut)
    require_truncation(values, through(Truncate, values, width, cut), cut)


@pytest.mark.slow
@pytest.mark.parametrize("width", range(2, 63))
def test_ten_thousand_values_of_every_width(width):
    for cut in sorted({0, 1, 16, width // 2, width - 2} & set(range(width - 1))):
        values = samples(width, cut, seed=width)
        require_relu(values, through(Compare, values, width, cut), cut)
        if cut:
            require_truncation(values, through(Truncate, values, width, cut), cut)


@pytest.mark.parametrize("width", range(2, 63, 5))
def test_the_edges_of_every_width(width):
    for cut in sorted({0, min(16, width - 1)}):
        values = np.repeat(edges(width, cut), 16)  # each meets sixteen masks
        require_relu(values, through(Compare, values, width, cut), cut)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 62), st.data())
def test_any_values_of_any_width_and_cut(width, data):
    cut = data.draw(st.integers(0, width - 1))
    low, high = range_of(width, cut)
    values = np.array(data.draw(st.lists(st.integers(low, high), min_size=1, max_size=20)), np.int64)
    require_relu(values, through(Compare, values, width, cut), cut)
    if cut:
        require_truncation(values, through(Truncate, values, width, cut), cut)


def test_words_beyond_the_width_still_have_right_tags():
    """An Alice who leaves the declared range gets nonsense, and nothing that fails a check or is not masked."""
    values = np.array([1 << 40, -(1 << 61), (1 << 63) - 1, -(1 << 63)], np.int64).repeat(50)
    for cut in (0, 7):
        through(Compare, values, 20, cut)
        if cut:
            through(Truncate, values, 20, cut)
