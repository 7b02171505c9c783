"""Sums over streams and turned matrices, against the same in plain NumPy."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from sotto.mpc.ot.bit_matrix import blocks_of, folded


def words(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [1, 8, 700])
def test_sums_over_streams(depth, width):
    streams = words(2**depth, width)
    planes, total = words(depth, width).copy(), words(width).copy()  # what was there before does not count
    folded(streams, planes, total)
    number = np.arange(2**depth)
    assert (total == np.bitwise_xor.reduce(streams, axis=0)).all()
    for bit in range(depth):
        assert (planes[bit] == np.bitwise_xor.reduce(streams[number >> bit & 1 == 1], axis=0)).all()


@pytest.mark.parametrize("width", [1, 2, 17])
def test_rows_become_columns(width):
    rows = words(128, width)
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
    columns = np.ascontiguousarray(np.packbits(bits.T, axis=1, bitorder="little")).view(np.uint64)
    assert (blocks_of(rows) == columns).all()
