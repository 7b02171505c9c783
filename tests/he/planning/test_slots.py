"""The plaintext twin of TenSEAL's vectors agrees with it in every slot, mixed-up ones included."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal as ts

from sotto.he.evaluation.tenseal_evaluator import CiphertextArithmetic
from sotto.he.network.circuit import evaluate, fold
from sotto.he.planning.slots import simulate


def all_slots(vector: ts.CKKSVector, context: ts.Context, slots: int) -> np.ndarray:
    """Decrypt a vector as if it were as long as the ciphertext: field 1 of the message is the length."""
    data = vector.serialize()
    assert data[0] == 0x0A
    length = bytes([slots & 0x7F | 0x80, slots >> 7])
    body = data[2 + data[1] :]
    return np.array(ts.ckks_vector_from(context, b"\x0a\x02" + length + body).decrypt())


@pytest.mark.parametrize("widths", [(6, 5, 4, 3), (3, 7, 2), (88, 3)])
def test_every_slot_is_simulated(make_network, make_features, alice_context, parameters, widths):
    network = make_network(2, widths, 2)
    if fold(network).levels > parameters.levels:
        pytest.fail("the session's chain is too short for this network")
    circuit = fold(network, parameters.ratios[: fold(network).levels])
    x = make_features(1, widths[0], 5)
    vector = ts.ckks_vector(alice_context, x[0].astype(float).tolist())
    result = evaluate(circuit, vector, CiphertextArithmetic(circuit, alice_context))
    found = all_slots(result, alice_context, parameters.slots)
    expected, _ = simulate(fold(network), x, parameters.slots)
    error = np.abs(found - expected[0])
    assert error[: network.classes].max() < 1e-3
    # Behind the vector's own slots the compensated ratios differ slightly, relative to the value.
    assert (error < 2e-3 * (1 + np.abs(expected[0]))).all()
    mixed = np.abs(expected[0] - np.tile(expected[0][: network.classes], parameters.slots)[: parameters.slots]) > 0.05
    assert mixed.any()
    assert not mixed[: parameters.slots - sum(widths[:-1])].any()
