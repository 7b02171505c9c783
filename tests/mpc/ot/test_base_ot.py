"""Base transfers: the right keys, checked points, and choices that leave no trace in what is sent."""

from __future__ import annotations

import numpy as np
import pytest
from nacl import bindings
from parties import run_both

from sotto.link import FrameError
from sotto.mpc.ot import base_ot
from tests.error_codes import raises_code

COUNT = 128
SMALL_ORDER = bytes([1]) + bytes(31)  # the neutral element
NOT_IN_SUBGROUP = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8


@pytest.fixture(scope="module")
def transfers():
    return run_both(lambda link: base_ot.send(link, COUNT), lambda link: base_ot.receive(link, COUNT))


def test_the_receiver_gets_the_key_of_its_choice_and_not_the_other(transfers):
    both, (choices, chosen) = transfers
    rows = np.arange(COUNT)
    assert (both[rows, choices] == chosen).all()
    assert (both[rows, 1 - choices] != chosen).any(axis=1).all()


def test_keys_differ_from_one_another_and_from_run_to_run(transfers):
    both, _ = transfers
    again, _ = run_both(lambda link: base_ot.send(link, COUNT), lambda link: base_ot.receive(link, COUNT))
    assert len({bytes(key) for key in np.concatenate([both, again]).reshape(-1, 16)}) == 4 * COUNT


def test_choices_are_random(transfers):
    _, (choices, _) = transfers
    assert set(choices) == {0, 1}
    assert 32 < choices.sum() < 96  # missed by chance once in 10^8


def test_what_the_sender_sees_are_points_of_the_subgroup_for_either_choice():
    """The receiver's points for choice 1 minus the base point are points it might as well have sent for choice 0."""
    seen = {}

    def sender(link):
        link.observer = lambda way, name, payload: seen.setdefault(name, bytes(payload))
        return base_ot.send(link, COUNT)

    _, (choices, _) = run_both(sender, lambda link: base_ot.receive(link, COUNT))
    points = [seen["ot.choices"][32 * i : 32 * i + 32] for i in range(COUNT)]
    assert len(set(points)) == COUNT
    for point in points:
        assert bindings.crypto_core_ed25519_is_valid_point(point)
    low = np.array([point[0] & 1 for point in points])
    for choice in (0, 1):  # one bit of a uniform point says nothing of the choice
        assert 0.2 < low[choices == choice].mean() < 0.8


@pytest.mark.parametrize("point", [SMALL_ORDER, NOT_IN_SUBGROUP, bytes(32), b"\xff" * 32], ids=str)
def test_points_outside_the_group_are_refused_by_both_sides(point):
    with raises_code(FrameError, "not-a-point"):
        run_both(lambda link: link.send("ot.base", point), lambda link: base_ot.receive(link, COUNT))

    def bad_receiver(link):
        link.receive("ot.base", limit=32)
        link.send("ot.choices", point * COUNT)

    with raises_code(FrameError, "not-a-point"):
        run_both(lambda link: base_ot.send(link, COUNT), bad_receiver)


@pytest.mark.parametrize("size", [0, 31, 32 * COUNT - 32])
def test_another_number_of_choices_is_refused(size):
    def bad_receiver(link):
        link.receive("ot.base", limit=32)
        link.send("ot.choices", bytes(size))

    with raises_code(FrameError, "wrong-count"):
        run_both(lambda link: base_ot.send(link, COUNT), bad_receiver)
