"""Rows by model: what stands beside what, the ratios, and the reason of every empty cell."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.rows.matrix import grouped
from sotto.bench.rows.row import Interval, Row, Spent
from sotto.bench.suite import cells
from sotto.serving import registry


def row(paradigm, model, milliseconds=10.0, sent=100, net="loopback", corpus="c"):
    return Row(
        paradigm=paradigm, mode="m", model=model, corpus=corpus, seed=0, n_queries=1, parameters={"net": net},
        total=None if milliseconds is None else Spent(milliseconds, sent),
    )  # fmt: skip


def test_every_model_has_its_rows_together_beside_the_one_without_privacy():
    rows = [row("keyed", "wave-patch"), row("he", "mlp-poly2", 500.0, 4000), row("plaintext", "mlp-poly2"),
            row("mpc", "mlp-poly2", 25.0, 50), row("mpc", "mlp-poly2", net="wan")]  # fmt: skip
    first, wan, patches = sorted(grouped(rows), key=lambda group: (group.model, group.net))
    assert [each.paradigm for each in first.rows] == ["plaintext", "mpc", "he"]
    assert [(price.slower, price.more_bytes) for price in first.prices] == [(2.5, 0.5), (50.0, 40.0)]
    assert (wan.plain, wan.prices[0].slower) == (None, None)
    assert grouped(rows)[0].model == "mlp-poly2"  # what most paradigms run comes first
    assert patches.rows == (rows[0],)


def test_an_empty_cell_has_the_paradigms_own_reason():
    (group,) = grouped([row("plaintext", "mlp-poly2"), row("mpc", "mlp-poly2", None)])
    reasons = dict(group.empty)
    assert set(reasons) == {"he", "hashing", "keyed", "adversarial"}
    assert reasons["he"] == "not in this run"
    assert reasons["keyed"] == registry.paradigm("keyed").no_others
    assert group.prices[0].slower is None
    (own,) = grouped([row("mpc", "Ours")])
    assert own.empty == ()  # a user's own: why others have none is said where they are left out


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_a_paradigm_is_asked_about_the_models_it_declares_and_no_others(preset):
    for name in registry.names():
        asked = {cell.model for cell in cells([name], preset)}
        assert asked <= set(registry.paradigm(name).networks), name
    if preset == "full":
        assert {cell.model for cell in EXPERIMENTS["he"].cells("full")} <= {
            cell.model for cell in EXPERIMENTS["mpc"].cells("full")
        }


@pytest.mark.parametrize(("hits", "asked"), [(0, 4), (4, 4), (7, 64), (63, 64), (200, 360)])
def test_the_interval_is_wilsons(hits, asked):
    expected = binomtest(hits, asked).proportion_ci(0.95, method="wilson")
    found = Interval.of(hits, asked)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
