import hashlib
import hmac
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sotto.link import BadValue
from sotto.link.secret_stream import SecretStream
from tests.error_codes import raises_code


def test_a_seed_repeats_and_its_type_and_label_count():
    def first(seed, label="a"):
        return SecretStream(label, seed).bytes(32)

    assert first(1) == first(1)
    assert len({first(1), first(2), first("1"), first(b"1"), first(1, "b"), first(None), first(None)}) == 7


def test_known_first_bytes():
    """HKDF-SHA256 (RFC 5869) into AES-256-CTR, from their parts, so that old seeds stay valid."""
    extracted = hmac.digest(bytes(32), b"integer:7", "sha256")
    key = hmac.digest(extracted, b"sotto rom 3 1" + b"\x01", hashlib.sha256)
    # ECB of successive counters is what counter mode is.
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    expected = block.update(b"".join(i.to_bytes(16, "big") for i in range(3)))
    assert SecretStream("rom 3 1", 7).bytes(48) == expected


@settings(deadline=None)
@given(bound=st.integers(1, 10**9), seed=st.integers(0, 2**64))
def test_below_stays_below(bound, seed):
    assert 0 <= SecretStream("t", seed).below(bound) < bound


def test_below_has_no_modulo_bias():
    """With a bound of 3 · 2^6 = 192 of 256, a remainder would make the first 64 values twice as likely."""
    stream = SecretStream("t", 1)
    counts = np.bincount([stream.below(192) for _ in range(192 * 100)], minlength=192)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_bits_are_fair_and_independent():
    bits = SecretStream("t", 2).bits(200_001)
    assert bits.shape == (200_001,)
    assert set(np.unique(bits)) == {0, 1}
    pairs = np.bincount(2 * bits[:-1:2] + bits[1::2], minlength=4)
    assert stats.chisquare(pairs).pvalue > 1e-4


def test_normal_numbers_are_normal():
    values = SecretStream("t", 3).normal(100_001)
    assert values.shape == (100_001,)
    assert np.isfinite(values).all()
    assert stats.kstest(values, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(values[:50_000], values[50_000:100_000])[0, 1]) < 0.02


def test_uniform_numbers_are_uniform_and_never_at_the_ends():
    values = SecretStream("t", 4).uniform(100_000)
    assert 0 < values.min() < values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-4


def test_nothing_below_zero():
    with raises_code(BadValue, "out-of-range"):
        SecretStream("t").below(0)


def test_a_forked_process_gives_out_other_bytes_than_its_parent():
    stream, seeded = SecretStream("fork"), SecretStream("fork", seed=7)
    stream.bytes(5)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, stream.bytes(32) + seeded.bytes(32))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        child = pipe.read(64)
    os.waitpid(pid, 0)
    assert child[:32] != stream.bytes(32)
    assert child[32:] == seeded.bytes(32)  # a seed is a wish for the same bytes everywhere
