"""The reproduction of RDAL-M's Table 2: all columns, files beside the rows, nothing trained twice."""

import csv
from dataclasses import replace

import pytest

from sotto.adversarial.learning.recipe import COLUMNS, Separation, recipe
from sotto.adversarial.sounds.divided_sounds import made_up_material
from sotto.adversarial.sounds.segments import mix_pairs
from sotto.audio import CorpusError
from sotto.bench.papers.luong import measurement, table2
from sotto.bench.reproduction.targets import TARGETS
from sotto.bench.request import Request
from sotto.bench.rows.results import to_json
from tests.error_codes import raises_code

SMALL = {
    "rate": 8_000,
    "extractor": (2, 4),
    "epochs": 2,
    "quiet": 0,
    "renew_every": 1,
    "renew_epochs": 1,
    "settle": 0,
    "separation": Separation(filters=(2, 2), epochs=1),
}
SOME = ("supervised",)


def small(column, preset, *, strengthened):
    return replace(recipe(column, preset, strengthened=strengthened), **SMALL)


@pytest.fixture
def quickly(monkeypatch):
    """Tiny networks, few sounds, two of the attackers."""
    monkeypatch.setattr(table2, "recipe", small)
    monkeypatch.setattr(table2, "COLUMNS", SOME)
    monkeypatch.setattr(
        table2, "open_material", lambda *_, rate, seed, **__: made_up_material(rate=rate, seed=seed, events=8)
    )
    few = {name: measurement.classifiers.ARCHITECTURES[name] for name in ("logistic", "linear-discriminant")}
    monkeypatch.setattr("sotto.adversarial.attacks.detection.ARCHITECTURES", few)
    monkeypatch.setattr("sotto.adversarial.attacks.classifiers.ARCHITECTURES", few)


def test_all_columns_are_measured_and_a_second_call_trains_nothing(quickly, tmp_path, monkeypatch):
    said = []
    request = Request("synthetic", None, "quick", 0, tmp_path, said.append, runs=2)
    rows = TARGETS["rdal-table2"].run(request)
    assert [row.mode for row in rows] == ["supervised+", "rdal-m-fixed-mask"]
    to_json(rows)
    for row in rows:
        assert row.parameters["runs"] == 2
        assert 0 <= row.metrics["attack_auc"] <= row.metrics["attack_auc_strongest"] <= 1
        assert row.metrics["event_accuracy_std"] >= 0
        assert set(row.published) <= {*row.metrics}
        assert ("sdr_db" in row.metrics) == ("mask" in row.mode)
        assert ("in_loop_auc_misleading" in row.metrics) == row.mode.startswith("rdal")
    for name in ("roc.png", "roc.svg", "curves.csv", "curves.png"):
        assert (tmp_path / name).stat().st_size
    with (tmp_path / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * len(rows)
    assert any("made-up" in line for line in said)
    monkeypatch.setattr(measurement, "train", None)
    monkeypatch.setattr(table2, "save", lambda *_: [])  # drawn once already
    assert [row.metrics for row in table2.run(request)] == [row.metrics for row in rows]


def test_every_column_has_its_published_figures():
    assert tuple(table2._PUBLISHED) == COLUMNS


def test_a_corpus_without_sound_events_is_refused_in_one_line(tmp_path):
    with raises_code(CorpusError, "not-measured"):
        table2.run(Request("ravdess", None, "quick", 0, tmp_path, print))


def test_the_attackers_clips_share_nothing_with_the_test():
    material = made_up_material(rate=8_000, events=5, speakers=6)
    own = measurement.attackers_segments(material, seed=0)
    test = mix_pairs(material["test"].events, material["test"].speech, seed=0)
    assert not set(own.recording) & set(test.recording)
    assert not (set(own.speaker) & set(test.speaker)) - {""}
    assert own.has_speech.mean() == pytest.approx(2 / 3)
