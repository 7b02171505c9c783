"""Training's guard: the same numbers whatever threads the caller has, and the caller's state afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl
import torch

from sotto.models.learning.seeding import seeded


def threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]


def test_one_thread_inside_for_torch_and_for_numpys_libraries_and_as_before_outside():
    with threadpoolctl.threadpool_limits(2):
        before, torchs = threads(), torch.get_num_threads()
        with seeded(0):
            assert set(threads()) == {1}
            assert torch.get_num_threads() == 1
        assert threads() == before
        assert torch.get_num_threads() == torchs


def test_the_state_comes_back_after_an_error_too():
    @seeded(3)
    def fail():
        raise KeyError(torch.rand(5))

    state = torch.get_rng_state()
    with pytest.raises(KeyError):
        fail()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_draws_the_same_from_both_generators():
    def drawn(seed):
        with seeded(seed) as generator:
            return torch.cat([torch.rand(3), torch.rand(3, generator=generator)])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_sums_are_added_in_the_same_order_whatever_the_callers_threads():
    generator = np.random.default_rng(0)
    left, right = (generator.normal(size=shape).astype(np.float32) for shape in ((48, 257), (257, 5001)))
    products = []
    for count in (1, 2):
        with threadpoolctl.threadpool_limits(count), seeded(0):
            products.append(left @ right)
    assert np.array_equal(*products)
