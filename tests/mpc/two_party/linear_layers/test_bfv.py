"""Encrypted products: right up to one unit, hidden from each side, within the noise that is claimed."""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
import tenseal.sealapi as seal

from sotto.link import FrameError
from sotto.mpc.two_party.gates.bit_packing import unpack
from sotto.mpc.two_party.linear_layers import residues
from sotto.mpc.two_party.linear_layers.bfv import (
    DEGREE,
    MAX_PLAIN_BITS,
    AliceKey,
    BobEvaluator,
    Parameters,
    Scheme,
    statistical_bits,
)
from tests.error_codes import raises_code

EVERYWHERE = np.arange(DEGREE)


class Parties:
    def __init__(self, bits, large):
        self.scheme = Scheme(Parameters(bits, large))
        self.alice = AliceKey(self.scheme)
        self.bob = BobEvaluator(self.scheme, self.alice.encrypt_zero())

    def product(self, a, weight, places=EVERYWHERE):
        """Alice's and Bob's share of a · weight."""
        prepared = self.bob.weight(weight)
        terms = [(self.bob.load(self.alice.encrypt(a)), prepared)] if prepared else []
        sent, share = self.bob.answer(terms, places)
        return self.alice.decrypt(sent, places), share


@pytest.fixture(scope="module", params=[(46, False), (53, False), (46, True), (59, True)], ids=str)
def parties(request):
    return Parties(*request.param)


def uniform(count=DEGREE):
    return np.frombuffer(secrets.token_bytes(8 * count), np.uint64)


def small_weights(count, bits=16):
    """A polynomial with ``count`` coefficients of so many bits, both signs, and odd: none is zero."""
    weight = np.zeros(DEGREE, np.int64)
    places = np.random.default_rng(5).choice(DEGREE, count, replace=False)
    weight[places] = ((uniform(count) >> np.uint64(63 - bits)).astype(np.int64) - (1 << bits)) | 1
    return weight.view(np.uint64)


def multiplied(a, weight):
    out = np.zeros(2 * DEGREE, np.uint64)
    for place in np.flatnonzero(weight):
        out[place : place + DEGREE] += a * weight[place]
    return out[:DEGREE] - out[DEGREE:]


def signed(words, bits):
    return (words << np.uint64(64 - bits)).view(np.int64) >> (64 - bits)


def test_shares_add_up_to_the_product_or_one_unit_off(parties):
    a, weight = uniform(), small_weights(300)
    hers, his = parties.product(a, weight)
    wrong = signed(hers + his - multiplied(a, weight), parties.scheme.parameters.bits)
    assert abs(wrong).max() <= 1
    if parties.scheme.parameters == Parameters(46, False):
        assert (wrong != 0).mean() < 0.01


def test_only_asked_results_come_back(parties):
    a, weight = uniform(), small_weights(50)
    places = np.array([3, 77, 8190])
    hers, his = parties.product(a, weight, places)
    wrong = signed(hers + his - multiplied(a, weight)[places], parties.scheme.parameters.bits)
    assert abs(wrong).max() <= 1


def test_a_weight_of_zero_gives_shares_of_zero(parties):
    hers, his = parties.product(uniform(), np.zeros(DEGREE, np.uint64))
    assert abs(signed(hers + his, parties.scheme.parameters.bits)).max() <= 1
    assert len(np.unique(hers)) > DEGREE // 2


def test_a_negative_weight_costs_no_more_noise_than_a_positive_one():
    """SEAL multiplies by a coefficient above half the modulus as by a negative number."""
    parties = Parties(46, False)
    budgets = []
    for sign in (1, -1):
        ciphertext, total = parties.bob.load(parties.alice.encrypt(uniform())), seal.Ciphertext()
        weight = (abs(small_weights(300).view(np.int64)) * sign).view(np.uint64)
        parties.scheme.evaluator.multiply_plain(ciphertext, parties.bob.weight(weight), total)
        parties.scheme.evaluator.transform_from_ntt_inplace(total)
        budgets.append(parties.alice._decryptor.invariant_noise_budget(total))
    assert abs(budgets[0] - budgets[1]) <= 1
    assert min(budgets) > 30


@pytest.mark.parametrize("large", [False, True])
def test_parameters_have_128_bits_of_security(large):
    """The table of the Homomorphic Encryption Standard allows 218 bits at this degree, all primes together."""
    parameters = Parameters(50, large)
    assert sum(parameters.chain) <= seal.CoeffModulus.MaxBitCount(DEGREE, seal.SEC_LEVEL_TYPE.TC128) == 218
    assert Scheme(parameters).context.parameters_set()


def test_the_smaller_chain_is_taken_where_it_does():
    assert [Parameters.least(bits).large for bits in (20, 53, 54, MAX_PLAIN_BITS)] == [False, False, True, True]


def noise_of(parties, terms):
    """What is left of an answer's phase without plaintext and mask: the noise, in units of the ciphertext modulus."""
    scheme, bob = parties.scheme, parties.bob
    drawn = []
    original = residues.uniform
    residues_uniform = lambda *args: drawn.append(original(*args)) or drawn[-1]  # noqa: E731
    shorten, scheme.shorten = scheme.shorten, lambda ciphertext: None
    answers, scheme.answers = scheme.answers, scheme.ciphertexts
    answer_primes, scheme.answer_primes = scheme.answer_primes, scheme.primes
    residues.uniform = residues_uniform
    try:
        sent, _ = bob.answer([(bob.load(c), bob.weight(w)) for c, w in terms], EVERYWHERE)
    finally:
        residues.uniform = original
        scheme.shorten, scheme.answers, scheme.answer_primes = shorten, answers, answer_primes
    q = math.prod(scheme.primes)
    words = unpack(sent, 2 * len(scheme.primes) * DEGREE, scheme.prime_bits).reshape(2, -1, DEGREE)
    mask = residues.residues(drawn[0], scheme.primes)
    for number, prime in enumerate(scheme.primes):
        words[0, number] = (words[0, number] + (np.uint64(prime) - mask[number])) % np.uint64(prime)
    unmasked = scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, words)
    return q / 2.0 ** (parties.alice._decryptor.invariant_noise_budget(unmasked) + 1 + scheme.parameters.bits)


@pytest.mark.parametrize("large", [False, True])
def test_the_noise_stays_below_what_hiding_counts_on(large):
    """The largest of 8,192 noise terms is a few times the deviation that the bound names, never above twelve."""
    parties = Parties(50, large)
    for count, bits in ((1, 3), (500, 16), (8000, 16)):
        weight = small_weights(count, bits)
        norm = float(np.linalg.norm(weight.view(np.int64).astype(float)))
        largest = noise_of(parties, [(parties.alice.encrypt(uniform()), weight)])
        claimed = 2.0 ** (
            sum(parties.scheme.parameters.chain[:-1]) - 50 - statistical_bits(Parameters(50, large), norm)
        )
        assert claimed / 4 < largest < 12 * claimed


def test_hiding_gets_weaker_with_weights_and_stronger_with_the_chain():
    small, large = Parameters(50, False), Parameters(50, True)
    assert statistical_bits(small, 2.0**20) == pytest.approx(120 - 50 - 20 - math.log2(10.6) / 2, abs=0.1)
    assert statistical_bits(small, 2.0**30) < statistical_bits(small, 2.0**20) < statistical_bits(large, 2.0**20)
    assert statistical_bits(small, 0.0) < 120 - 50


def test_what_alice_sees_does_not_show_the_weights():
    """Without Bob's zero her ciphertext's second half times the weight would come back; with it nothing like it."""
    parties = Parties(46, False)
    scheme, bob = parties.scheme, parties.bob
    weight = np.zeros(DEGREE, np.uint64)
    weight[0] = 1  # the plainest: times one
    sent = parties.alice.encrypt(uniform())
    own = scheme.ciphertexts.read(_from_ntt(scheme, bob.load(sent))).reshape(2, 2, DEGREE)
    seen = []
    for _ in range(2):
        ciphertext = bob.load(sent)
        answer, _ = bob.answer([(ciphertext, bob.weight(weight))], EVERYWHERE)
        halves = unpack(answer, 2 * DEGREE, scheme.prime_bits).reshape(2, DEGREE)
        seen.append(halves)
        ratio = own[1, 0].astype(float) / scheme.primes[0]
        for half in halves:
            correlation = np.corrcoef(ratio, half.astype(float) / scheme.primes[0])[0, 1]
            assert abs(correlation) < 6 / math.sqrt(DEGREE)
    assert not (seen[0] == seen[1]).any()  # the same product twice looks like two


def _from_ntt(scheme, ciphertext):
    scheme.evaluator.transform_from_ntt_inplace(ciphertext)
    return ciphertext


def test_shares_are_uniform_whatever_the_product():
    parties = Parties(46, False)
    weight = np.zeros(DEGREE, np.uint64)
    weight[0] = 1
    for share in parties.product(np.zeros(DEGREE, np.uint64), weight):
        top = (share & np.uint64((1 << 46) - 1)) >> np.uint64(42)
        assert np.bincount(top.astype(np.int64), minlength=16).min() > 380  # 512 expected


@pytest.mark.parametrize("size", [0, 100, -1, 1])
def test_ciphertexts_and_answers_of_another_size_are_refused(size):
    parties = Parties(46, False)
    fresh = parties.alice.encrypt_zero()
    answer, _ = parties.bob.answer([], EVERYWHERE)
    for data, read in ((fresh, parties.bob.load), (answer, lambda d: parties.alice.decrypt(d, EVERYWHERE))):
        wrong = data[:size] if size <= 100 and size != 1 else data + bytes(size)
        with pytest.raises(FrameError):
            read(wrong)


def test_what_is_no_ciphertext_is_refused():
    parties = Parties(46, False)
    fresh = parties.alice.encrypt_zero()
    with raises_code(FrameError, "malformed-ciphertext"):
        parties.bob.load(fresh[:SEED] + b"\xff" * (len(fresh) - SEED))
    with raises_code(FrameError, "malformed-ciphertext"):
        parties.alice.decrypt(b"\xff" * parties.scheme.answer_bytes(DEGREE), EVERYWHERE)


SEED = 64


def test_keys_show_nothing_of_themselves():
    parties = Parties(46, False)
    assert repr(parties.alice) == "<AliceKey>"
    assert repr(parties.bob) == "<BobEvaluator>"
