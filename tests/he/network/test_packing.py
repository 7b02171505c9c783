"""The packing against the network in the clear, slot by slot in numpy: no ciphertext, any widths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.network.circuit import ClearArithmetic, evaluate, fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.network.packing import InputLayout, pack
from sotto.he.planning.overflow import packed_logits
from sotto.models.networks.mlp import Affine
from sotto.models.networks.polynomial import relu_polynomial
from tests.error_codes import raises_code


def slot_values(packing, circuit, vector):
    """Every slot after every layer, by rolling arrays: an oracle that shares nothing with the program."""
    x = packing.layout.lay_out(vector, packing.slots)
    seen = []
    for index, layer in enumerate(packing.layers):
        total = np.zeros(packing.slots, complex)
        for diagonal in reversed(layer.diagonals):
            total = np.roll(total, -layer.horner) + (0 if diagonal is None else x * diagonal)
        for step in layer.sums:
            total = total + np.roll(total, -step)
        if layer.conjugate:
            total = total + total.conj()
        x = total + layer.bias
        seen.append(x)
        if index < len(circuit.activations):
            x = np.asarray(activated(circuit.activations[index], x))
    return seen


def activated(activation, w):
    if activation.degree == 2:
        return w**2
    inner = w**2 + activation.beta
    if activation.degree == 4:
        return inner**2 + activation.linear * w
    cubic = w * inner + activation.gamma
    return cubic**2 + activation.quadratic * inner + activation.linear * w


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    degree=st.sampled_from([2, 4, 6]),
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    slots=st.sampled_from([64, 128, 512, 4096]),
)
def test_any_widths_give_the_networks_logits(make_network, make_features, seed, degree, widths, slots):
    network = make_network(seed, tuple(widths), degree, size=0.7)
    circuit = fold(network)
    packing = pack(circuit, slots)
    x = make_features(1, widths[0], seed).astype(np.float64)
    final = slot_values(packing, circuit, x[0])[-1]
    expected = evaluate(circuit, x, ClearArithmetic(circuit))[0]
    found = packed_logits(final, packing.period, widths[-1], packing.paired)
    np.testing.assert_allclose(found, expected, atol=1e-8 * max(1.0, np.abs(expected).max()))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    slots=st.sampled_from([64, 512]),
)
def test_the_answers_slots_hold_logits_and_nothing_else(make_network, make_features, seed, widths, slots):
    """Alice decrypts all of them: every period of the answer is the same, and empty behind the logits."""
    network = make_network(seed, tuple(widths), 2, size=0.7)
    circuit = fold(network)
    packing = pack(circuit, slots)
    final = slot_values(packing, circuit, make_features(1, widths[0], seed)[0])[-1].reshape(-1, packing.period)
    scale = max(1.0, np.abs(final).max())
    np.testing.assert_allclose(final, np.broadcast_to(final[0], final.shape), atol=1e-9 * scale)
    outputs = (widths[-1] + 1) // 2 if packing.paired else widths[-1]
    assert packing.period >= (2 * outputs if packing.paired else outputs)
    np.testing.assert_allclose(final[0, outputs:], 0, atol=1e-9 * scale)


@pytest.mark.parametrize("slots", [4096, 8192])
def test_the_papers_network_takes_twenty_rotations_and_fourteen_keys(make_network, slots):
    packing = pack(fold(make_network(1, (88, 100, 50, 2), 2)), slots)
    assert [layer.kind for layer in packing.layers] == ["first", "spread", "collect"]
    assert packing.rotations == 20
    assert len(packing.steps) <= 14
    assert 0 in packing.steps  # conjugation


@pytest.mark.parametrize("widths", [(512, 512, 512, 8), (512, 16), (1, 512, 1), (511, 3, 512, 2)])
def test_wide_layers_fit(make_network, make_features, widths):
    network = make_network(3, widths, 2, size=0.5)
    circuit = fold(network)
    packing = pack(circuit, 4096)
    x = make_features(1, widths[0], 3).astype(np.float64)
    final = slot_values(packing, circuit, x[0])[-1]
    found = packed_logits(final, packing.period, widths[-1], packing.paired)
    np.testing.assert_allclose(found, evaluate(circuit, x, ClearArithmetic(circuit))[0], atol=1e-8)
    assert packing.rotations < 200


def test_features_lie_two_to_a_slot():
    layout = InputLayout(block=4, interleaved=1, pairs=2)
    slots = layout.lay_out(np.array([1.0, 2.0, 3.0]), 16)
    np.testing.assert_array_equal(slots[:4], np.full(4, 1 + 2j))
    np.testing.assert_array_equal(slots[4:8], np.full(4, 3 + 0j))
    np.testing.assert_array_equal(slots[8:], slots[:8])


def test_layers_that_cannot_be_packed_are_refused_with_the_reason(make_network):
    with raises_code(ModelRefused, "too-wide", match="widest layer has 100 units, a ciphertext has 64 slots"):
        pack(fold(make_network(0, (8, 100, 2), 2)), 64)
    dead = PolynomialNetwork(
        (Affine(np.zeros((3, 2)), np.ones(3)), Affine(np.ones((2, 3)), np.zeros(2))), (relu_polynomial(2),)
    )
    with raises_code(ModelRefused, "zero-layer"):
        pack(fold(dead), 64)


@pytest.mark.parametrize("dead", [(0, 1), (4, 5)])
def test_a_zero_diagonal_is_left_out(make_network, make_features, dead):
    """Two classes without weights share a slot; SEAL would refuse the product with it as transparent."""
    network = make_network(5, (8, 16, 30, 6), 2)
    head = Affine(network.layers[-1].weight.copy(), network.layers[-1].bias)
    head.weight[list(dead)] = 0
    circuit = fold(PolynomialNetwork((*network.layers[:-1], head), network.polynomials))
    packing = pack(circuit, 512)
    assert [diagonal is None for diagonal in packing.layers[-1].diagonals] == [0 in dead, False, 4 in dead]
    x = make_features(1, 8, 5).astype(np.float64)
    found = packed_logits(slot_values(packing, circuit, x[0])[-1], packing.period, 6, True)
    np.testing.assert_allclose(found, evaluate(circuit, x, ClearArithmetic(circuit))[0], atol=1e-8)
