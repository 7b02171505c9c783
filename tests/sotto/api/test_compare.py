"""``sotto.compare``: a row for each paradigm that can run a model, a reason for each other one."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import sotto
from sotto.bench.own_model import default_name
from sotto.bench.rows import results
from tests.error_codes import raises_code
from tests.sotto.api.models import blocks, polynomial


def test_what_can_run_runs_and_what_cannot_says_why(tmp_path):
    own = blocks("mpc")
    truth = own.plain.copy()
    truth[0] = (truth[0] + 1) % 3
    found = sotto.compare(
        own.model,
        own.x.tolist(),
        truth,
        paradigms=["mpc/semi-honest", "he", "keyed", "adversarial"],
        out=tmp_path,
        singles=2,
    )
    assert [(row.paradigm, row.mode, row.model) for row in found] == [
        ("mpc", "semi-honest", "Blocks"),
        ("keyed", "rom", "Blocks"),
    ]
    for row in found:
        assert row.agreement == 1.0
        assert row.accuracy_private == pytest.approx(5 / 6)
        assert row.n_queries == 6
        assert row.max_abs_error < 1e-3
    assert set(found.left_out) == {"he", "adversarial"}
    assert "neither affine nor a polynomial" in found.left_out["he"]
    assert results.read(tmp_path / "results.json") == list(found)
    assert "neither affine nor a polynomial" in (tmp_path / "report.html").read_text()
    assert "left out: he" in str(found)
    assert own.model.training


def test_when_none_can_run_it_every_reason_is_said():
    own = polynomial()
    with raises_code(sotto.ModelRefused, "nothing-runs", match=r"keyed: .*Conv1d.*hashing: .*HammingSVC"):
        sotto.compare(own.model, own.x, own.plain, paradigms=["keyed", "hashing"], out=None)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/emotions.safetensors", "emotions"),
        (polynomial().model, type(polynomial().model).__name__),
        (nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Conv1d(2, 2, 3), nn.Flatten(), nn.Linear(4, 3)),
         "2 Conv1d, Linear; 37 parameters"),
        (nn.Sequential(nn.ReLU()), "Sequential; 0 parameters"),
    ],
)  # fmt: skip
def test_a_model_that_nobody_named_is_known_by_its_file_class_or_layers(model, name):
    assert default_name(model) == name


@pytest.mark.parametrize("x", [[1.0, 2.0], [[1.0], [1.0, 2.0]], 3])
def test_examples_are_a_batch(x):
    with pytest.raises(sotto.InputRefused):
        sotto.compare(polynomial().model, x, [0, 1], out=None)


@pytest.mark.parametrize("y", [[0, 1], [0.5] * 6, ["a"] * 6, [-1] * 6, np.zeros((6, 1), int)])
def test_classes_are_whole_numbers_one_for_each_example(y):
    own = polynomial()
    with raises_code(sotto.InputRefused, "bad-labels"):
        sotto.compare(own.model, own.x, y, out=None)
