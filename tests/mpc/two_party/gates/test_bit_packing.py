"""Packed words: as many bits as they need, and the same words again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.link import FrameError
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(1, 64))
def test_the_low_bits_come_back(words, bits):
    array = np.array(words, np.uint64)
    data = pack(array, bits)
    assert len(data) == packed_bytes(len(words), bits)
    assert 8 * len(data) < len(words) * bits + 64
    assert unpack(data, len(words), bits).tolist() == [word % 2**bits for word in words]


def test_the_layout_is_little_endian():
    assert pack(np.array([1, 2, 3], np.uint64), 4) == (0x321).to_bytes(8, "little")


@pytest.mark.parametrize("size", [0, 8, 24])
def test_another_number_of_words_is_refused(size):
    with pytest.raises(FrameError):
        unpack(bytes(size), 3, 40)
