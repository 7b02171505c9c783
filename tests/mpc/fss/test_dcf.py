"""The comparison keys, as the protocol uses them: right at every point, and nothing to see in one of the two."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadValue
from sotto.mpc.fss import dcf, dcf_reference
from tests.error_codes import raises_code

FULL = 2**64 - 1
GATE = 7


@pytest.fixture(params=["this processor's", "reference"])
def _backend(request, monkeypatch):
    if request.param == "reference":
        monkeypatch.setattr(dcf, "_backend", lambda: dcf_reference)


def uniform(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def compared_bits(alpha, points, width):
    roots, key = uniform(2, alpha.size, 2), secrets.token_bytes(16)
    corrections = dcf.generate_bits(alpha, width, roots, key, GATE)
    assert corrections.shape == (dcf.bit_planes(width), alpha.size, 2)
    first, second = (dcf.evaluate_bits(i, points, width, roots[i], corrections, key, GATE) for i in (0, 1))
    assert first.dtype == np.uint8
    assert first.max(initial=0) <= 1
    return first ^ second


def halves():
    """Both halves of an odd delta."""
    deltas = uniform(2, 2).copy()
    deltas[1, 0] ^= ~(deltas[0, 0] ^ deltas[1, 0]) & np.uint64(1)
    return deltas


def compared_tags(alpha, points, width, deltas):
    key = secrets.token_bytes(16)
    corrections = dcf.generate_tags(alpha, width, deltas, key, GATE)
    assert corrections.shape == (dcf.tag_planes(width), alpha.size, 2)
    first, second = (dcf.evaluate_tags(points, width, delta, corrections, key, GATE) for delta in deltas)
    return first ^ second


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("width", range(10))
def test_every_point_against_every_alpha(width):
    size = 2**width
    alpha = np.repeat(np.arange(size, dtype=np.uint64), size)
    points = np.tile(np.arange(size, dtype=np.uint64), size)
    deltas = halves()
    np.testing.assert_array_equal(compared_bits(alpha, points, width), points < alpha)
    expected = np.where((points < alpha)[:, None], deltas[0] ^ deltas[1], np.uint64(0))
    np.testing.assert_array_equal(compared_tags(alpha, points, width, deltas), expected)


@pytest.mark.parametrize("width", range(64))
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_points_around_alpha_at_every_width(width, data):
    top = 2**width - 1
    alpha = data.draw(st.integers(0, top))
    points = [0, top, alpha, max(alpha - 1, 0), min(alpha + 1, top), data.draw(st.integers(0, top))]
    points += [alpha ^ (1 << bit) for bit in range(width)]  # leaves the way to alpha at each level
    deltas = halves()
    expected = np.array([point < alpha for point in points])
    lanes, points = np.full(len(points), alpha, np.uint64), np.array(points, np.uint64)
    np.testing.assert_array_equal(compared_bits(lanes, points, width), expected)
    np.testing.assert_array_equal(
        compared_tags(lanes, points, width, deltas), np.where(expected[:, None], deltas[0] ^ deltas[1], np.uint64(0))
    )


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("width", [0, 5, 7, 8, 40, 63])
def test_bits_above_the_width_are_ignored(width):
    alpha, points = uniform(50), uniform(50)
    mask = np.uint64(2**width - 1)
    expected = (points & mask) < (alpha & mask)
    np.testing.assert_array_equal(compared_bits(alpha, points, width), expected)
    np.testing.assert_array_equal(compared_tags(alpha, points, width, halves())[:, 0] & np.uint64(1), expected)


def aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305  the bare permutation


def image(key, block):
    return bytes(a ^ b for a, b in zip(aes(key, block), block, strict=True))


def lane_key(key, number, gate):
    return image(key, number.to_bytes(8, "little") + gate.to_bytes(8, "little"))


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("gate", [0, GATE, FULL])
def test_the_cipher_is_aes_128_under_the_key_of_the_lane(gate):
    """FIPS 197, appendix B.  Its input ends a leaf's way: the mark of a leaf is in its low bits already."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    block = bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    assert aes(key, block).hex() == "3925841d02dc09fbdc118597196a0b32"
    root = np.broadcast_to(np.frombuffer(block, "<u8"), (128, 2))
    points, none = np.arange(128, dtype=np.uint64), np.zeros((1, 128, 2), np.uint64)
    leaf = np.packbits(dcf.evaluate_bits(0, points, 7, root, none, key, gate), bitorder="little").tobytes()
    assert leaf == image(lane_key(key, 0, gate), block)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("lanes", [1, 255, 256, 511, 512, 700, 768])
def test_no_aes_key_serves_more_than_511_lanes(lanes):
    """At point 0 of one level a share is what the root expands to, xor the root; the root is known here."""
    key, none, delta = secrets.token_bytes(16), np.zeros((1, lanes, 2), np.uint64), uniform(2)
    numbers = [min(lane // 256, max(1, lanes // 256) - 1) for lane in range(lanes)]
    assert max(numbers.count(number) for number in set(numbers)) <= 511
    for gate in (GATE, GATE + 1):
        shares = dcf.evaluate_tags(np.zeros(lanes, np.uint64), 1, delta, none, key, gate)
        keys = [lane_key(key, number, gate) for number in range(numbers[-1] + 1)]
        assert len(set(keys)) == len(keys)
        for lane in range(0, lanes, 51):
            expanded = np.frombuffer(image(keys[numbers[lane]], _mixed(delta, lane)), np.uint64)
            assert (shares[lane] == expanded ^ delta ^ np.array([2 * lane, 0], np.uint64)).all()


def test_the_stated_bits_are_those_of_the_largest_key():
    assert dcf.COMPUTATIONAL_BITS == 110
    most = 511 * (dcf.MAX_WIDTH + 1)  # lanes of a key, seeds of a lane
    assert 125 - np.log2(most) >= dcf.COMPUTATIONAL_BITS


@pytest.mark.usefixtures("_backend")
def test_the_low_bits_of_a_root_do_not_matter():
    alpha, roots, key = uniform(9), uniform(2, 9, 2), secrets.token_bytes(16)
    others = roots ^ np.array([5, 0], np.uint64)
    np.testing.assert_array_equal(
        dcf.generate_bits(alpha, 30, roots, key, GATE), dcf.generate_bits(alpha, 30, others, key, GATE)
    )


def _chi_squared_of_bytes(array):
    counts = np.bincount(np.frombuffer(array.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return ((counts - expected) ** 2 / expected).sum()


# 255 degrees of freedom: mean 255, standard deviation 23; beyond 450 once in 10^11 runs of uniform bytes.
UNIFORM_BELOW = 450


@pytest.mark.parametrize("alpha", [0, 1, 2**20 - 1, 0xABCDE])
def test_corrections_and_one_partys_shares_look_uniform_whatever_alpha(alpha):
    lanes, width, key = 4000, 20, secrets.token_bytes(16)
    alphas, roots = np.full(lanes, alpha, np.uint64), uniform(2, lanes, 2)
    corrections = dcf.generate_bits(alphas, width, roots, key, GATE)
    for plane in corrections:
        assert _chi_squared_of_bytes(plane) < UNIFORM_BELOW
    for point in (0, alpha, 2**width - 1):
        points = np.full(lanes, point, np.uint64)
        for party in (0, 1):
            ones = dcf.evaluate_bits(party, points, width, roots[party], corrections, key, GATE).sum()
            assert abs(int(ones) - lanes / 2) < 7 * np.sqrt(lanes) / 2


@pytest.mark.parametrize("alpha", [0, 0x5A, 0xFF])
def test_tag_corrections_and_shares_look_uniform_whatever_alpha(alpha):
    lanes, width, key, deltas = 4000, 8, secrets.token_bytes(16), halves()
    corrections = dcf.generate_tags(np.full(lanes, alpha, np.uint64), width, deltas, key, GATE)
    for plane in corrections:
        assert _chi_squared_of_bytes(plane) < UNIFORM_BELOW
    for point in (0, 0x59, 0x5A):
        for delta in deltas:
            shares = dcf.evaluate_tags(np.full(lanes, point, np.uint64), width, delta, corrections, key, GATE)
            assert _chi_squared_of_bytes(shares) < UNIFORM_BELOW


def test_the_two_children_of_a_node_cannot_be_told_apart_by_undoing_aes():
    """Without the mixing of its halves, decrypting H(s xor delta) xor delta gives s xor delta."""
    lanes, key, deltas = 64, secrets.token_bytes(16), halves()
    corrections = dcf.generate_tags(np.zeros(lanes, np.uint64), 1, deltas, key, GATE)  # all go left
    own = dcf.evaluate_tags(np.ones(lanes, np.uint64), 1, deltas[0], corrections, key, GATE)
    assert not own.any()  # at the right of everything nothing is added
    other_image = (
        np.stack(
            [np.frombuffer(image(lane_key(key, 0, GATE), _mixed(deltas[0], lane)), np.uint64) for lane in range(lanes)]
        )
        ^ corrections[0]
    )  # H(s_1) xor delta
    undo = Cipher(algorithms.AES(lane_key(key, 0, GATE)), modes.ECB()).decryptor()  # noqa: S305
    for lane in range(lanes):
        own_root = deltas[0] ^ np.array([2 * lane, 0], np.uint64)
        guess = np.frombuffer(undo.update((other_image[lane] ^ own_root).tobytes()), np.uint64)
        assert (guess ^ own_root != deltas[0] ^ deltas[1]).any()


def _mixed(delta, lane):
    low, high = int(delta[0]) ^ 2 * lane, int(delta[1])
    return high.to_bytes(8, "little") + (high ^ low).to_bytes(8, "little")


@pytest.mark.usefixtures("_backend")
def test_views_read_only_memory_and_odd_addresses_are_accepted():
    lanes, width, key = 11, 25, secrets.token_bytes(16)
    alpha, roots = uniform(lanes), uniform(2, lanes, 2)
    corrections = dcf.generate_bits(alpha, width, roots, key, GATE)
    wire = b"\0" + corrections.tobytes()
    received = np.frombuffer(wire, np.uint64, corrections.size, offset=1).reshape(corrections.shape)
    strided = np.repeat(alpha, 2)[::2]
    for party in (0, 1):
        np.testing.assert_array_equal(
            dcf.evaluate_bits(party, strided, width, roots[party], received, key, GATE),
            dcf.evaluate_bits(party, alpha, width, roots[party].copy(), corrections, key, GATE),
        )


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("width", [0, 7, 30])
def test_no_lanes_give_no_shares(width):
    none = np.zeros(0, np.uint64)
    assert compared_bits(none, none, width).shape == (0,)
    assert compared_tags(none, none, width, halves()).shape == (0, 2)


LANES, WIDTH = 5, 12
GOOD = {
    "party": 1,
    "points": np.zeros(LANES, np.uint64),
    "width": WIDTH,
    "root": np.zeros((LANES, 2), np.uint64),
    "corrections": np.zeros((dcf.bit_planes(WIDTH), LANES, 2), np.uint64),
    "key": bytes(16),
    "gate": GATE,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("party", 2),
        ("party", -1),
        ("party", None),
        ("width", -1),
        ("width", 64),
        ("width", 12.0),
        ("width", WIDTH + 1),
        ("key", bytes(15)),
        ("key", "sixteen letters!"),
        ("gate", -1),
        ("gate", 1 << 64),
        ("gate", "7"),
        ("points", [0] * LANES),
        ("points", np.zeros(LANES, np.int64)),
        ("points", np.zeros(LANES, ">u8")),
        ("points", np.zeros((LANES, 1), np.uint64)),
        ("points", np.zeros(LANES + 1, np.uint64)),
        ("root", np.zeros((LANES, 3), np.uint64)),
        ("root", np.zeros((LANES - 1, 2), np.uint64)),
        ("corrections", np.zeros((dcf.bit_planes(WIDTH) - 1, LANES, 2), np.uint64)),
        ("corrections", np.zeros((dcf.bit_planes(WIDTH), LANES - 1, 2), np.uint64)),
        ("corrections", np.zeros(0, np.uint64)),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name, value):
    dcf.evaluate_bits(**GOOD)
    with raises_code(BadValue, ("out-of-range", "wrong-array", "wrong-length")):
        dcf.evaluate_bits(**{**GOOD, name: value})
    tags = {
        **GOOD,
        "corrections": np.zeros((dcf.tag_planes(WIDTH), LANES, 2), np.uint64),
        "delta": np.ones(2, np.uint64),
    }
    del tags["party"], tags["root"]
    dcf.evaluate_tags(**tags)
    for delta in (np.ones(3, np.uint64), np.ones((LANES, 2), np.uint64), bytes(16)):
        with raises_code(BadValue, "wrong-array"):
            dcf.evaluate_tags(**{**tags, "delta": delta})
    if name in tags and name != "corrections":
        with raises_code(BadValue, ("out-of-range", "wrong-array", "wrong-length")):
            dcf.evaluate_tags(**{**tags, name: value})


def test_generation_refuses_what_does_not_fit():
    alpha, roots, key = uniform(3), uniform(2, 3, 2), bytes(16)
    with raises_code(BadValue, "wrong-array"):
        dcf.generate_bits(alpha, 9, roots[0], key, GATE)
    with raises_code(BadValue, "wrong-array"):
        dcf.generate_tags(alpha, 9, uniform(3, 2), key, GATE)
    with raises_code(BadValue, "even-sum"):
        dcf.generate_tags(alpha, 9, np.ones((2, 2), np.uint64), key, GATE)
    with raises_code(BadValue, "wrong-array"):
        dcf.generate_tags(5, 9, halves(), key, GATE)
