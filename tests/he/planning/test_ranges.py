"""Worst cases are worst: no input in [-1, 1] goes beyond them, in the vector's own slots or behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.network.circuit import fold
from sotto.he.planning.ranges import Peak, headroom_bits, worst_case
from sotto.he.planning.slots import simulate


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    degree=st.sampled_from([2, 4, 6]),
    widths=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    corners=st.booleans(),
)
def test_no_input_exceeds_a_proved_bound(make_network, make_features, seed, degree, widths, corners):
    network = make_network(seed, tuple(widths), degree)
    circuit = fold(network)
    x = make_features(50, widths[0], seed)
    if corners:
        x = np.sign(x)
    slots = 64
    proved = worst_case(circuit)
    _, met = simulate(circuit, x, slots)
    mixed = sum(len(weight) for weight in circuit.weights) / slots
    assert len(proved) == len(met)
    for bound, peak in zip(proved, met, strict=True):
        assert peak.remaining == bound.remaining
        assert peak.own <= bound.magnitude(min(1.0, mixed)) * (1 + 1e-9)
    assert np.abs(network.logits(x)).max() <= proved[-1].own


def test_a_bound_is_reached_where_one_input_attains_it(make_network):
    network = make_network(3, (4, 1), 2)
    weight, bias = network.layers[0].weight, network.layers[0].bias
    bound = worst_case(fold(network))[-1].own
    assert bound == pytest.approx(np.abs(weight).sum() + abs(bias[0]), rel=1e-6)


def test_headroom_counts_what_the_levels_still_give():
    peaks = [Peak(2.0**40, 2.0**40, 2), Peak(2.0**5, 2.0**5, 0)]
    assert headroom_bits(peaks, 30, 0.1) == 5
    assert headroom_bits(peaks, 10, 0.1) == 20
    assert headroom_bits([Peak(2.0, 2.0**10, 0)], 30, 0.5) == pytest.approx(np.log2(1 + 2**9))
