"""The hash: the processor's instructions and OpenSSL agree; every block and every tweak count."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from sotto.link import BadValue
from sotto.mpc.ot import hashing
from tests.error_codes import raises_code


def blocks(count):
    return np.frombuffer(secrets.token_bytes(16 * count), np.uint64).reshape(count, 2)


@pytest.mark.parametrize("count", [0, 16, 48, 512, 4096, 4112, 3 * 4096])
@pytest.mark.parametrize("first", [0, 5, 2**63])
def test_both_implementations_agree(count, first):
    key, x = secrets.token_bytes(16), blocks(count)
    tweaks = np.arange(count, dtype=np.uint64) + np.uint64(first)
    assert (hashing.hashed(x, first, key) == hashing.hashed_by_openssl(x, tweaks, key)).all()


def test_without_aes_instructions_the_result_is_the_same(monkeypatch):
    key, x = secrets.token_bytes(16), blocks(64)
    expected = hashing.hashed(x, 9, key)
    monkeypatch.setattr(hashing, "aes_blocks", lambda: 0)
    assert (hashing.hashed(x, 9, key) == expected).all()


def test_equal_blocks_hash_apart_under_their_numbers_and_under_other_keys():
    key, x = secrets.token_bytes(16), np.repeat(blocks(1), 64, axis=0)
    every = np.concatenate([hashing.hashed(x, 0, key), hashing.hashed(x, 64, key), hashing.hashed(x, 0, bytes(16))])
    assert len({bytes(row) for row in every}) == 192


def test_the_difference_of_correlated_blocks_does_not_show():
    """H(x) + H(x + Delta) is another block for every x: about half of its bits are set."""
    key, x, delta = secrets.token_bytes(16), blocks(1024), blocks(1)
    sums = hashing.hashed(x, 0, key) ^ hashing.hashed(x ^ delta, 0, key)
    assert len({bytes(row) for row in sums}) == 1024
    assert abs(np.bitwise_count(sums).mean() - 32) < 1


def test_a_number_of_blocks_that_is_no_multiple_is_refused():
    with raises_code(BadValue, "wrong-number"):
        hashing.hashed(blocks(17), 0, bytes(16))


def test_every_so_many_blocks_go_through_aes_under_another_key():
    key, per_key = secrets.token_bytes(16), hashing.PER_KEY
    tweaks = np.arange(7, 7 + 3 * per_key, dtype=np.uint64)
    own = hashing._keys(tweaks, key)
    assert len({bytes(each) for each in own}) == 3
    x = np.repeat(blocks(16), 3 * per_key // 16, axis=0)
    found = hashing.hashed(x, 7, key)
    for number, each in enumerate(own):
        part = slice(number * per_key, (number + 1) * per_key)
        inner = hashing.permuted(x[part], each.tobytes())
        assert (found[part] == hashing.permuted(inner ^ tweaks[part, None], each.tobytes()) ^ inner).all()
