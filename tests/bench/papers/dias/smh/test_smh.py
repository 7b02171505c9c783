"""The reproductions of secure modular hashing on a miniature study: made-up features, so that none waits for audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sotto.bench.papers.dias.smh import attacks, figure1, joint_learning, speed, table1, table2
from sotto.bench.papers.dias.smh.study import SCALINGS, SECURITY, Task, hashed_answers
from sotto.bench.reproduction.targets import TARGETS, Request
from sotto.hashing import HashKey, HashParameters


class Bench:
    """What the reproductions use of a workbench."""

    quick, seed = True, 0

    class corpus:
        name = "made up"

    def __init__(self, said):
        self.say = said.append


@pytest.fixture
def request_and_said(tmp_path):
    said: list[str] = []
    return Request("made up", None, "quick", 0, tmp_path / "out", said.append), said


@pytest.fixture
def study(monkeypatch, request_and_said):
    """Twelve speakers, two sentences, three classes: 12 × 2 × 3 × 3 clips of ten features."""
    rng = np.random.default_rng(0)
    speakers, labels = np.repeat(np.arange(12), 18), np.tile(np.repeat(np.arange(3), 6), 12)
    raw = 2.0 * rng.normal(size=(3, 10))[labels] + rng.normal(size=(12, 10))[speakers] + rng.normal(size=(216, 10))
    sentences = np.tile(["one", "two"], 108)
    parts = [speakers % 3 == number for number in range(2)]
    folds = [(np.flatnonzero(~part), np.flatnonzero(part)) for part in parts]
    names = np.array([f"speaker {number}" for number in speakers])
    task = Task("3 classes", ("a", "b", "c"), raw.astype(np.float32), labels, names, sentences, folds)
    for module in (table1, table2, joint_learning, attacks):
        monkeypatch.setattr(module, "open_study", lambda request: (Bench(request_and_said[1]), [task]))
    return task


def test_every_reproduction_is_listed():
    for name in ("dias-figure1", "dias-table1", "dias-table2", "dias-sjl", "smh-attacks", "smh-speed"):
        assert TARGETS[name].DESCRIPTION


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_fold_is_scaled_by_its_training_part(study, scaling):
    fold = study.fold(0, scaling)
    assert not set(fold.train_speakers) & set(fold.test_speakers)
    if scaling == "range":
        assert fold.train.min() == pytest.approx(-1)
        assert fold.train.max() == pytest.approx(1)
        assert np.abs(fold.test).max() > 1
    if scaling == "standard":
        assert np.abs(fold.train.mean(axis=0)).max() < 0.1
    if scaling == "discriminant":
        assert fold.train.shape[1] == fold.test.shape[1] == 2 + 10


def test_table_1_has_a_row_for_each_cell_and_theory_is_near(study, request_and_said):
    rows = list(table1.run(request_and_said[0]))
    assert len(rows) == 16
    for row in rows:
        m = row.metrics
        assert m["leakage"] == pytest.approx(m["leakage_expected"], abs=0.12)
        assert m["leakage_derived"] == pytest.approx(m["leakage_derived_expected"], abs=0.12)
        assert (
            row.published["leakage"]
            == table1.PUBLISHED[row.parameters["k"]][table1.PAPER_DELTAS.index(row.parameters["delta"])]
        )


def test_table_2_reports_accuracy_spread_leakage_and_attacks(study, request_and_said, monkeypatch):
    settings = [
        table2._Setting("paper", "range", 3, 2.0),
        table2._Setting("dither", "range", 3, 2.0, "paper"),
        table2._Setting("search", "discriminant", 5, None),
    ]
    monkeypatch.setattr(table2, "_settings", lambda few: settings)
    paper, dither, found = table2.run(request_and_said[0])
    for row in (paper, dither, found):
        assert row.paradigm == "hashing"
        assert row.accuracy_private == row.metrics["accuracy_hashed"]
        assert row.metrics["accuracy_lowest_key"] <= row.accuracy_private <= row.metrics["accuracy_highest_key"]
        assert 1 / 3 < row.accuracy_private <= 1
    assert paper.published == {"accuracy_hashed": 0.8056, "accuracy_plain": 0.8279}
    assert dither.parameters["dither"] == "paper"
    assert found.published == {}
    assert found.metrics["attack_known_key_recovered"] > 0.5
    assert found.metrics["attack_speaker_named"] > 1.5 * found.metrics["attack_speaker_named_other_key"]
    assert found.metrics["leakage"] < 0.5
    assert found.metrics["accuracy_directions_alone"] > 0.6


def test_joint_learning_pools_hashes_under_one_key_and_not_under_several(study, request_and_said, monkeypatch):
    monkeypatch.setattr(joint_learning, "_SETTINGS", (("standard", 3), ("discriminant", 5)))
    (row,) = joint_learning.run(request_and_said[0])
    m = row.metrics
    assert row.parameters["features"] == "discriminant"
    assert m["accuracy_union"] > m["accuracy_alone_hashed"]
    assert m["accuracy_union"] > m["accuracy_union_own_keys"]
    assert row.accuracy_plain == m["accuracy_union_plain"]
    assert m["attack_known_key_relative_error"] < 0.5


def test_attacks_are_reported_beside_the_accuracy(study, request_and_said):
    rows = list(attacks.run(request_and_said[0]))
    assert len({tuple(row.parameters.values()) for row in rows}) == len(rows) == 4
    many, few = rows[0].metrics, rows[-1].metrics
    assert (rows[0].parameters["mpc"], rows[-1].parameters["mpc"]) == (32, 4)
    assert many["attack_known_key_relative_error"] < few["attack_known_key_relative_error"]
    assert any(name.startswith("attack_known_pairs_recovered_of_") for name in many)


def test_figure_1_is_drawn_and_hashes_follow_the_closed_form(request_and_said, monkeypatch):
    request = request_and_said[0]
    monkeypatch.setattr(figure1, "_MPC", 8)
    rows = figure1.run(request)
    assert [row.parameters["k"] for row in rows] == [2, 3, 5, 10]
    for row in rows:
        assert row.metrics["largest_error_in_standard_errors"] < 5
    assert (Path(request.out) / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (Path(request.out) / "figure1.svg").read_bytes()[:500]


def test_speed_compares_the_same_distances(request_and_said, monkeypatch):
    monkeypatch.setattr(speed, "_SIZES", {"quick": ((3, 5), (40, 30))})
    monkeypatch.setattr(speed, "_COPIED", 1 << 20)
    rows = list(speed.run(request_and_said[0]))
    assert len(rows) == 6
    for row in rows:
        assert row.metrics["one_thread_ms"] > 0
        assert row.metrics["bytes_one_hot"] > 10 * row.metrics["bytes_packed"]
        assert ("scipy_ms" in row.metrics) == (row.parameters["k"] == 3)


def test_the_security_of_a_row_names_no_bits(study):
    fold = study.fold(0, "standard")
    key = HashKey.generate(HashParameters(fold.train.shape[1]), seed=0)
    assert hashed_answers(fold, key, (3.0, 3.0)).shape == fold.test_labels.shape
    assert SECURITY.computational_bits is None
    assert SECURITY.statistical_bits is None


def test_one_hash_tells_the_norm_with_the_papers_dither_alone():
    features = np.random.default_rng(0).normal(size=(150, 20)) * np.linspace(0.05, 1, 150)[:, None]
    full = HashParameters(20, 3, 2.0, 32)
    assert abs(table1.norm_from_one_hash(features, full)) < 0.25
    assert table1.norm_from_one_hash(features, table1.with_paper_dither(full)) > 0.5
