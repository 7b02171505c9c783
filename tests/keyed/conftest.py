"""The papers' own way of encrypting, block by block, as the reference that the fast transform is held against."""

import numpy as np
import pytest


def encrypt_in_a_loop(x, key):
    """Algorithms 1, 3 and 5 on one two-dimensional array (a waveform has one row); sizes are multiples of M."""
    out = np.zeros_like(x)
    m = key.block_size
    rows = m if key.dimension == 2 else 1
    matrix = key.matrix().astype(x.dtype)
    for i in range(0, x.shape[0], rows):
        for j in range(0, x.shape[1], m):
            flat = x[i : i + rows, j : j + m].flatten()
            if key.kind == "shuffling":
                changed = flat[key.values]
            elif key.kind == "flipping":
                changed = np.where(key.values == 1, -flat, flat)
            else:
                changed = flat @ matrix
            out[i : i + rows, j : j + m] = changed.reshape(rows, m)
    return out


@pytest.fixture(scope="session")
def block_loop():
    return encrypt_in_a_loop
