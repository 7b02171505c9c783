import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from scipy.stats import kstest

from hashing.randomness import KeyStream


def test_the_seeded_stream_is_aes_in_counter_mode_under_an_hkdf_key():
    key = HKDF(SHA256(), 32, salt=None, info=b"sotto hashing 1 here").derive(b"integer:5")
    words = np.frombuffer(Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(32)), "<u8")
    expected = ((words >> np.uint64(11)).astype(float) + 0.5) / 2.0**53
    assert np.array_equal(KeyStream("here", 5).uniform(4), expected)


@pytest.mark.parametrize("draw", [KeyStream.uniform, KeyStream.normal])
def test_seeds_and_labels_separate_streams_and_calls_continue_them(draw):
    first = draw(KeyStream("a", 1), 8)
    assert np.array_equal(first, draw(KeyStream("a", 1), 8))
    for other in (KeyStream("b", 1), KeyStream("a", 2), KeyStream("a", "1"), KeyStream("a", b"1"), KeyStream("a")):
        assert not np.array_equal(first, draw(other, 8))
    stream = KeyStream("a", 1)
    assert np.array_equal(first, np.concatenate([draw(stream, 3), draw(stream, 5)]))


def test_without_a_seed_no_two_streams_agree():
    assert not np.array_equal(KeyStream("a").uniform(4), KeyStream("a").uniform(4))


def test_distributions():
    uniform, normal = KeyStream("u", 1).uniform(100_000), KeyStream("n", 1).normal(100_000)
    assert uniform.min() > 0
    assert uniform.max() < 1
    assert kstest(uniform, "uniform").pvalue > 0.001
    assert kstest(normal, "norm").pvalue > 0.001
