from __future__ import annotations

from dataclasses import replace

import pytest

from sotto.bench.sweeps.executors import Executor
from sotto.bench.sweeps.running import run_sweep
from sotto.bench.sweeps.store import Store
from sotto.bench.sweeps.studies import STUDIES
from sotto.bench.sweeps.studies.axes import read_grid


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_axes_have_defaults_that_can_be_written_on_a_command_line(name, preset):
    axes = STUDIES[name].axes(preset)
    for axis, about in axes.items():
        if name == "comparison" and axis == "cell":
            continue  # names of cells hold commas nowhere, but are checked below
        written = f"{axis}=" + ",".join(str(value) for value in about.default)
        assert read_grid(axes, [written])[axis] == about.default
    assert any(about.repeats for about in axes.values())


def test_cells_of_the_comparison_can_be_named():
    axes = STUDIES["comparison"].axes("quick")
    for cell in axes["cell"].default:
        assert read_grid(axes, [f"cell={cell}"])["cell"] == (cell,)


def test_the_right_key_answers_like_the_plain_model_and_a_key_has_its_seed(plan, tmp_path, monkeypatch):
    from sotto.bench.sweeps.studies import transform_keys
    from sotto.models.learning.recipes import WAVE_PATCH

    brief = replace(WAVE_PATCH, schedule=replace(WAVE_PATCH.schedule, epochs=1))
    monkeypatch.setattr(transform_keys, "_RECIPES", {"wave-patch": (brief, 1)})
    vary = ("model=wave-patch", "key_type=shuffling,flipping,rom", "key=4", "fold=0")
    rows = run_sweep(plan("keyed", vary), Store(tmp_path), Executor(), lambda line: None).rows
    assert [row.parameters["key_type"] for row in rows] == ["shuffling", "flipping", "rom"]
    for row in rows:
        assert row.agreement == 1.0
        assert row.accuracy_private == row.accuracy_plain
        assert 0 <= row.metrics["accuracy_wrong_key"] <= 1
    again = run_sweep(plan("keyed", vary), Store(tmp_path / "again"), Executor(), lambda line: None).rows
    assert [row.metrics for row in again] == [row.metrics for row in rows]
