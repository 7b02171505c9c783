"""Residues against Python's integers; noise and masks as they are promised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sotto.link.secret_stream import SecretStream
from sotto.mpc.two_party.linear_layers import residues
from sotto.mpc.two_party.linear_layers.bfv import Parameters, Scheme

CHAINS = [Scheme(Parameters(48, large)).primes for large in (False, True)]


@pytest.fixture(params=CHAINS, ids=["small", "large"])
def primes(request):
    return request.param


def whole(y, primes):
    """r itself, by the definition."""
    q = math.prod(primes)
    return [sum(int(v) * (q // p) for v, p in zip(column, primes, strict=True)) % q for column in y.T]


def test_residues_are_those_of_one_number(primes):
    y = residues.uniform(SecretStream("test"), primes, 200)
    numbers = whole(y, primes)
    for row, prime in zip(residues.residues(y, primes), primes, strict=True):
        assert row.tolist() == [number % prime for number in numbers]


@pytest.mark.parametrize("bits", [8, 40, 53, 59])
def test_scaling_rounds_to_the_nearest_unit(primes, bits):
    y = residues.uniform(SecretStream("test"), primes, 2000)
    q = math.prod(primes)
    exact = [number * 2**bits / q if bits < 20 else (number << bits) // q for number in whole(y, primes)]
    scaled = residues.scaled(y, primes, bits).astype(object)
    wrong = [(int(s) - round(e) + 1) % 2**bits - 1 for s, e in zip(scaled, exact, strict=True)]
    assert set(wrong) <= {-1, 0, 1}
    if bits < 20:
        assert set(wrong) == {0}


def test_uniform_numbers_fill_their_range(primes):
    y = residues.uniform(SecretStream("test"), primes, 20000)
    for row, prime in zip(y, primes, strict=True):
        assert int(row.max()) < prime
        assert abs(float(row.mean()) / prime - 0.5) < 0.02
        counts = np.bincount((row // np.uint64(-(-prime // 16))).astype(np.int64), minlength=16)
        assert counts.min() > 1000  # 1,250 expected, missed by chance once in 10^11


def test_small_noise_is_centred_binomial(primes):
    noise = residues.small_noise(SecretStream("test"), primes, 50000)
    signed = np.stack([np.where(row > p // 2, row.astype(object) - p, row).astype(np.int64)
                       for row, p in zip(noise, primes, strict=True)])  # fmt: skip
    assert (signed == signed[0]).all()  # one number in all residues
    assert abs(signed[0]).max() <= 21
    assert abs(signed[0].mean()) < 0.1
    assert abs(signed[0].var() - 10.5) < 0.4


def test_ternary_numbers_are_uniform():
    drawn = residues.ternary(SecretStream("test"), 30000)
    assert len(drawn) == 30000
    counts = np.bincount(drawn + 1)
    assert len(counts) == 3
    assert counts.min() > 9500
