"""Contexts and ciphertexts from the peer: nothing secret goes out, nothing malformed comes in."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal as ts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotto.he.evaluation.contexts import load_vector, public_context, public_material, secret_context
from sotto.he.evaluation.tenseal_evaluator import TensealEvaluator
from sotto.he.network.parameters import Parameters
from sotto.link import FrameError
from tests.error_codes import raises_code


def test_bobs_context_has_no_secret_key_and_cannot_decrypt(alice_context, bob_context):
    assert alice_context.has_secret_key()
    assert not bob_context.has_secret_key()
    assert bob_context.is_public()
    with pytest.raises(ValueError, match=r"Secret key|secret_key"):
        bob_context.secret_key()
    vector = ts.ckks_vector_from(bob_context, ts.ckks_vector(alice_context, [1.0, 2.0]).serialize())
    with pytest.raises(ValueError, match=r"Secret key|secret_key"):
        vector.decrypt()


SMALL = Parameters(8192, (50,), 1, 26, 38)  # of few primes, whose keys take a fraction of the time


@pytest.fixture(scope="module")
def small_context():
    return secret_context(SMALL, threads=1)


def test_only_material_serialised_without_the_secret_key_is_public(alice_context, material):
    private = alice_context.serialize(save_secret_key=True, save_galois_keys=False, save_relin_keys=False)
    public = alice_context.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False)
    assert len(private) > len(public)
    assert not ts.context_from(public, n_threads=1).has_secret_key()
    assert ts.context_from(private, n_threads=1).has_secret_key()
    assert not ts.context_from(material, n_threads=1).has_secret_key()


def test_material_with_a_secret_key_is_refused(small_context):
    with raises_code(FrameError, "secret-key-sent"):
        public_context(small_context.serialize(save_secret_key=True), SMALL, threads=1)


@pytest.mark.parametrize("left_out", ["save_galois_keys", "save_relin_keys", "save_public_key"])
def test_incomplete_material_is_refused(small_context, left_out):
    assert not public_context(public_material(small_context), SMALL, threads=1).has_secret_key()
    with raises_code(FrameError, "incomplete-keys"):
        public_context(small_context.serialize(**{left_out: False}), SMALL, threads=1)


def test_keys_for_other_parameters_are_refused(material):
    with raises_code(FrameError, "other-parameters"):
        public_context(material, Parameters(8192, (50,), 5, 26, 38), threads=1)


def test_another_scale_is_refused():
    other = ts.context(ts.SCHEME_TYPE.CKKS, SMALL.ring_degree, coeff_mod_bit_sizes=list(SMALL.chain), n_threads=1)
    other.global_scale = 2.0 ** (SMALL.scale_bits - 1)
    other.generate_galois_keys()
    with raises_code(FrameError, "other-parameters"):
        public_context(public_material(other), SMALL, threads=1)


@pytest.mark.parametrize("cut", [0, 1, 100, 100_000, -1])
def test_truncated_material_is_refused(material, parameters, cut):
    with pytest.raises(FrameError):
        public_context(material[:cut], parameters, threads=1)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_context(parameters, data):
    with pytest.raises(FrameError):
        public_context(data, parameters, threads=1)


@pytest.fixture(scope="module")
def evaluator(network, parameters, bob_context):
    return TensealEvaluator(network, parameters, bob_context)


@pytest.fixture(scope="module")
def query(alice_context):
    return ts.ckks_vector(alice_context, [0.5] * 6).serialize()


def test_an_honest_ciphertext_is_answered(evaluator, query, network, alice_context):
    logits = np.array(ts.ckks_vector_from(alice_context, evaluator.evaluate(query)).decrypt())
    np.testing.assert_allclose(logits, network.logits(np.full((1, 6), 0.5))[0], atol=1e-3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_ciphertext(evaluator, data):
    with pytest.raises(FrameError):
        evaluator.evaluate(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.one_of(st.integers(0, 250), st.integers(0, 10**9)), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_ciphertext_is_refused_or_answered_but_never_crashes(evaluator, query, position, bit, cut):
    data = bytearray(query)
    data[position % len(data)] ^= 1 << bit
    if cut:
        del data[position % len(data) :]
    try:
        answer = evaluator.evaluate(bytes(data))
    except FrameError:
        return
    assert answer  # damage inside the residues is another valid ciphertext


@pytest.mark.parametrize("length", [0, 5, 7, 4000])
def test_a_vector_of_another_length_is_refused(evaluator, alice_context, length):
    with pytest.raises(FrameError):
        evaluator.evaluate(ts.ckks_vector(alice_context, [0.5] * max(length, 1)).serialize())


def test_a_ciphertext_of_another_level_scale_or_context_is_refused(evaluator, alice_context, parameters):
    lower = ts.ckks_vector(alice_context, [0.5] * 6) * 1.0
    with raises_code(FrameError, "wrong-ciphertext"):
        evaluator.evaluate(lower.serialize())
    with raises_code(FrameError, "wrong-ciphertext"):
        evaluator.evaluate(ts.ckks_vector(alice_context, [0.5] * 6, 2.0**20).serialize())
    stranger = Parameters(8192, (50,), 5, 26, 38)
    assert stranger != parameters
    with pytest.raises(FrameError):
        evaluator.evaluate(ts.ckks_vector(secret_context(stranger, 1), [0.5] * 6).serialize())


def test_a_declared_scale_that_does_not_match_is_refused(evaluator, query):
    """Field 3 of the message, the last nine bytes, is the scale TenSEAL goes on with after the first product."""
    assert query[-9] == 0x19
    with pytest.raises(FrameError):
        evaluator.evaluate(query[:-8] + np.float64(2.0**20).tobytes())


def test_a_claimed_length_costs_nothing(evaluator, query):
    """Field 1 of the message is the length of the vector, which its sender chooses."""
    assert query[:3] == b"\x0a\x01\x06"
    with pytest.raises(FrameError):
        evaluator.evaluate(b"\x0a\x05\xff\xff\xff\xff\x0f" + query[3:])


def test_loading_an_answer_checks_its_shape(alice_context, evaluator, query, parameters):
    answer = evaluator.evaluate(query)
    scale, primes = 2.0**parameters.scale_bits, len(parameters.base)
    assert load_vector(alice_context, answer, size=3, primes=primes, scale=scale).size() == 3
    for wrong in ({"size": 4}, {"primes": primes + 1}, {"scale": scale / 2}):
        with raises_code(FrameError, "wrong-ciphertext"):
            load_vector(alice_context, answer, **{"size": 3, "primes": primes, "scale": scale, **wrong})
