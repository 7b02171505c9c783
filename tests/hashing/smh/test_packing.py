import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.hashing import HashingError, PackedHashes, bytes_per_hash, pack
from sotto.hashing.smh.packing import bits_per_symbol, holds_symbols
from tests.error_codes import raises_code


@st.composite
def symbols(draw):
    k, n, m = draw(st.integers(2, 16)), draw(st.integers(0, 5)), draw(st.integers(1, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return k, rng.integers(0, k, (n, m)).astype(draw(st.sampled_from(["uint8", "int64", "float64"])))


@given(symbols())
def test_packed_and_sent_symbols_come_back(case):
    k, values = case
    packed = pack(values, k)
    assert np.array_equal(packed.unpack(), values)
    wire = packed.to_bytes()
    assert len(wire) == len(values) * bytes_per_hash(k, values.shape[1])
    again = PackedHashes.from_bytes(wire, count=len(values), k=k, symbols=values.shape[1])
    assert np.array_equal(again.planes, packed.planes)


def test_wire_form_is_as_documented():
    values = np.zeros((1, 10), np.uint8)
    values[0, [0, 9]] = 1, 2
    assert pack(values, 3).to_bytes() == bytes([0b1, 0, 0, 0b10])


def test_wire_size_of_the_default_hash():
    assert bytes_per_hash(3, 2816) == 704
    assert [bits_per_symbol(k) for k in (2, 3, 4, 5, 8, 9, 16)] == [1, 2, 2, 3, 3, 4, 4]


def test_rows_can_be_chosen():
    values = np.arange(12).reshape(4, 3) % 3
    packed = pack(values, 3)
    assert np.array_equal(packed[[2, 0]].unpack(), values[[2, 0]])
    assert np.array_equal(packed[1:].unpack(), values[1:])
    assert np.array_equal(packed[np.array([True, False, False, True])].unpack(), values[[0, 3]])
    assert len(packed[2]) == 1


@pytest.mark.parametrize(
    "values", [[[0, 3]], [[-1, 0]], [[0.5, 1]], [[np.nan, 0]], [["a", "b"]], [0, 1], [[]], [[1j, 0]], [[255, 0]]]
)
def test_what_is_no_symbol_is_refused(values):
    with raises_code(HashingError, ("bad-symbol", "wrong-shape")):
        pack(np.array(values), 3)


@pytest.mark.parametrize("k", [0, 1, 17, -3])
def test_k_outside_two_to_sixteen_is_refused(k):
    with raises_code(HashingError, "bad-k"):
        pack([[0, 1]], k)


@given(st.binary(max_size=64), st.integers(-1, 4), st.integers(2, 16), st.integers(1, 40))
def test_bytes_from_a_peer_are_hashes_or_refused(data, count, k, width):
    try:
        hashes = PackedHashes.from_bytes(data, count=count, k=k, symbols=width)
    except HashingError:
        return
    values = hashes.unpack()
    assert values.shape == (count, width)
    assert holds_symbols(values, k)
    assert hashes.to_bytes() == data


@given(st.integers(2, 16), st.integers(1, 70), st.data())
def test_one_symbol_too_large_is_found(k, width, data):
    if k & (k - 1) == 0:
        return  # every pattern of bits is a symbol
    values = np.zeros((2, width), np.uint8)
    values[1, data.draw(st.integers(0, width - 1))] = k
    wire = pack(values, 1 << bits_per_symbol(k)).to_bytes()
    with raises_code(HashingError, "bad-symbol"):
        PackedHashes.from_bytes(wire, count=2, k=k, symbols=width)


def test_bits_beyond_the_last_symbol_are_found():
    with raises_code(HashingError, "stray-bits"):
        PackedHashes.from_bytes(bytes([0, 0b100]), count=1, k=2, symbols=10)


def test_planes_that_do_not_fit_are_refused():
    with raises_code(HashingError, "wrong-shape"):
        PackedHashes(np.zeros((1, 1, 1), np.uint64), 3, 10)
    with raises_code(HashingError, "wrong-dtype"):
        PackedHashes(np.zeros((1, 2, 1), np.int64), 3, 10)
