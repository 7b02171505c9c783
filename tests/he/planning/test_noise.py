"""The estimate of a logit's error holds against measured errors, and is not far from them."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal as ts

from sotto.he.evaluation.contexts import public_context, public_material, secret_context
from sotto.he.evaluation.tenseal_evaluator import TensealEvaluator
from sotto.he.network.circuit import fold
from sotto.he.network.network import PolynomialNetwork
from sotto.he.network.parameters import Parameters
from sotto.he.planning.calibration import MAX_LOGIT_ERROR
from sotto.he.planning.noise import DEVIATIONS, Noise, _switching, logit_error
from sotto.he.planning.vector_planning import plan


def measured(network, chosen, features, context):
    evaluator = TensealEvaluator(network, chosen.parameters, context)
    errors = []
    for x in features.astype(np.float64):
        answer = evaluator.evaluate(ts.ckks_vector(context, x.tolist()).serialize())
        logits = np.array(ts.ckks_vector_from(context, answer).decrypt())
        errors.append(np.abs(logits - network.logits(x[None])[0]).max())
    return max(errors)


def test_degree_2_stays_within_the_estimate_and_the_limit(make_module, make_features):
    network = PolynomialNetwork.of(make_module(4, (12, 8, 6, 4)))
    features = make_features(64, 12)
    chosen = plan(network, features)
    context = secret_context(chosen.parameters, threads=1)
    error = measured(network, chosen, features[:6], context)
    assert error <= chosen.logit_error <= MAX_LOGIT_ERROR
    assert chosen.logit_error < 30 * error


@pytest.mark.slow
@pytest.mark.parametrize("degree", [4, 6])
def test_higher_degrees_stay_within_the_estimate_and_the_limit(make_module, make_features, degree):
    network = PolynomialNetwork.of(make_module(4, (88, 100, 50, 8), degree))
    features = make_features(64, 88)
    chosen = plan(network, features)
    alice = secret_context(chosen.parameters)
    bob = public_context(public_material(alice), chosen.parameters)
    evaluator = TensealEvaluator(network, chosen.parameters, bob)
    for x in features[:3].astype(np.float64):
        answer = evaluator.evaluate(ts.ckks_vector(alice, x.tolist()).serialize())
        logits = np.array(ts.ckks_vector_from(alice, answer).decrypt())
        assert np.abs(logits - network.logits(x[None])[0]).max() <= chosen.logit_error <= MAX_LOGIT_ERROR


def test_key_switching_is_noisiest_in_the_first_slots():
    """With a special prime far below the base prime the effect is visible: slot 0 against the thousands behind."""
    parameters = Parameters(8192, (54,), 3, 27, 28)
    spread, by_slot = _switching(parameters)
    errors = []
    for _ in range(16):  # keys, because a key's own error stays the same in every switching
        context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=list(parameters.chain), n_threads=1)
        context.global_scale = 2.0**27
        squared = ts.ckks_vector(context, [1.0] * parameters.slots).square()
        errors.append(np.array(squared.decrypt()) - parameters.ratios[0])
    deviation = np.sqrt(np.mean(np.square(errors), axis=0))
    first, others = deviation[0], np.sqrt(np.mean(deviation[1000:2000] ** 2))
    assert 0.5 < first / np.sqrt(spread + by_slot[0]) < 2
    assert 0.5 < others / np.sqrt(spread + by_slot[1000:2000].mean()) < 2
    assert first > 10 * others


def test_more_noise_is_estimated_for_a_smaller_scale(network, make_features):
    features = make_features(10, 6)
    circuit = fold(network)
    quiet, loud = Parameters(8192, (45,), 5, 28, 30), Parameters(8192, (45,), 5, 24, 30)
    assert logit_error(circuit, loud, features) > 8 * logit_error(circuit, quiet, features)
    assert DEVIATIONS >= 6
    assert Noise(circuit, quiet).rescaling > Noise(circuit, quiet).encoding
