"""Parameter sets: 128 bits or none at all, and the numbers other modules derive from them."""

from __future__ import annotations

import pytest
import tenseal as ts
import tenseal.sealapi as seal
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.network.parameters import MAX_CHAIN_BITS, Parameters, ParametersRefused, chain_primes
from tests.error_codes import raises_code


def test_the_security_table_is_seals():
    for ring_degree, bits in MAX_CHAIN_BITS.items():
        assert seal.CoeffModulus.MaxBitCount(ring_degree, seal.SEC_LEVEL_TYPE.TC128) == bits


def test_a_chain_beyond_the_table_is_refused():
    Parameters(8192, (50,), 5, 26, 38)
    with raises_code(ParametersRefused, "insecure"):
        Parameters(8192, (50,), 5, 26, 39)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.integers(-1, 70000), st.sampled_from(list(MAX_CHAIN_BITS))),
    st.lists(st.integers(-5, 70), max_size=5),
    st.integers(-2, 40),
    st.integers(-5, 70),
    st.integers(-5, 70),
)
def test_whatever_is_accepted_is_within_the_table(ring_degree, base, levels, scale_bits, special_bits):
    try:
        parameters = Parameters(ring_degree, tuple(base), levels, scale_bits, special_bits)
    except ParametersRefused:
        return
    assert sum(parameters.chain) <= MAX_CHAIN_BITS[ring_degree]
    assert parameters.headroom_bits >= 1
    assert all(20 <= bits <= 60 for bits in parameters.chain)


def test_ratios_come_from_the_primes_seal_takes(parameters):
    primes = [prime.value() for prime in seal.CoeffModulus.Create(parameters.ring_degree, list(parameters.chain))]
    levels = primes[len(parameters.base) : -1]
    assert [2.0**parameters.scale_bits / ratio for ratio in parameters.ratios] == pytest.approx(levels[::-1])


def test_the_digest_is_tenseals(parameters, alice_context):
    found = tuple(int(word) for word in alice_context.seal_context().data.key_parms_id())
    assert parameters.parms_id == found
    assert Parameters(8192, (50,), 5, 26, 38).parms_id != found


def test_size_limits_hold_what_is_really_sent(parameters, alice_context, material):
    assert parameters.key_bytes / 3 < len(material) <= parameters.key_bytes
    query = ts.ckks_vector(alice_context, [1.0] * 88).serialize()
    assert parameters.query_bytes / 3 < len(query) <= parameters.query_bytes
    assert parameters.answer_bytes < parameters.query_bytes


@given(st.sampled_from([4096, 8192, 16384]), st.lists(st.sampled_from([28, 30, 36, 40, 60]), min_size=1, max_size=9))
def test_the_primes_of_a_chain_are_those_seal_takes(ring_degree, chain):
    expected = tuple(prime.value() for prime in seal.CoeffModulus.Create(ring_degree, chain))
    assert chain_primes(ring_degree, tuple(chain)) == expected


def test_a_chain_without_enough_primes_is_refused():
    with raises_code(ParametersRefused, "no-primes"):
        _ = Parameters(32768, (40,), 20, 20, 20).ratios
