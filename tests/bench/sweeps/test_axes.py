from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.bench.sweeps.studies.axes import Axis, SweepError, read_grid
from tests.error_codes import raises_code

AXES = {
    "k": Axis((2, 3), "whole numbers"),
    "delta": Axis((2.0,), "numbers"),
    "net": Axis(("lan",), "names", ("lan", "wan")),
}


def test_what_is_not_named_has_its_default():
    assert read_grid(AXES, ["k=5"]) == {"k": (5,), "delta": (2.0,), "net": ("lan",)}


@given(st.lists(st.integers(0, 10**9), min_size=1, unique=True))
def test_lists_are_read_back(values):
    assert read_grid(AXES, ["k=" + ",".join(map(str, values))])["k"] == tuple(values)


@given(st.integers(0, 10**6), st.integers(0, 500))
def test_ranges_hold_both_ends(first, more):
    assert read_grid(AXES, [f"k={first}..{first + more}"])["k"] == tuple(range(first, first + more + 1))


def test_lists_and_ranges_mix_and_nothing_comes_twice():
    assert read_grid(AXES, ["k=7,1..3,2,7"])["k"] == (7, 1, 2, 3)
    assert read_grid(AXES, ["net=wan,lan,wan"])["net"] == ("wan", "lan")


@pytest.mark.parametrize(
    "given",
    ["k", "k=", "k=,", "key=1", "k=x", "k=1.5", "k=-1", "k=3..1", "k=0..9999999", "delta=nan", "delta=inf", "net=moon",
     "k=99999999999999"],
)  # fmt: skip
def test_anything_else_is_one_clear_line(given):
    with pytest.raises(SweepError) as caught:
        read_grid(AXES, [given])
    assert "\n" not in str(caught.value)


def test_an_axis_is_named_once():
    with raises_code(SweepError, "named-twice"):
        read_grid(AXES, ["k=1", "k=2"])
