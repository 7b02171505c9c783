"""Keyed speech before made-up listeners: who breaks the key hears plain speech; each figure is of its own sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sotto import keyed
from sotto.bench.listeners.experiments import keyed_speech
from sotto.bench.listeners.experiments.keyed_speech import Material
from sotto.bench.papers.niwa.attackers import Speech, Stage
from sotto.bench.reproduction.targets import Request
from sotto.bench.rows.results import to_json
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import Recogniser
from sotto.bench.speech_tasks.spoken_digits import DigitString
from sotto.models.learning.seeding import seeded
from sotto.models.networks.ctc import PatchCTC
from sotto.models.networks.speaker_embedding import SpeakerEmbedding


def _hums(pitches, samples=4000):
    """Every speaker hums at a pitch of its own, float32 (n, samples), unit power."""
    generator = np.random.default_rng(0)
    rows = [np.sin(pitch * np.arange(samples)) + 0.1 * generator.normal(size=samples) for pitch in pitches]
    return torch.from_numpy(np.stack([row / row.std() for row in rows]).astype(np.float32))


def _spectra(waves):
    """Stands in for the speaker encoder: where the energy is, length 1."""
    rows = np.array([np.abs(np.fft.rfft(wave, 512)) for wave in waves], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _parity(waves):
    """Stands in for the recogniser: a word that depends on every sample."""
    return ["one" if np.abs(np.diff(wave)).mean() < 0.5 else "noise" for wave in waves]


@pytest.fixture(scope="module")
def material():
    with seeded(0):
        verifier, recogniser = SpeakerEmbedding(8, width=8), PatchCTC(11, bands=48, channels=8, width=8)
    utterances, strings = _hums([0.05, 0.05, 0.2, 0.2]), _hums([0.1, 0.1])
    spoken = [DigitString("a", (1,), wave.numpy()) for wave in strings]
    stage = Stage(
        SpeechTask("asv", "utterances", "split", verifier.eval(), utterances, 10, 1, "eer", float),
        Recogniser(recogniser.eval(), spoken, "split", "strings"),
        Speech(utterances, _hums(np.linspace(0.04, 0.3, 12)), 0.25, 1),
        Speech(strings, _hums(np.linspace(0.04, 0.3, 12)), 0.5, 1),
        Speech(torch.zeros(1, 48, 9), torch.zeros(1, 48, 9), 0.5, 2),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed_speech, "speaker_embeddings", _spectra)
        patch.setattr(keyed_speech, "speech_probabilities", lambda waves: np.abs(np.diff(waves)) < 1)
        patch.setattr(keyed_speech, "quality", lambda waves: 3.0)
        patch.setattr(keyed_speech, "dictated", _parity)
        patch.setattr(keyed_speech, "digits", _parity)
        whole = [wave.numpy() for wave in utterances[::2]]
        yield Material(stage, np.arange(4), ["a", "a", "b", "b"], whole, ["ONE", "ONE"])


def test_the_key_itself_gives_the_figures_of_plain_speech_and_no_key_does_not(material):
    assert material.plain["eer_published"] == 0
    assert material.plain["wer_dictation_published"] == 0
    for kind in keyed.KEY_TYPES:
        key, other = (keyed.generate_key(kind, 10, seed=seed) for seed in (1, 2))
        assert material.heard(key, [key, key]) == {"key_exact": 1.0, **material.plain}
        for guess in (None, other):
            found = material.heard(key, [guess, guess])
            assert found["key_exact"] == 0
            assert found["wer_dictation_published"] > 0
            assert found["speech_found_percent"] < 100


def test_a_recording_in_the_clear_is_compared_with_what_was_made_of_another(material):
    first = torch.eye(4)[[0, 0, 1, 1]]
    assert material._against(first, first) == 0
    assert material._against(first, first[[2, 3, 0, 1]]) == 100


def test_a_row_for_plain_speech_and_for_every_attacker(material, tmp_path, monkeypatch):
    monkeypatch.setattr(Material, "open", lambda request: material)
    monkeypatch.setattr(keyed_speech, "SIZES", {"quick": (3,)})
    monkeypatch.setattr(keyed, "KEY_TYPES", ("flipping",))
    rows = list(keyed_speech.run(Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)))
    attackers = {"wrong-key", "none", "known-plaintext", "chosen-plaintext", "ciphertext-only"}
    assert [row.parameters["attacker"] for row in rows[:1]] == ["plain"]
    assert {(row.mode, row.parameters["attacker"]) for row in rows[1:]} == {
        (kind, attacker) for kind in ("flipping",) for attacker in attackers
    }
    for row in rows:
        if row.parameters["attacker"] == "chosen-plaintext":
            assert row.metrics["key_exact"] == 1
            assert row.metrics["eer_published"] == rows[0].metrics["eer_published"]
    assert to_json(rows)
