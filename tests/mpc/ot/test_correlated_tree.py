"""Trees with one place apart: against a walk by hand, and what the receiver's side says of it."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sotto.link import BadValue
from sotto.mpc.ot import correlated_tree
from sotto.mpc.ot.correlated_tree import complete, expanded, expanded_by_openssl, grow
from tests.error_codes import raises_code

TREES, DEPTH = 40, 6


def words(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape).copy()


def both(trees=TREES, depth=DEPTH):
    delta, roots, keys = words(2), words(trees, 2), words(trees, depth, 2)
    choices = (words(trees, depth) & np.uint64(1)).astype(np.uint8)
    leaves, sums = grow(delta, roots, keys)
    known = sums ^ choices[..., None] * delta
    return delta, choices, leaves, *complete(choices, known, keys)


@pytest.mark.parametrize("width", [1, 4, 16, 64])
def test_instructions_and_openssl_agree(width):
    nodes, keys = words(5, 128, 2), words(5, 2)
    expected = nodes.copy()
    expanded_by_openssl(expected, width, keys)
    expanded(nodes, width, keys)
    assert (nodes[:, : 2 * width] == expected[:, : 2 * width]).all()


def test_a_level_against_its_definition():
    node, key = words(1, 32, 2), words(1, 2)
    low, high = (int(word) for word in node[0, 0])
    mixed = high | (low ^ high) << 64
    permutation = Cipher(algorithms.AES(key.tobytes()), modes.ECB()).encryptor()  # noqa: S305
    hashed = int.from_bytes(permutation.update(mixed.to_bytes(16, "little")), "little")
    left = hashed ^ mixed
    expanded(node, 1, key)
    assert node[0, 0].tobytes() == left.to_bytes(16, "little")
    assert node[0, 1].tobytes() == (left ^ low ^ high << 64).to_bytes(16, "little")


@pytest.mark.parametrize("depth", [5, 6, 10])
@pytest.mark.parametrize("without", [False, True])
def test_parties_differ_by_delta_at_one_place_of_each_tree(depth, without, monkeypatch):
    if without:
        monkeypatch.setattr(correlated_tree, "aes_blocks", lambda: 0)
    delta, choices, hers, his, places = both(3 if without else TREES, depth)
    difference = hers ^ his
    assert (difference.any(axis=2).sum(axis=1) == 1).all()
    assert (difference[np.arange(len(places)), places] == delta).all()
    assert (places == ((1 - choices.astype(np.int64)) << np.arange(depth)).sum(axis=1)).all()


def test_every_level_sums_to_delta():
    delta, _, leaves, _, _ = both()
    assert (np.bitwise_xor.reduce(leaves, axis=1) == delta).all()


def test_leaves_look_uniform_and_places_are_spread():
    _, _, leaves, _, places = both(trees=2000)
    assert len({bytes(leaf) for leaf in leaves.reshape(-1, 2)}) == leaves.size // 2
    assert abs(np.bitwise_count(leaves).mean() - 32) < 0.1
    assert np.bincount(places, minlength=64).min() > 0


def test_trees_under_other_keys_or_roots_differ():
    delta, roots, keys = words(2), words(TREES, 2), words(TREES, DEPTH, 2)
    leaves = grow(delta, roots, keys)[0]
    for other in (grow(delta, words(TREES, 2), keys)[0], grow(delta, roots, words(TREES, DEPTH, 2))[0]):
        assert (leaves != other).any(axis=2).mean() > 0.99


def test_a_tree_of_too_few_levels_is_refused():
    with raises_code(BadValue, "too-few-levels"):
        both(depth=4)
