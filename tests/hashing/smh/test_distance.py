import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from sotto.hashing import HashingError, distance_blocks, hamming_distances, pack
from sotto.hashing.smh import distance
from tests.error_codes import raises_code


@settings(deadline=None)  # the first call for a number of planes compiles
@given(st.integers(2, 16), st.integers(0, 9), st.integers(0, 9), st.integers(1, 300), st.integers(0, 2**32))
def test_equals_scipy(k, n, m, width, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, k, (n, width)), rng.integers(0, k, (m, width))
    found = hamming_distances(pack(x, k), pack(y, k))
    assert found.shape == (n, m)
    assert np.array_equal(found, cdist(x, y, "hamming") if n and m else np.zeros((n, m)))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(300, 517), (129, 65), (7, 64), (1, 600)])
def test_equals_scipy_across_the_borders_of_groups_and_threads(shape, threads):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (shape[0], 333)), rng.integers(0, 5, (shape[1], 333))
    found = hamming_distances(pack(x, 5), pack(y, 5), threads=threads)
    assert np.array_equal(found, cdist(x, y, "hamming"))


def test_rows_chosen_with_a_step_are_compared_as_they_are():
    x = np.random.default_rng(5).integers(0, 3, (40, 100))
    assert np.array_equal(hamming_distances(pack(x, 3)[::-3], pack(x, 3)[1::2]), cdist(x[::-3], x[1::2], "hamming"))


def test_threads_are_used_where_there_is_enough_to_do(monkeypatch):
    started = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, threads):
            started.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(distance, "ThreadPoolExecutor", Counted)
    monkeypatch.setattr(distance, "_processors", lambda: 3)
    rng = np.random.default_rng(0)
    few, many = (pack(rng.integers(0, 3, (n, 1000)), 3) for n in (10, 1100))
    hamming_distances(few, many)
    assert started == []
    together = hamming_distances(many, many)
    assert started == [3]
    assert np.array_equal(together, hamming_distances(many, many, threads=1))
    with raises_code(HashingError, "bad-threads"):
        hamming_distances(few, few, threads=0)


@pytest.mark.parametrize("symbols", [1, 63, 64, 65, 4 * 64, 70_000])
def test_completely_different_hashes_are_at_distance_one(symbols):
    x, y = np.zeros((2, symbols), np.uint8), np.full((3, symbols), 15, np.uint8)
    assert np.array_equal(hamming_distances(pack(x, 16), pack(y, 16)), np.ones((2, 3)))


def test_a_metric():
    rng = np.random.default_rng(1)
    x = pack(rng.integers(0, 3, (20, 100)), 3)
    d = hamming_distances(x, x)
    assert np.array_equal(d, d.T)
    assert not d.diagonal().any()
    assert (d[:, :, None] <= d[:, None, :] + d[None, :, :] + 1e-12).all()


def test_blocks_are_the_rows():
    rng = np.random.default_rng(2)
    x, y = pack(rng.integers(0, 3, (50, 70)), 3), pack(rng.integers(0, 3, (20, 70)), 3)
    whole, seen = hamming_distances(x, y), 0
    for rows, block in distance_blocks(x, y, rows=7):
        assert np.array_equal(block, whole[rows])
        seen += len(block)
    assert seen == 50


def test_memory_does_not_grow_with_the_product_of_the_sets():
    def peak(n):
        x = pack(np.random.default_rng(0).integers(0, 3, (n, 64)), 3)
        tracemalloc.start()
        for _ in distance_blocks(x, x):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)  # what is allocated once
    assert peak(6400) < 3 * peak(3200)


@pytest.mark.parametrize(("k", "width"), [(4, 10), (3, 11)])
def test_hashes_of_another_kind_are_refused(k, width):
    with raises_code(HashingError, "other-size"):
        hamming_distances(pack(np.zeros((1, 10)), 3), pack(np.zeros((1, width)), k))
