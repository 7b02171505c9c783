"""The figures of mpc: networks at every width, costs out of phases, disagreements and what counts as explained."""

from __future__ import annotations

from typing import get_args

import msgspec
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.bench.papers.bittner import growth, latency, transfers
from sotto.bench.papers.bittner.agreement import Disagreement
from sotto.bench.papers.bittner.table_networks import TableNetwork, relu_count
from sotto.bench.parties.control import Count
from sotto.bench.parties.parties import Asked, Parties, Phase
from sotto.bench.rows import costs
from sotto.bench.rows.row import Row, Timing, Traffic
from sotto.models.learning.training import predict
from sotto.mpc import experiment as paradigm


@pytest.mark.parametrize(
    ("name", "width", "relus"), [("depinto", 1, 2560), ("frames", 1, 12096), ("frames", 0.5, 6048)]
)
def test_the_networks_are_those_of_the_tables(name, width, relus):
    network = TableNetwork(name, width)
    module = network.build()
    assert relu_count(module, network.input_shape) == relus
    assert module(torch.zeros(2, *network.input_shape)).shape == (2, 8)
    last = module[-1]
    assert last.in_features == {"depinto": 2560, "frames": 3072}[name] * width


def test_every_mode_has_its_security_and_its_cells():
    modes = get_args(mpc.Mode)
    assert set(paradigm.SECURITY) == set(modes)
    quick, full = ([(cell.mode, cell.model) for cell in paradigm.cells(preset)] for preset in ("quick", "full"))
    for asked in (quick, full):
        assert [mode for mode, model in asked if model == "frames"] == list(reversed(modes))
        assert len(set(asked)) == len(asked)
    assert set(quick) < set(full)
    assert {(mode, model) for mode in modes for model in ("frames", "depinto")} < set(full)


def _asked(mode):
    """A session's set-up and two queries, of one example and of four."""
    network = TableNetwork("depinto", 1 / 16)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = network.build().eval()
    features = np.random.default_rng(5).normal(size=(4, 1, 40)).astype(np.float32)
    with Parties([network.parts(module, mode, "class")]) as parties:
        prepared = parties.prepare()
        asked = [parties.ask(features[:1]), parties.ask(features)]
        parties.end_session()
        parties.finish()
    assert asked[1].labels.tolist() == predict(module, features).argmax(axis=1).tolist()
    return prepared, asked


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
def test_our_modes_answer_as_the_network_does_with_the_dealers_part_ahead(mode):
    prepared, asked = _asked(mode)
    for each in asked:
        assert each.online.counts["dealer"].sent == 0
        assert each.offline.counts["dealer"].sent > each.online.bytes
    figures = costs.metrics([prepared], asked)
    assert figures["session_bytes"] == prepared.bytes > 0
    assert figures["offline_busy_ms_dealer"] > 0


def test_two_parties_answer_as_the_network_does_with_nobody_else_at_work():
    prepared, asked = _asked("two-party")
    for each in asked:
        assert set(each.online.counts) == set(each.offline.counts) == {"alice", "bob"}
        assert each.offline.bytes > each.online.bytes
    figures = costs.metrics([prepared], asked)
    assert figures["session_bytes"] == prepared.bytes > 0
    assert figures["offline_bytes_alice"] > 0
    assert figures["offline_bytes_bob"] > 0
    assert costs.traffic([each.online for each in asked]).dealer is None


def _phase(milliseconds, **sent):
    return Phase(milliseconds, {role: Count(count, 2, milliseconds / 2, 100.0) for role, count in sent.items()})


def test_costs_are_medians_of_phases():
    phases = [_phase(ms, alice=10 * ms, bob=5) for ms in (1, 2, 9)]
    assert costs.timing(phases).median == 2
    assert costs.timing([]) is None
    assert costs.traffic(phases).alice == 20
    assert costs.traffic(phases).dealer is None
    assert costs.rounds(phases) == 2
    batches = [Asked(np.zeros(n, np.int64), None, _phase(8 * n, alice=1), _phase(n, alice=1)) for n in (4, 4, 3)]
    assert costs.batched(batches, 4) == (8, 1)
    assert costs.batched(batches, 1) == (None, None)


def _row(mode, milliseconds, **changes):
    timing = Timing(milliseconds, 2 * milliseconds)
    row = Row(
        paradigm="mpc", mode=mode, model="depinto", seed=0, n_queries=1, parameters={"net": "loopback"},
        online_ms=timing, offline_ms=timing, bytes=Traffic(1, 2, 0),
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def test_a_latency_row_stands_beside_crypten_in_the_same_run_and_the_paper():
    rows = [_row("crypten", 80.0), _row("semi-honest", 4.0, key_bytes=25600)]
    reference, ours = (latency._beside_the_others(row, rows, 2560) for row in rows)
    assert ours.metrics["times_faster_than_crypten"] == 20
    assert ours.metrics["key_bytes_per_relu"] == 10
    assert ours.published == {"online_ms": 300.0}
    assert reference.published == {}
    assert "times_faster_than_crypten" not in reference.metrics


def test_a_disagreement_is_rounding_only_where_the_margin_is_that_small():
    close = Disagreement("depinto", "semi-honest", "a.wav", "float", "calm", "sad", 1e-4, 1e-4)
    far = Disagreement("depinto", "semi-honest", "b.wav", "float", "calm", "sad", 3e-4, 1e-4)
    assert close.rounding
    assert not far.rounding
    lines = [Disagreement.COLUMNS, close.line, far.line]
    assert [line[-1] for line in lines] == ["cause", "rounding", "not explained"]
    assert {len(line) for line in lines} == {9}


def test_the_plot_of_growth_has_a_line_for_every_mode(tmp_path):
    metrics = {
        "relus": 10.0, "online_bytes": 1e5, "offline_bytes": 1e6,
        "alice_rss_mb": 1.0, "bob_rss_mb": 2.0, "dealer_rss_mb": 3.0,
    }  # fmt: skip
    rows = [
        _row(mode, 4.0, metrics=metrics, parameters={"along": along, "batch": 2, "width": 1.0})
        for mode in ("semi-honest", "malicious")
        for along in ("batch", "width")
    ]
    growth.draw(rows, tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert "<!-- semi-honest, depinto -->" in drawn
    assert "<!-- malicious, depinto -->" in drawn


def test_transfers_of_a_stock_are_counted_for_every_extension(monkeypatch):
    monkeypatch.setattr(transfers, "_STOCKS", (2,))
    monkeypatch.setattr(transfers, "_REPEATS", 1)
    rows = list(transfers._measured("loopback", {"depinto": (700_000, 10)}))
    sent = {row.parameters["extension"]: row.metrics["bytes_per_query"] for row in rows}
    assert set(sent) == {"SoftSpoken", "Ferret", "chosen"}
    assert sent["SoftSpoken"] > 700_000 * 31 / 8
    assert 3 * sent["Ferret"] < sent["SoftSpoken"]
    assert all(row.metrics["ms_per_query"] > 0 for row in rows)
