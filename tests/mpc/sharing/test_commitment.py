"""Commitments: binding to one value, party and place; hiding until opened; coins that nobody chooses."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.mpc.sharing.commitment import NONCE_BYTES, commit, digest, opened

PLACE = b"coin" + bytes(24)
VALUE = bytes(range(32))


@given(st.binary(max_size=80), st.sampled_from([0, 1]), st.binary(max_size=40))
def test_an_honest_opening_gives_the_value(value, party, place):
    bound = commit(value, party, place)
    assert len(bound.commitment) == hashlib.sha256().digest_size
    assert opened(bytearray(bound.commitment), bytearray(bound.opening), party, place) == value


@given(st.binary(min_size=1, max_size=60), st.data())
def test_no_other_opening_is_taken(value, data):
    bound = commit(value, 1, PLACE)
    at = data.draw(st.integers(0, len(bound.opening) * 8 - 1))
    flipped = bytearray(bound.opening)
    flipped[at // 8] ^= 1 << at % 8
    assert opened(bound.commitment, flipped, 1, PLACE) is None
    for other in (bound.opening[:-1], bound.opening + b"\0", bound.opening[1:], b"", bound.opening[:NONCE_BYTES]):
        assert opened(bound.commitment, other, 1, PLACE) is None
    assert opened(bound.commitment, commit(value, 1, PLACE).opening, 1, PLACE) is None


def test_the_other_partys_commitment_sent_back_cannot_be_opened():
    bound = commit(VALUE, 0, PLACE)
    assert opened(bound.commitment, bound.opening, 1, PLACE) is None


@pytest.mark.parametrize("place", [b"", PLACE[:-1], PLACE + b"\0", b"sigma" + bytes(24)])
def test_a_commitment_holds_at_its_own_place_alone(place):
    bound = commit(VALUE, 1, PLACE)
    assert opened(bound.commitment, bound.opening, 1, place) is None


def test_a_commitment_hides_because_its_nonce_is_fresh():
    many = [commit(VALUE, 0, PLACE) for _ in range(100)]
    assert len({each.commitment for each in many}) == 100
    assert len({each.opening[:NONCE_BYTES] for each in many}) == 100
    assert all(VALUE not in each.commitment for each in many)
    assert NONCE_BYTES >= 32  # no search over nonces confirms a guess of the value


def test_what_is_hashed_cannot_be_split_elsewhere():
    """Lengths go in, so that no other purpose, place and data give the same bytes."""
    seen = {
        digest(*each)
        for each in [
            (b"coins", 0, b"ab", b"cd"), (b"coins", 0, b"abc", b"d"), (b"coins", 0, b"", b"abcd"),
            (b"coin", 0, b"sab", b"cd"), (b"coins", 1, b"ab", b"cd"), (b"bits", 0, b"ab", b"cd"),
        ]
    }  # fmt: skip
    assert len(seen) == 6


def test_a_wrong_commitment_of_any_length_is_refused_without_a_crash():
    bound = commit(VALUE, 0, PLACE)
    for commitment in (b"", bound.commitment[:-1], bound.commitment + b"\0", bytes(32)):
        assert opened(commitment, bound.opening, 0, PLACE) is None


def test_nothing_of_the_value_is_shown():
    assert "opening" not in repr(commit(VALUE, 0, PLACE))
