"""Shared comparisons come out as the plain ones do, for all widths, with tables that say nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from networks_of_two import words
from parties import run_both
from test_correlations import parts

from sotto.mpc.protocols.exact_messages import exchange_exactly
from sotto.mpc.two_party.gates import millionaires
from sotto.mpc.two_party.gates.correlations import unpacked
from sotto.mpc.two_party.gates.gate_sizes import Gate


def less(gate, alice, bob):
    """[alice < bob], jointly."""
    count = len(alice)
    hers, his, _ = parts(gate, count)
    flipped = millionaires.flips(gate, alice, hers.choices)
    shares = (words(2 * len(gate.leaves) * count) & np.uint64(1)).astype(np.uint8).reshape(2, -1, count)
    message = millionaires.tables(gate, bob, millionaires.masks(gate, his.pads, flipped), shares)
    assert len(message) == millionaires.tables_bytes(gate, count)
    opened = millionaires.open_tables(gate, alice, hers.pads, memoryview(message))

    def side(first, leaves, triples):
        return lambda link: millionaires.joined(
            gate, first, leaves, triples, lambda level, payload: exchange_exactly(link, level, payload)
        )

    one, two = run_both(side(True, opened, hers.triples), side(False, shares, his.triples))
    return unpacked(one ^ two, count)


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6, 9, 14, 27, 50])
def test_comparisons(width):
    gate, mask = Gate(60, 0, width, True), np.uint64((1 << (width - 1)) - 1)
    alice, bob = words(300) & mask, words(300) & mask
    bob[:100] = alice[:100]  # equal, and one apart either way, where it is hardest
    bob[100:150] = alice[100:150] + np.uint64(1) & mask
    bob[150:200] = alice[150:200] - np.uint64(1) & mask
    assert (less(gate, alice, bob) == (alice < bob)).all()


@pytest.mark.parametrize("width", [3, 5, 6])
def test_every_pair_of_short_numbers(width):
    numbers = np.arange(1 << (width - 1), dtype=np.uint64)
    alice, bob = np.repeat(numbers, len(numbers)), np.tile(numbers, len(numbers))
    assert (less(Gate(60, 0, width, True), alice, bob) == (alice < bob)).all()


def test_rows_that_alice_lacks_are_masked_each_by_its_own_bits():
    """With one number at Bob and all masks open, the 15 other rows of a table are uniform and independent bits."""
    gate, count = Gate(60, 0, 5, True), 4000
    hers, his, _ = parts(gate, count)
    alice = np.full(count, 6, np.uint64)
    flipped = millionaires.flips(gate, alice, hers.choices)
    masks = millionaires.masks(gate, his.pads, flipped)[0]
    opened = np.bitwise_xor.reduce(hers.pads, axis=0)
    assert ((masks ^ opened) >> np.uint32(12) & np.uint32(3) == 0).all()  # the row she may read
    known = masks ^ opened  # what she can take off
    rows = np.stack([known >> np.uint32(2 * row) & np.uint32(3) for row in range(16) if row != 6]).astype(np.uint8)
    bits = np.concatenate([rows & 1, rows >> 1]).astype(float)
    assert abs(bits.mean(axis=1) - 0.5).max() < 0.05
    correlations = np.corrcoef(bits) - np.eye(len(bits))
    assert abs(correlations).max() < 0.1
    fourfold = rows[0] ^ rows[1] ^ rows[2] ^ rows[3]  # sums of rows that share their pads do not cancel
    assert abs((fourfold & 1).mean() - 0.5) < 0.05


def test_what_bob_hears_of_alices_number_is_uniform():
    gate, count = Gate(60, 0, 27, True), 4000
    hers, _, _ = parts(gate, count)
    for number in (0, (1 << 26) - 1):
        flipped = millionaires.flips(gate, np.full(count, number, np.uint64), hers.choices)
        assert abs(flipped.mean(axis=1) - 0.5).max() < 0.05
