from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.bench.rows.row import Row
from sotto.bench.sweeps.studies.axes import Axis
from sotto.bench.sweeps.summary import Spread, groups, to_csv

AXES = {"k": Axis((2,), "k"), "key": Axis((0,), "key", repeats=True)}


def row(k, key, accuracy, leakage=None):
    return Row(
        paradigm="plaintext", mode="sweep", model="svm", corpus="made up", seed=0, n_queries=3,
        parameters={"k": k, "key": key}, accuracy_plain=accuracy, metrics={"leakage": leakage},
    )  # fmt: skip


def test_repetitions_come_together():
    found = groups([row(2, 0, 0.5), row(3, 0, 0.1, 0.25), row(2, 1, 0.7)], AXES)
    assert [dict(group.parameters) for group in found] == [{"k": 2}, {"k": 3}]
    assert found[0].figures["accuracy_plain"].mean == pytest.approx(0.6)
    assert found[0].figures["accuracy_plain"].deviation == pytest.approx(0.1414, abs=1e-4)
    assert "leakage" not in found[0].figures
    assert found[1].figures["leakage"] == Spread(1, 0.25, 0.0, 0.25, 0.25)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_extremes_hold_the_mean(values):
    spread = Spread.of(values)
    assert spread.least - 1e-6 <= spread.mean <= spread.most + 1e-6
    assert spread.deviation >= 0
    assert spread.count == len(values)


def test_csv_has_a_line_for_each_figure():
    lines = list(csv.DictReader(io.StringIO(to_csv(groups([row(2, 0, 0.5, 0.1), row(2, 1, 0.7, 0.3)], AXES)))))
    assert [(line["k"], line["figure"], line["count"]) for line in lines] == [
        ("2", "accuracy_plain", "2"),
        ("2", "leakage", "2"),
    ]
