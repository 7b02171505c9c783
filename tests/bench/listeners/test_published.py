"""The published listeners tell voices, words, speech and quality apart; what they heard before changes nothing;
a missing one is one line that says what to install."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from sotto.audio.corpora.fsdd import WORDS
from sotto.bench.listeners.published import (
    SIZE,
    SPEECH,
    ListenersMissing,
    dictated,
    digits,
    load,
    quality,
    speaker_embeddings,
    speech_probabilities,
    word_error_rate,
)


def _noise(samples, seed=0):
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


def test_the_encoder_finds_one_voice_nearer_to_itself_than_to_others(sounds, strings):
    pytest.importorskip("resemblyzer")
    found = speaker_embeddings(sounds)
    assert found.shape == (6, SIZE)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = found @ found.T
    names = np.array([string.speaker for string in strings])
    same = (names[:, None] == names) & ~np.eye(6, dtype=bool)
    assert cosines[same].mean() > cosines[names[:, None] != names].mean() + 0.05


def test_silence_gives_numbers_too():
    pytest.importorskip("resemblyzer")
    assert np.isfinite(speaker_embeddings([np.zeros(16_000, np.float32)])).all()


def test_the_recogniser_hears_digits_in_speech_and_each_sound_by_itself(sounds, strings):
    pytest.importorskip("pocketsphinx")
    said = [string.text for string in strings]
    heard = digits(sounds[:3])
    assert word_error_rate(said[:3], heard) < 0.6
    assert digits([_noise(16_000), sounds[0]])[1] == heard[0]
    assert set(" ".join(heard).split()) <= set(WORDS)
    assert word_error_rate(said[:1], dictated([np.zeros(16_000)])) == 1


def test_an_error_rate_ignores_case_and_counts_insertions():
    assert word_error_rate(["ONE TWO"], ["one two"]) == 0
    assert word_error_rate(["one two"], ["one two three four five"]) == 1.5


def test_the_detector_finds_speech_in_speech_and_not_in_noise(sounds):
    pytest.importorskip("silero_vad")
    pytest.importorskip("onnxruntime")
    speech = np.stack([sound[:16_000] for sound in sounds])
    found = speech_probabilities(speech)
    assert found.shape == (6, 32)  # the last frame is filled up with silence
    assert (found >= SPEECH).mean() > 0.5
    assert (speech_probabilities(np.stack([_noise(16_000), _noise(16_000, 1)])) >= SPEECH).mean() < 0.1


@pytest.mark.slow
def test_noise_sounds_worse_than_speech(sounds):
    pytest.importorskip("speechmos.dnsmos", exc_type=ImportError)
    assert quality([_noise(16_000)]) < quality(sounds[:1])


def test_a_missing_package_is_named_with_what_installs_it():
    with pytest.raises(ListenersMissing) as caught:
        load("no_such_listener")
    assert "no_such_listener" in str(caught.value)
    assert "sotto[listeners]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_that_lowers_the_number_of_threads_does_not_change_it_for_others(tmp_path, monkeypatch):
    (tmp_path / "greedy_listener.py").write_text("import torch\ntorch.set_num_threads(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert load("greedy_listener") is sys.modules["greedy_listener"]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
