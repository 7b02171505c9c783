"""Transfers in both directions over a link, started from base transfers alone."""

from __future__ import annotations

import numpy as np
import pytest
from parties import run_both

from sotto.link import BadValue, LinkError
from sotto.mpc.ot import establish
from sotto.mpc.ot.transfers import ALICE, BOB
from tests.error_codes import raises_code


def fits(choosing, offering):
    rows = np.arange(len(choosing.choices))
    return (np.stack([offering.first, offering.second])[choosing.choices, rows] == choosing.chosen).all()


@pytest.mark.parametrize("field_bits", [1, 2, 4, 8])
def test_supplies_fit_in_both_directions(field_bits):
    def side(rank, sizes):
        def run(link):
            transfers = establish(link, rank, field_bits=field_bits)
            return [transfers.supply(*size) for size in sizes]

        return run

    alice, bob = run_both(side(ALICE, [(700, 3), (0, 900)]), side(BOB, [(3, 700), (900, 0)]))
    for ours, theirs in zip(alice, bob, strict=True):
        assert fits(ours, theirs)
        assert fits(theirs, ours)


def test_supplies_fit_before_and_after_a_direction_goes_over_to_silent_extension():
    """Alice's direction does with the second supply, Bob's never; the third takes more than one round gives."""
    sizes = [(900, 10), (1000, 0), (800_001, 17), (3, 1000), (0, 5)]
    names = []

    def side(rank, sizes):
        def run(link):
            link.observer = lambda way, name, payload: names.append((rank, way, name, len(payload)))
            transfers = establish(link, rank, silent_from=1500)
            return [transfers.supply(*size) for size in sizes]

        return run

    alice, bob = run_both(side(ALICE, sizes), side(BOB, [size[::-1] for size in sizes]))
    for (own, peers), ours, theirs in zip(sizes, alice, bob, strict=True):
        assert len(ours.choices) == len(ours.chosen) == len(theirs.first) == own
        assert len(theirs.choices) == len(ours.second) == peers
        assert fits(ours, theirs)
        assert fits(theirs, ours)
    trees = [size for rank, way, name, size in names if (rank, way, name) == (BOB, "sent", "ot.trees")]
    assert trees == [244_800, 244_800]
    pads = np.concatenate([each for supply in bob for each in (supply.first, supply.second)])
    assert len(np.unique(pads[:, 0])) == len(pads)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""])
def test_trees_of_another_size_are_refused(change):
    def offering(link):
        transfers = establish(link, BOB, silent_from=0)
        exchange = link.exchange
        link.exchange = lambda name, payload, **kw: exchange(
            name, change(payload) if name == "ot.trees" else payload, **kw
        )
        transfers.supply(0, 100)

    with pytest.raises(LinkError):
        run_both(lambda link: establish(link, ALICE, silent_from=0).supply(100, 0), offering)


def test_two_sessions_share_no_pad():
    def both():
        return run_both(
            lambda link: establish(link, ALICE).supply(64, 64), lambda link: establish(link, BOB).supply(64, 64)
        )

    pads = [each for alice, bob in (both(), both()) for each in (alice.first, alice.second, bob.first, bob.second)]
    assert len({bytes(row) for row in np.concatenate(pads)}) == 8 * 64


def test_sides_that_differ_in_counts_or_parameters_fail_in_one_line():
    with pytest.raises(LinkError):
        run_both(lambda link: establish(link, ALICE, field_bits=4), lambda link: establish(link, BOB, field_bits=2))
    with pytest.raises(LinkError):
        run_both(lambda link: establish(link, ALICE).supply(5000, 0), lambda link: establish(link, BOB).supply(0, 10))


def test_an_unknown_field_is_refused():
    with raises_code(BadValue, "unknown-width"):
        establish(None, ALICE, field_bits=3)
