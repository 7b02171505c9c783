"""The table of every activation: all forms, each beside the plaintext."""

from __future__ import annotations

from sotto.bench.emotion import activations
from sotto.bench.rows.row import Interval, Row, Spent, Timing
from sotto.models.learning.recipes import RECIPES
from sotto.serving import registry


def row(paradigm, mode, ms):
    return Row(
        paradigm=paradigm, mode=mode, model="mlp-poly4", corpus="c", seed=0, n_queries=64, accuracy_private=0.5,
        accuracy_interval=Interval.of(32, 64), agreement=1.0, online_ms=Timing(ms, ms), total=Spent(ms, 2_000_000),
    )  # fmt: skip


def test_every_form_has_a_recipe_and_runs_under_mpc():
    assert len(activations.MODELS) == 12
    assert set(activations.MODELS) <= set(RECIPES)
    assert set(activations.MODELS) | {"filterbank-poly2"} == set(registry.paradigm("mpc").networks)  # squares alone
    for paradigm, mode in activations.MODES:
        assert mode in registry.paradigm(paradigm).modes


def test_the_table_has_a_line_for_each_row_and_its_price():
    lines = activations.markdown([row("plaintext", "open", 2.0), row("mpc", "malicious", 20.0)]).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith(
        "| `mlp-poly4` | in the clear | 50.0 % (38 to 62) | 100.0 % | 64 | – | 2.00 | 2.00 | 2 |"
    )
    assert lines[3].endswith("| 10 x |")
