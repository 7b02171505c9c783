"""Transfers become what gates need: the relations hold for every element, and nothing is used for two things."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from sotto.mpc.ot import Supply
from sotto.mpc.two_party.gates.correlations import Reader, alice_gate, bob_gate, unpacked
from sotto.mpc.two_party.gates.gate_sizes import Gate


def supplies(alice_chooses, bob_chooses):
    """Ideal transfers, as a trusted third party would give them."""

    def direction(count):
        pads = np.frombuffer(secrets.token_bytes(32 * count), np.uint64).reshape(2, count, 2)
        choices = np.frombuffer(secrets.token_bytes(count), np.uint8) & 1
        return choices, pads[choices, np.arange(count)], pads

    (hers, her_pads, his_both), (his, his_pads, her_both) = direction(alice_chooses), direction(bob_chooses)
    return Supply(hers, her_pads, *her_both), Supply(his, his_pads, *his_both)


def parts(gate, count):
    alice, bob = supplies(gate.alice_chooses * count, gate.bob_chooses * count)
    hers = alice_gate(gate, count, Reader(alice))
    his, correction = bob_gate(gate, count, Reader(bob))
    return hers, his, correction


GATES = [Gate(46, 16, 27, True), Gate(50, 0, 50, True), Gate(44, 16, 2, True)]


@pytest.mark.parametrize("gate", GATES, ids=str)
@pytest.mark.parametrize("count", [1, 8, 61])
def test_triples_and_selections(gate, count):
    hers, his, correction = parts(gate, count)
    a, b, c = (x ^ y for x, y in ((hers.triples.a, his.triples.a), (hers.triples.b, his.triples.b),
                                  (hers.triples.c, his.triples.c)))  # fmt: skip
    assert a.shape[0] == sum(gate.levels)
    assert (c == (a & b)).all()
    one, two = hers.selection.complete(correction), his.selection
    beta = unpacked(one.bit ^ two.bit, count)
    assert (one.number + two.number == beta).all()
    assert (one.product + two.product == beta * (one.rho + two.rho)).all()
    if gate.extension:
        assert (hers.wrap_pad == np.where(hers.wrap_choice == 1, his.wrap_pads[1], his.wrap_pads[0])).all()
    else:
        assert hers.wrap_pad is None
    rows = np.where(hers.choices == 1, his.pads[1], his.pads[0])
    assert (rows == hers.pads).all()


def test_random_bits_are_random():
    hers, his, _ = parts(GATES[0], 4096)
    for bits in (
        hers.triples.a ^ his.triples.a,
        *(hers.triples.b ^ his.triples.b),
        hers.selection.bit ^ his.selection.bit,
    ):
        assert abs(np.bitwise_count(bits).mean() - 4) < 0.3
    assert len(np.unique(hers.selection.rho)) == len(np.unique(his.selection.rho)) == 4096


def test_every_transfer_is_used_once():
    """As many as counted, none left over, none taken twice."""
    for gate in [*GATES, Gate(50, 16, 30, False)]:
        alice, bob = supplies(gate.alice_chooses * 3, gate.bob_chooses * 3)
        readers = Reader(alice), Reader(bob)
        alice_gate(gate, 3, readers[0])
        bob_gate(gate, 3, readers[1])
        assert (readers[0]._own, readers[0]._peers) == (gate.alice_chooses * 3, gate.bob_chooses * 3)
        assert (readers[1]._own, readers[1]._peers) == (gate.bob_chooses * 3, gate.alice_chooses * 3)


def test_parts_show_nothing_of_themselves():
    hers, his, _ = parts(GATES[0], 3)
    assert "array" not in f"{hers} {his} {hers.triples} {hers.selection}"
