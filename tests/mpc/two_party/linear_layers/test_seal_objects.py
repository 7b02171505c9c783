"""Objects of SEAL's made from arrays: the same coefficients again, and nothing that SEAL would not take."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
import tenseal.sealapi as seal

from sotto.link import BadValue, FrameError
from sotto.mpc.two_party.linear_layers.bfv import DEGREE, Parameters, Scheme
from sotto.mpc.two_party.linear_layers.seal_objects import SEED_BYTES
from tests.error_codes import raises_code


@pytest.fixture(scope="module", params=[False, True], ids=["small", "large"])
def scheme(request):
    return Scheme(Parameters(50, request.param))


def below(scheme, count):
    rows = [np.frombuffer(secrets.token_bytes(8 * count), np.uint64) % np.uint64(prime) for prime in scheme.primes]
    return np.stack(rows)


def test_plaintexts_come_back(scheme):
    words = np.frombuffer(secrets.token_bytes(8 * DEGREE), np.uint64) & np.uint64((1 << 50) - 1)
    assert (scheme.plaintexts.read(scheme.plaintext(words)) == words).all()


def test_ciphertexts_come_back(scheme):
    words = np.stack([below(scheme, DEGREE), below(scheme, DEGREE)])
    ciphertext = scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, words)
    assert (scheme.ciphertexts.read(ciphertext) == words.ravel()).all()


def test_a_seed_gives_the_second_half(scheme):
    words, seed = below(scheme, DEGREE), secrets.token_bytes(SEED_BYTES)
    loaded = [scheme.fresh.fill(seal.Ciphertext(), scheme.context, words, s) for s in (seed, seed, bytes(SEED_BYTES))]
    halves = [scheme.ciphertexts.read(each).reshape(2, -1) for each in loaded]
    assert all((each[0] == words.ravel()).all() for each in halves)
    assert (halves[0][1] == halves[1][1]).all()
    assert not (halves[0][1] == halves[2][1]).any()


@pytest.mark.parametrize("word", [2**60, 2**64 - 1])
def test_coefficients_at_or_above_their_modulus_are_refused(scheme, word):
    words = np.stack([below(scheme, DEGREE), below(scheme, DEGREE)])
    words[1, -1, 17] = word
    with raises_code(FrameError, "malformed-ciphertext"):
        scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, words)
    words[1, -1, 17] = scheme.primes[-1]
    with raises_code(FrameError, "malformed-ciphertext"):
        scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, words)


def test_another_number_of_coefficients_is_a_mistake_of_ours(scheme):
    with raises_code(BadValue, "other-number"):
        scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, np.zeros(5, np.uint64))
    with raises_code(BadValue, "other-kind"):
        scheme.ciphertexts.read(scheme.plaintext(np.zeros(DEGREE, np.uint64)))
