"""All but one seed: complete trees and punctured ones agree everywhere but at the hole."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from sotto.mpc.ot import punctured
from sotto.mpc.ot.punctured import complete, grow, punctured_bytes

SALT = secrets.token_bytes(16)


def transfers(count):
    keys = np.frombuffer(secrets.token_bytes(32 * count), np.uint8).reshape(count, 2, 16)
    choices = np.frombuffer(secrets.token_bytes(count), np.uint8) & 1
    return keys, choices, keys[np.arange(count), choices]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_every_seed_but_one_is_known(depth):
    trees = 12
    keys, choices, own = transfers(trees * depth)
    seeds, message = grow(keys, depth, SALT)
    assert len(message) == punctured_bytes(trees, depth)
    known, holes = complete(choices, own, depth, message, SALT)
    same = (seeds == known).all(axis=2)
    assert (same.sum(axis=1) == 2**depth - 1).all()
    assert not same[np.arange(trees), holes].any()
    assert (known[np.arange(trees), holes] == 0).all()


def test_the_hole_is_where_the_choices_do_not_point():
    keys, choices, own = transfers(40)
    _, holes = complete(choices, own, 4, grow(keys, 4, SALT)[1], SALT)
    expected = [int("".join(str(1 - bit) for bit in row), 2) for row in choices.reshape(-1, 4)]
    assert holes.tolist() == expected


def test_trees_grown_from_the_same_keys_differ():
    keys, _, _ = transfers(8)
    assert not (grow(keys, 4, SALT)[0] == grow(keys, 4, SALT)[0]).all(axis=2).any()


def test_equal_nodes_expand_apart_in_every_place_and_session():
    """So that a search for one node serves for no other."""
    node = np.zeros((3, 1, 16), np.uint8)
    every = [punctured._expanded(node, level, salt) for level in (0, 1) for salt in (SALT, bytes(16))]
    children = np.concatenate(every).reshape(-1, 16)
    assert len({bytes(child) for child in children}) == len(children) == 24
