"""Plans hold the model's values, say how, and refuse what does not fit, because overflow is silent."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal as ts

from sotto.he.evaluation.contexts import secret_context
from sotto.he.evaluation.tenseal_evaluator import CiphertextArithmetic, TensealEvaluator
from sotto.he.network.circuit import fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.network.parameters import MAX_CHAIN_BITS, Parameters
from sotto.he.planning.calibration import MARGIN, MAX_LOGIT_ERROR
from sotto.he.planning.ranges import headroom_bits, worst_case
from sotto.he.planning.vector_planning import plan
from sotto.models.networks.mlp import Affine
from sotto.models.networks.polynomial import relu_polynomial
from tests.error_codes import raises_code


def scaled_head(network: PolynomialNetwork, factor: float) -> PolynomialNetwork:
    head = network.layers[-1]
    return PolynomialNetwork(
        (*network.layers[:-1], Affine(head.weight * factor, head.bias * factor)), network.polynomials
    )


@pytest.mark.parametrize(("degree", "ring_degree"), [(2, 8192), (4, 16384), (6, 16384)])
def test_the_papers_network_fits_the_smallest_ring(make_module, make_features, degree, ring_degree):
    network = PolynomialNetwork.of(make_module(1, (88, 100, 50, 8), degree))
    chosen = plan(network, make_features(100, 88))
    parameters = chosen.parameters
    assert parameters.ring_degree == ring_degree
    assert sum(parameters.chain) <= MAX_CHAIN_BITS[ring_degree]
    assert parameters.levels == fold(network).levels
    assert chosen.logit_error < MAX_LOGIT_ERROR


def test_degree_2_is_proved_without_calibration(make_module):
    network = PolynomialNetwork.of(make_module(1, (88, 100, 50, 8), 2))
    chosen = plan(network)
    assert chosen.proved
    assert chosen.logit_error is None
    peaks = worst_case(fold(network))
    needed = headroom_bits(peaks, chosen.parameters.scale_bits, 0.1)
    assert chosen.parameters.headroom_bits >= needed
    assert chosen.logit_bound == peaks[-1].own


def test_a_model_whose_worst_case_fits_nowhere_needs_calibration():
    """Two inputs that cancel in practice and not in the worst case, which two sixth powers then blow up."""
    one = np.ones((1, 1))
    layers = (Affine(np.array([[30.0, -30.0]]), np.zeros(1)), Affine(one, np.zeros(1)), Affine(one, np.zeros(1)))
    network = PolynomialNetwork(layers, (relu_polynomial(6),) * 2)
    with raises_code(ModelRefused, "no-parameters", match="pass calibration features"):
        plan(network)
    features = np.linspace(-0.9, 0.9, 40)[:, None] + np.array([[0.02, -0.01]])
    chosen = plan(network, features)
    assert not chosen.proved
    assert MAX_CHAIN_BITS[16384] >= sum(chosen.parameters.chain)
    assert 2.0**chosen.parameters.headroom_bits > MARGIN * np.abs(network.logits(features)).max()


def test_a_model_whose_logits_fit_nowhere_is_refused_with_the_reason(network, make_features):
    with raises_code(ModelRefused, "no-parameters", match=r"worst-case logits up to \S+ do not fit ring degree 8192"):
        plan(scaled_head(network, 1e150), make_features(20, 6))


def test_a_layer_too_wide_for_the_slots_is_refused(make_network):
    with raises_code(ModelRefused, "no-parameters", match=r"need \d+ slots, ring degree 8192 has 4096"):
        plan(make_network(0, (4000, 4000, 1000, 2), 2))


@pytest.mark.parametrize("features", [np.zeros((3, 5)), np.zeros(6), np.zeros((0, 6)), np.full((2, 6), np.nan)])
def test_calibration_features_that_do_not_fit_are_refused(network, features):
    with raises_code(ModelRefused, ("not-finite", "wrong-shape")):
        plan(network, features)


def test_a_proved_plan_survives_the_worst_input(network, make_features):
    """At the input and weights that come nearest to the bound the decrypted logits are still right."""
    large = scaled_head(network, 2000.0)
    chosen = plan(large)
    context = secret_context(chosen.parameters, threads=1)
    candidates = np.sign(make_features(4000, 6)).astype(np.float64)
    worst = candidates[np.abs(large.logits(candidates)).max(axis=1).argmax()]
    query = ts.ckks_vector(context, worst.tolist()).serialize()
    answer = TensealEvaluator(large, chosen.parameters, context).evaluate(query)
    logits = np.array(ts.ckks_vector_from(context, answer).decrypt())
    expected = large.logits(worst[None])[0]
    assert np.abs(expected).max() > chosen.logit_bound / 50
    np.testing.assert_allclose(logits, expected, atol=2000 * MAX_LOGIT_ERROR)


def test_overflow_is_silent_which_is_why_plans_exist(alice_context, parameters):
    """A value just under the headroom comes back, one well above it wraps around, and nothing complains."""
    room = 2.0**parameters.headroom_bits
    identity = PolynomialNetwork((Affine(np.array([[room / 2, 0], [0, room * 16]]), np.zeros(2)),), ())
    circuit = fold(identity, parameters.ratios[:1])
    vector = ts.ckks_vector(alice_context, [1.0, 0.0])
    arithmetic = CiphertextArithmetic(circuit, alice_context)
    fits = _at_the_last_level(arithmetic.affine(vector, 0), alice_context, parameters).decrypt()
    assert fits[0] == pytest.approx(room / 2, rel=1e-3)
    vector = ts.ckks_vector(alice_context, [1.0, 1.0])
    wraps = _at_the_last_level(arithmetic.affine(vector, 0), alice_context, parameters).decrypt()
    assert abs(wraps[1] - room * 16) > room


def _at_the_last_level(vector: ts.CKKSVector, context: ts.Context, parameters: Parameters) -> ts.CKKSVector:
    """Consume the remaining levels by products with one."""
    for _ in range(parameters.levels - 1):
        vector = vector * 1.0
    return vector
