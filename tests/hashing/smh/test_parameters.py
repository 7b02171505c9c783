import numpy as np
import pytest

from sotto.hashing import HashingError, HashParameters
from tests.error_codes import raises_code


def test_defaults_are_the_papers_compromise():
    p = HashParameters(88)
    assert (p.k, p.delta, p.measurements_per_coefficient, p.symbols) == (3, 2.0, 32, 2816)


def test_the_full_dither_covers_the_period_and_the_papers_does_not():
    assert HashParameters(88, k=3, delta=2.0).dither_width == 6.0
    assert HashParameters(88, k=3, delta=2.0, dither="paper").dither_width == 3.0


def test_numbers_from_a_grid_search_are_taken():
    p = HashParameters(np.int64(4), k=np.int32(5), delta=np.float32(2), measurements_per_coefficient=np.int64(2))
    assert p == HashParameters(4, 5, 2.0, 2)
    assert p.label == HashParameters(4, 5, 2, 2).label


def test_the_label_tells_parameters_apart():
    labels = {
        HashParameters(4, k, delta, mpc, dither).label
        for k in (2, 3)
        for delta in (2.0, 2.0000001)
        for mpc in (1, 2)
        for dither in ("full", "paper")
    }
    assert len(labels) == 16


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": 0},
        {"inputs": 2.5},
        {"inputs": True},
        {"inputs": "many"},
        {"k": 1},
        {"k": 17},
        {"k": None},
        {"delta": 0},
        {"delta": float("nan")},
        {"delta": float("inf")},
        {"delta": "wide"},
        {"measurements_per_coefficient": 0},
        {"measurements_per_coefficient": 1 << 30},
        {"dither": "none"},
    ],
)
def test_out_of_range_is_refused_by_name(wrong):
    with raises_code(HashingError, ("bad-dither", "not-positive", "not-whole"), match=next(iter(wrong))) as caught:
        HashParameters(**{"inputs": 88, **wrong})
    assert "\n" not in str(caught.value)


def test_a_key_that_would_fill_the_memory_is_refused():
    with raises_code(HashingError, "key-too-large"):
        HashParameters(100_000, measurements_per_coefficient=8)
