import math
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sotto.keyed import KEY_TYPES, ROM, Flipping, KeyedError, Shuffling, generate_key
from sotto.keyed.encryption.keys import Key
from sotto.link.secret_stream import SecretStream
from tests.error_codes import raises_code

SALT = bytes(32)
kinds = st.sampled_from(KEY_TYPES)


@settings(deadline=None)
@given(kind=kinds, size=st.integers(2, 7), dimension=st.sampled_from([1, 2]))
def test_every_key_is_orthogonal_and_no_identity(kind, size, dimension):
    key = generate_key(kind, size, dimension)
    matrix = key.matrix()
    assert key.length == size**dimension == len(matrix)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(key.length), atol=1e-12)
    assert not np.allclose(matrix, np.eye(key.length))


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_keys_differ_unless_seeded(kind):
    assert generate_key(kind, 100) != generate_key(kind, 100)
    assert generate_key(kind, 16, seed="a") == generate_key(kind, 16, seed="a")
    assert generate_key(kind, 16, seed="a") != generate_key(kind, 16, seed="b")
    assert generate_key(kind, 4, 2, seed="a") != generate_key(kind, 16, 1, seed="a")


def test_shuffling_is_uniform_without_the_identity():
    counts = Counter(tuple(Shuffling.generate(3, seed=i).values.tolist()) for i in range(3000))
    assert len(counts) == 5
    assert (0, 1, 2) not in counts
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_flipping_is_uniform_without_identity_and_negation():
    counts = Counter(tuple(Flipping.generate(3, seed=i).values.tolist()) for i in range(3000))
    assert len(counts) == 6
    assert not {(0, 0, 0), (1, 1, 1)} & counts.keys()
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_rom_is_uniform_on_the_orthogonal_group():
    """Haar measure: an entry of an N × N matrix, squared, is Beta(1/2, (N-1)/2); without sign correction it is not."""
    matrices = np.stack([ROM.generate(3, seed=i).matrix() for i in range(3000)])  # seeded: no test by luck
    for i in range(3):
        for j in range(3):
            assert stats.kstest(matrices[:, i, j] ** 2, stats.beta(0.5, 1.0).cdf).pvalue > 1e-4
            assert abs(matrices[:, i, j].mean()) < 0.06
    assert abs(np.linalg.det(matrices).mean()) < 0.06  # reflections as often as rotations


def test_identities_are_drawn_again(monkeypatch):
    drawn = iter([np.arange(4), np.arange(4), np.array([1, 0, 2, 3])])
    monkeypatch.setattr(Shuffling, "_draw", classmethod(lambda cls, length, stream: next(drawn)))
    assert Shuffling.generate(4).values.tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Shuffling, np.arange(4)),
        (Flipping, np.zeros(4, np.uint8)),
        (Flipping, np.ones(4, np.uint8)),
        (ROM, np.eye(4)),
        (ROM, -np.eye(4)),
    ],
)
def test_identities_are_refused(kind, values):
    with raises_code(KeyedError, "changes-nothing"):
        kind(4, 1, values, SALT)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Shuffling, np.array([0, 0, 2, 3])),
        (Shuffling, np.array([0, 1, 2, 4])),
        (Shuffling, np.array([-1, 1, 2, 3])),
        (Shuffling, np.array([1.0, 0, 2, 3])),
        (Shuffling, np.array([1, 0, 2])),
        (Flipping, np.array([0, 1, 2, 0], np.uint8)),
        (Flipping, np.array([0, 1, 1], np.uint8)),
        (ROM, np.eye(4)[[1, 0, 2, 3]] * 1.001),
        (ROM, np.full((4, 4), np.nan)),
        (ROM, np.eye(3)[[1, 0, 2]]),
    ],
)
def test_values_that_are_no_key_are_refused(kind, values):
    with raises_code(KeyedError, "not-a-key"):
        kind(4, 1, values, SALT)


@pytest.mark.parametrize(("size", "dimension"), [(1, 1), (0, 1), (-3, 2), (4, 3), (4, 0), (65, 2)])
def test_sizes_out_of_range_are_refused(size, dimension):
    with raises_code(KeyedError, ("bad-block-size", "bad-dimension")):
        ROM.generate(size, dimension)


@pytest.mark.parametrize(("size", "dimension"), [(3, True), (True, 1), (3.0, 1), ("3", 1), (None, 1), (3, 1.0)])
def test_sizes_that_are_no_whole_numbers_are_refused(size, dimension):
    for make in (generate_key, lambda _, *sizes: Flipping(*sizes, np.array([0, 0, 1], np.uint8), SALT)):
        with raises_code(KeyedError, "not-whole"):
            make("flipping", size, dimension)


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_sizes_in_numpys_integers_are_ints(kind):
    key = generate_key(kind, np.int64(3), np.uint8(2), seed=1)
    assert type(key.block_size) is type(key.dimension) is int
    assert key == generate_key(kind, 3, 2, seed=1)
    assert key.fingerprint == generate_key(kind, 3, 2, seed=1).fingerprint


def test_unknown_type():
    with raises_code(KeyedError, "unknown-kind", match="use one of shuffling, flipping, rom"):
        generate_key("rot13", 10)


@pytest.mark.parametrize(
    ("kind", "size", "dimension", "bits"),
    [
        ("shuffling", 3, 1, math.log2(5)),
        ("shuffling", 10, 1, math.log2(math.factorial(10) - 1)),
        ("shuffling", 8, 2, math.log2(math.factorial(64))),
        ("flipping", 3, 1, math.log2(6)),
        ("flipping", 10, 1, math.log2(1022)),
        ("flipping", 8, 2, 64),
        ("rom", 3, 1, 72),
    ],
)
def test_key_space(kind, size, dimension, bits):
    assert generate_key(kind, size, dimension).space_bits == pytest.approx(bits)


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_nothing_printed_holds_the_key(kind):
    key = generate_key(kind, 10, seed=1)
    shown = f"{key!r} {key} {[key]}"
    assert key.fingerprint in shown
    assert "values" not in shown
    assert "salt" not in shown
    assert key.salt.hex() not in shown
    assert str(key.values.flat[0]) + " " not in shown.replace(key.fingerprint, "")


def test_fingerprint_does_not_tell_small_keys():
    """Two keys that transform alike have fingerprints of their own, or six guesses would find a key of size 3."""
    one = Shuffling(3, 1, np.array([2, 0, 1]), bytes(32))
    other = Shuffling(3, 1, np.array([2, 0, 1]), bytes(31) + b"1")
    assert one == other
    assert hash(one) == hash(other)
    assert one.fingerprint != other.fingerprint


def test_keys_do_not_change():
    values = np.array([1, 0, 2])
    key = Shuffling(3, 1, values, SALT)
    values[:] = [0, 1, 2]
    assert key.values.tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="read-only"):
        key.values[0] = 0


def test_keys_go_to_another_process():
    for kind in KEY_TYPES:
        key = generate_key(kind, 5)
        assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301  what multiprocessing does with arguments


def test_only_known_types_compare_equal():
    assert Flipping.generate(4) != "flipping"
    assert isinstance(ROM.generate(4), Key)


def test_algorithm_6_is_followed_to_the_last_bit():
    """QR of the normal matrix by the same library, then the columns negated one by one."""
    stream, again = SecretStream("t", 5), SecretStream("t", 5)
    q, r = np.linalg.qr(again.normal(49).reshape(7, 7))
    for i in range(7):
        if r[i, i] < 0:
            q[:, i] = -q[:, i]
    drawn = ROM._draw(7, stream)
    assert np.array_equal(drawn, q)
    assert drawn.dtype == np.float64


@pytest.mark.parametrize("size", [2, 100, 1000])
def test_rom_is_orthogonal_in_double_precision(size):
    matrix = ROM.generate(size).matrix()
    assert np.abs(matrix.T @ matrix - np.eye(size)).max() < 1e-12


def test_algorithm_4_takes_one_fair_bit_for_each_number():
    assert np.array_equal(Flipping._draw(100, SecretStream("t", 5)), SecretStream("t", 5).bits(100))


def test_algorithm_2_follows_the_stream():
    """Fisher and Yates by hand on the same stream of choices."""
    stream, again = SecretStream("t", 5), SecretStream("t", 5)
    order = list(range(6))
    for i in range(5, 0, -1):
        j = again.below(i + 1)
        order[i], order[j] = order[j], order[i]
    assert Shuffling._draw(6, stream).tolist() == order
