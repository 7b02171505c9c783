"""The reproductions of the cryptonet on a miniature study: made-up features and a small network, real ciphertexts."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sotto import he
from sotto.audio import CorpusError
from sotto.audio.splits import Split
from sotto.bench.emotion.emotion_models import EmotionModel
from sotto.bench.papers.dias.cryptonet import latency, table3, table4
from sotto.bench.papers.dias.cryptonet.study import Session, open_pair
from sotto.bench.reproduction.targets import TARGETS, Request
from sotto.bench.rows.results import read, to_json, write
from sotto.he.planning.overflow import SPARE_SLOTS
from sotto.models.networks.mlp import MLP
from sotto.models.networks.polynomial import DEGREES, fit_relu
from tests.error_codes import raises_code

CLIPS, INPUTS = 60, 10


SPLIT = Split("halves", tuple(range(40)), (), tuple(range(40, 60)))


@dataclass
class Bench:
    """What the reproductions use of a workbench."""

    said: list[str]
    split: Split = SPLIT
    corpus = SimpleNamespace(name="made up")
    preset, quick, seed, label = "quick", True, 0, "emotion"

    def say(self, line):
        self.said.append(line)

    @property
    def targets(self):
        return np.arange(CLIPS) % 2

    def part(self, values, name):
        return values[list(getattr(self.split, name))]


def network(recipe, bench):
    torch.manual_seed(0)
    module = MLP(INPUTS, (6, 5), 2, **recipe.arguments)
    queries = np.random.default_rng(1).uniform(-1, 1, (CLIPS, INPUTS)).astype(np.float32)
    module.train()
    for _ in range(80):
        module(torch.from_numpy(queries))
    return EmotionModel(module.eval(), None, None, None, queries)


@pytest.fixture
def request_and_said(tmp_path, monkeypatch):
    said: list[str] = []
    for module in (latency, table3, table4):
        monkeypatch.setattr(module, "open_pair", lambda request: Bench(said))
        monkeypatch.setattr(module, "emotion_model", network)
    return Request("made up", tmp_path, "quick", 0, tmp_path / "out", said.append), said


def test_every_reproduction_is_listed():
    assert {"dias-cryptonet-latency", "dias-table3", "dias-table4"} <= set(TARGETS)


def test_latency_measures_every_evaluator_in_one_run(request_and_said, monkeypatch):
    monkeypatch.setattr(latency, "DEGREES", (2,))
    monkeypatch.setattr(latency, "FLOODING_BITS", 2)
    request, said = request_and_said
    rows = list(latency.run(request))
    assert [(row.mode, row.parameters["flooding_bits"]) for row in rows] == [
        ("packed", 0),
        ("tenseal", 0),
        ("batched", 0),
        ("packed", 2),
    ]
    packed, reference, batched, flooded = rows
    assert packed.metrics["times_faster_than_tenseal"] > 3
    assert reference.metrics["times_faster_than_tenseal"] == 1
    assert batched.n_queries == batched.parameters["batch"] == 4096 - SPARE_SLOTS
    assert batched.per_query_ms_batched < packed.metrics["server_ms"]
    assert packed.n_queries == len(SPLIT.test)
    for row in rows:
        assert row.max_abs_error < he.MAX_LOGIT_ERROR
        assert row.agreement > 0.9
        assert row.metrics["server_ms_fastest"] <= row.metrics["server_ms"] <= row.metrics["server_ms_slowest"]
        assert row.bytes.alice > row.bytes.bob > 50_000
    assert packed.key_bytes < reference.key_bytes / 4
    assert flooded.security.statistical_bits == 2
    assert flooded.metrics["estimated_logit_error"] < packed.metrics["estimated_logit_error"] / 10  # before the flood
    assert any("ckks_vector" in line for line in said)
    assert read(write(rows, request.out)[0]) == rows  # checked against the schema


def test_table_4_answers_every_clip_both_ways(request_and_said, monkeypatch):
    monkeypatch.setattr(table4, "DEGREES", (2,))
    request, _ = request_and_said
    rows = table4.run(request)
    assert [(row.parameters["normalisation"], row.parameters["training"]) for row in rows] == [
        (normalised, way) for normalised in (False, True) for way in table4.WAYS
    ]
    for row in rows:
        assert row.n_queries == row.metrics["clips_in_the_clear"] == len(SPLIT.test)
        assert row.agreement > 0.9
        assert abs(row.accuracy_plain - row.accuracy_private) < 0.1
        assert row.max_abs_error < he.MAX_LOGIT_ERROR
        published = table4.PUBLISHED[2, row.parameters["normalisation"]]
        assert row.published["accuracy_private"] == published
        assert (row.metrics["accuracy_relu"] is None) == (row.parameters["training"] == "in-place")
    assert read(write(rows, request.out)[0]) == rows  # checked against the schema


def test_table_4_goes_on_when_a_model_is_refused(request_and_said, monkeypatch):
    def refuse(*arguments, **options):
        raise he.ModelRefused("overflow", "its logits are too large")

    monkeypatch.setattr(table4, "DEGREES", (2,))
    monkeypatch.setattr(table4, "Session", refuse)
    request, said = request_and_said
    rows = table4.run(request)
    assert all(row.accuracy_private is None and row.metrics["folds_refused"] == 1 for row in rows)
    assert all(row.accuracy_plain is not None for row in rows)
    assert sum("too large" in line for line in said) == len(rows)


def test_table_3_shows_what_layers_see(request_and_said):
    rows = list(table3.run(request_and_said[0]))
    assert [row.parameters["degree"] for row in rows[:3]] == list(DEGREES)
    measured = rows[3:]
    assert len(measured) == 2 * 2 * len(DEGREES)
    for row in measured:
        m = row.metrics
        assert m["rms_error_measured_fit"] <= m["rms_error_standard_fit"] + 1e-9
        assert m["least_input"] < m["largest_input"]
        assert m["x^2"] != fit_relu(row.parameters["degree"])[2]
    normalised = [row for row in measured if row.parameters["normalisation"]]
    assert all(0.7 < row.metrics["input_deviation"] < 1.4 for row in normalised)
    assert to_json(rows)


def test_table_3_needs_no_corpus(tmp_path):
    said: list[str] = []
    rows = list(table3.run(Request("synthetic", None, "quick", 0, tmp_path, said.append)))
    assert len(rows) == 3
    assert "--data" in said[0]


def test_a_session_counts_frames_of_every_message():
    module = network(SimpleNamespace(arguments={"activation": "poly2"}), None)
    session = Session(module.module, module.queries[:40], "batched")
    session.ask(module.queries[40:])
    assert len(session.server_ms) == len(session.server_busy_ms) == 1
    assert session.query_bytes > INPUTS * 100_000
    assert session.answer_bytes > 2 * 50_000


def test_a_folder_without_a_corpus_is_taken_for_ravdess(tmp_path):
    """The synthetic corpus has no folder, so a folder can only be meant for another."""
    said: list[str] = []
    with raises_code(CorpusError, "nothing-found"):
        open_pair(Request("synthetic", tmp_path, "quick", 0, tmp_path, said.append))
    assert "--corpus" in said[0]
