"""Listeners behind a sensor: a mask that takes all leaves nothing, one that takes nothing leaves the sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sotto import adversarial
from sotto.adversarial.attacks import classifiers
from sotto.adversarial.learning.recipe import Separation, recipe
from sotto.adversarial.sounds.divided_sounds import made_up_material
from sotto.audio import CorpusError
from sotto.bench.listeners.experiments import sound_sensor
from sotto.bench.request import Request
from sotto.bench.rows.results import to_json

_SMALL = {
    "rate": 8_000,
    "extractor": (2, 4),
    "epochs": 2,
    "quiet": 0,
    "renew_every": 1,
    "renew_epochs": 1,
    "settle": 0,
    "separation": Separation(filters=(2, 2), epochs=1),
}


def _small(column, preset, *, strengthened):
    return replace(recipe(column, preset, strengthened=strengthened), **_SMALL)


def _waves():
    return np.random.default_rng(0).normal(size=(3, 8_000)).astype(np.float32)


def test_without_a_mask_the_sound_stays_what_it_was():
    sensor = adversarial.Sensor(8_000, "none", extractor=(2,))
    assert sound_sensor.masked(sensor, _waves()) == pytest.approx(_waves(), abs=1e-4)


def test_what_the_mask_takes_out_is_gone(monkeypatch):
    sensor = adversarial.Sensor(8_000, "continuous", (2, 2), (2,)).eval()
    monkeypatch.setattr(sensor, "mask_of", torch.zeros_like)
    assert not sound_sensor.masked(sensor, _waves()).any()


def test_a_corpus_without_sound_events_is_refused(tmp_path):
    with pytest.raises(CorpusError):
        list(sound_sensor.run(Request("ravdess", None, "quick", 0, tmp_path, lambda line: None)))


@pytest.fixture
def quickly(monkeypatch, tmp_path):
    """Tiny networks, few sounds, two of the attackers, and listeners that look at the energy."""
    material = made_up_material(rate=8_000, events=40)
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    monkeypatch.setattr(sound_sensor, "recipe", _small)
    monkeypatch.setattr(sound_sensor, "open_material", lambda *_, **__: material)
    monkeypatch.setattr(sound_sensor, "_ITERATIONS", 1)
    monkeypatch.setattr(sound_sensor, "speech_probabilities", np.abs)
    monkeypatch.setattr(
        sound_sensor, "speaker_embeddings", lambda waves: np.abs(np.fft.rfft(waves, 256)).astype(np.float32)
    )
    few = {name: classifiers.ARCHITECTURES[name] for name in ("logistic", "linear-discriminant")}
    monkeypatch.setattr("sotto.adversarial.attacks.detection.ARCHITECTURES", few)
    monkeypatch.setattr("sotto.adversarial.attacks.identification.ARCHITECTURES", tuple(few))


@pytest.mark.slow
def test_every_view_has_its_listeners_and_its_attackers(quickly, tmp_path):
    rows = list(sound_sensor.run(Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)))
    by_view = {row.parameters["view"]: row.metrics for row in rows}
    assert list(by_view) == ["sound", "masked", "z", "recovered"]
    heard, learnt = {"detector_auc", "encoder_linked_eer_percent"}, {"attack_speech_auc", "attack_linked_eer_percent"}
    assert all(heard <= set(by_view[name]) for name in ("sound", "masked", "recovered"))
    assert all(learnt <= set(by_view[name]) for name in ("sound", "masked", "z"))
    assert not heard & set(by_view["z"])
    assert not learnt & set(by_view["recovered"])
    for metrics in by_view.values():
        assert all(0 <= value <= (100 if "percent" in name else 1) for name, value in metrics.items())
    assert to_json(rows)
