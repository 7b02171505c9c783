"""The zoo: every kind is accepted and computed right; its rows come from real parties."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from sotto.bench.model_zoo import KINDS, Kind, bounds
from sotto.bench.operations import model_zoo, model_zoo_table
from sotto.bench.preparing import PreparationError
from sotto.bench.reproduction.targets import TARGETS
from sotto.bench.request import Request
from sotto.bench.rows.row import Row, Timing, Traffic
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel

QUICK = ["transformer", "panns-head", "cropped-input", "attentive-statistics"]


def test_the_zoo_is_a_zoo():
    assert len(KINDS) >= 30
    assert all(kind.source for kind in KINDS.values())
    assert TARGETS["model-zoo"].DESCRIPTION


def test_what_is_proven_of_a_kind_is_a_line_of_the_table():
    *_, last = bounds.table(["tanh-head"]).splitlines()
    name, bound, functions = last.strip("| ").split(" | ")
    assert (name, functions) == ("`tanh-head`", "tanh")
    assert 1e-3 < float(bound) < 0.1


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in KINDS if n not in QUICK)])
def test_a_kind_is_computed_as_pytorch_computes_it(name):
    kind = KINDS[name]
    module = kind.build()
    x = np.random.default_rng(4).normal(size=(20, *kind.input_shape)).clip(-8, 8).astype(np.float32)
    answer = FixedPointModel.of(module, kind.input_shape, input_limit=8.0, reveal="logits").answer(x)
    with torch.no_grad():
        result = module(torch.from_numpy(x))
    expected = (result["logits"] if isinstance(result, dict) else result).numpy()
    error = np.abs(answer.scores - expected).max(axis=1)
    assert error.max() <= 5e-3
    differing = answer.labels != expected.argmax(axis=1)
    ordered = np.sort(expected, axis=1)
    assert (ordered[:, -1] - ordered[:, -2] <= 2 * error)[differing].all()


def test_cells_confine_it_to_modes_and_peers_in_their_order(monkeypatch, tmp_path):
    request = Request("synthetic", None, "quick", 0, tmp_path, print)
    monkeypatch.setenv("SOTTO_CELLS", "mpc/two-party, mpc/malicious,mpc/peer-crypten")
    modes, peers = model_zoo._asked_ones(request)
    assert modes == ["two-party", "malicious"]
    assert [peer.mode for peer in peers] == ["peer-crypten"]
    monkeypatch.setenv("SOTTO_CELLS", "mpc/zoo")
    with pytest.raises(PreparationError) as caught:
        model_zoo._asked_ones(request)
    assert caught.value.code == "unknown-cell"


class Sorting(nn.Module):
    def forward(self, x):
        return x.sort(dim=1)[0]


def test_the_table_tells_what_the_rows_do():
    network = next(iter(KINDS))
    refused, _ = model_zoo._refused("malicious", None, network, "sorts", Request("", None, "quick", 0, Path(), print))
    told = msgspec.structs.replace(
        refused,
        parameters={"idea": "an idea"},
        metrics={"load": 3.5, "disagreements": 2.0, "disagreements_not_near_ties": 1.0, "offline_bytes_dealer": 2.5e6},
        n_queries=50,
        agreement=0.96,
        max_abs_error=0.00123,
        online_ms=Timing(1234.0, 2000.0),
        bytes=Traffic(100_000, 200_000, None),
        rounds=7,
    )
    assert isinstance(told, Row)
    table = model_zoo_table.markdown([told, refused])
    assert f"| `{network}` | 96% of 50 (1 no near tie) | 1.2e-03 |  | 1,234 | 1,234 |  | 2.5 | 0.3 | 2.8 | 7 |" in table
    assert f"- `{network}`: sorts" in table
    assert "1 of 2 kinds taken, 0 with" in table


@pytest.mark.slow
def test_rows_come_from_real_parties_and_tell_what_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(model_zoo, "KINDS", {"dictionary": KINDS["dictionary"], "sorting": Kind(Sorting, (4,), "none")})
    monkeypatch.setattr(model_zoo, "_INPUTS", {"quick": 12})
    said = []
    rows = list(model_zoo.run(Request("synthetic", None, "quick", 0, Path(tmp_path), said.append)))
    by = {(row.model, row.mode): row for row in rows}
    assert set(by) >= {(name, mode) for name in ("dictionary", "sorting") for mode in model_zoo.MODES}
    assert all(by[key].metrics["accepted"] == 0.0 and by[key].parameters["refused"] for key in by if "sorting" in key)
    table = (tmp_path / "model-zoo.md").read_text()
    assert table == model_zoo_table.markdown(rows)
    assert table.count("- `sorting`: ") == len({row.mode for row in rows}) + 1  # why it was not taken; its idea
    for mode in ("semi-honest", "malicious"):
        row = by["dictionary", mode]
        assert row.agreement == 1.0
        assert row.max_abs_error < 1e-3
        assert row.metrics["accepted"] == 1.0
        assert row.rounds > 0
        assert row.bytes.alice > 0
    assert any("sorting is refused" in line for line in said)
    assert all(row.metrics["accepted"] or row.parameters["refused"] for row in rows)
    assert (tmp_path / "disagreements.csv").read_text().startswith("model,mode,input")
