"""The speech tasks: metrics with known answers, disjoint speakers, and inputs in the form that a key encrypts."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sotto.audio import Clip, Corpus, CorpusError
from sotto.audio.corpora.fsdd import WORDS
from sotto.bench.speech_tasks import recognition, scenes, verification
from sotto.bench.speech_tasks.recognition import FEATURES, Recogniser, Training, log_mel, recognisers
from sotto.bench.speech_tasks.scenes import scene_tasks
from sotto.bench.speech_tasks.spoken_digits import RATE, Take, compose, spelled, synthetic_takes
from sotto.bench.speech_tasks.verification import (
    equal_error_rate,
    queries,
    same_speaker,
    similarities,
    verification_task,
)
from sotto.link import BadValue
from sotto.models.learning.speaker_training import SpeakerSchedule
from sotto.models.learning.training import Schedule
from sotto.models.networks.ctc import PatchCTC
from tests.error_codes import raises_code


def _silent(line):
    pass


# Equal error rate


@pytest.mark.parametrize(
    ("scores", "same", "rate"),
    [
        ([3, 2, 1, 0], [1, 1, 0, 0], 0.0),
        ([3, 2, 1, 0], [0, 0, 1, 1], 1.0),
        ([1, 1, 1, 1], [1, 0, 1, 0], 0.5),
        ([4, 3, 2, 1], [1, 0, 1, 0], 0.5),
        ([5, 4, 3, 2, 1, 0], [1, 1, 0, 1, 0, 0], 1 / 3),
    ],
)
def test_equal_error_rates_with_known_answers(scores, same, rate):
    assert equal_error_rate(np.array(scores, float), np.array(same, bool)) == pytest.approx(rate)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40))
@settings(deadline=None, max_examples=60)
def test_an_equal_error_rate_depends_on_the_order_alone_and_mirrors(pairs):
    scores, same = np.array([s for s, _ in pairs], float), np.array([t for _, t in pairs])
    if same.all() or not same.any():
        with raises_code(BadValue, "one-sided"):
            equal_error_rate(scores, same)
        return
    rate = equal_error_rate(scores, same)
    assert 0 <= rate <= 1
    assert equal_error_rate(np.exp(scores), same) == pytest.approx(rate)
    assert equal_error_rate(-scores, ~same) == pytest.approx(rate)
    assert equal_error_rate(-scores, same) == pytest.approx(1 - rate)


def test_all_pairs_are_compared_once():
    assert same_speaker(["a", "a", "b"]).tolist() == [True, False, False]
    embeddings = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    assert similarities(embeddings).tolist() == [1.0, 0.0, 0.0]


def test_queries_are_whole_blocks_of_unit_power_and_short_ones_are_repeated():
    short, long = np.sin(np.arange(300, dtype=np.float32)), 0.01 * np.ones(90_000, np.float32)
    found = queries([short, long], block_size=7, seconds=0.5)
    assert found.shape == (2, 7994)
    assert torch.allclose(found[0, :300], found[0, 300:600])
    assert torch.allclose(found[1], torch.ones(7994))
    assert found[0].square().mean() == pytest.approx(1, abs=0.05)


# Verification on files laid out as LibriSpeech's


def _write_librispeech(root, train=6, test=2, utterances=2):
    generator = np.random.default_rng(0)
    for part, speakers in (("train-clean-100", range(100, 100 + train)), ("test-other", range(200, 200 + test))):
        for speaker in speakers:
            folder = root / "LibriSpeech" / part / str(speaker) / "1"
            folder.mkdir(parents=True)
            for number in range(utterances):
                noise = generator.normal(size=12_000)
                voice = np.convolve(noise, np.sin(np.arange(40) * speaker % 97 / 10), "same")
                soundfile.write(folder / f"{speaker}-1-{number:04d}.flac", 0.3 * voice / np.abs(voice).max(), 16_000)


@pytest.fixture
def _small(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(verification.SCHEDULES, "quick", SpeakerSchedule(steps=2, batch=4, frames=40))
    monkeypatch.setattr(verification, "SPEEDS", (1.0, 1.1))


@pytest.mark.usefixtures("_small")
def test_a_verifier_is_tested_on_speakers_it_was_not_trained_on(tmp_path):
    _write_librispeech(tmp_path)
    said = []
    task = verification_task(tmp_path, preset="quick", seed=0, say=said.append, seconds=0.5)
    assert task.inputs.shape == (4, 8000)
    assert task.split == "2 test speakers, all pairs"
    assert 0 <= task.measure(task.module, task.inputs) <= 1
    assert "6 speakers" in said[0]
    other = verification_task(
        tmp_path, preset="quick", seed=0, say=said.append, seconds=0.5, block_size=5, utterances=1
    )
    assert len(said) == 1  # the same training serves every block size
    assert torch.allclose(other.module(task.inputs), task.module(task.inputs), atol=1e-4)
    assert len(other.inputs) == 2


@pytest.mark.usefixtures("_small")
def test_a_speaker_on_both_sides_is_refused(tmp_path):
    _write_librispeech(tmp_path)
    (tmp_path / "LibriSpeech" / "test-other" / "200").rename(tmp_path / "LibriSpeech" / "train-clean-100" / "200")
    folder = tmp_path / "LibriSpeech" / "test-other" / "200" / "2"
    folder.mkdir(parents=True)
    soundfile.write(folder / "200-2-0000.flac", np.ones(8000) / 2, 16_000)
    with raises_code(CorpusError, "shared-speaker", match="speaker 200 is both trained on and tested"):
        verification_task(tmp_path, preset="quick", seed=0, say=_silent)


def test_a_folder_without_recordings_is_one_line(tmp_path):
    for task in (
        lambda: verification_task(tmp_path, preset="quick", seed=0, say=_silent),
        lambda: recognisers(tmp_path, preset="quick", seed=0, say=_silent),
        lambda: scene_tasks("esc10", tmp_path, preset="quick", seed=0, say=_silent),
    ):
        with pytest.raises(CorpusError) as refused:
            task()
        assert str(tmp_path) in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("_small")
def test_without_recordings_every_third_synthetic_voice_is_tested(monkeypatch):
    generator = np.random.default_rng(0)
    clips = [
        Clip(id=f"{voice}-{n}", samples=generator.normal(size=9000), rate=16_000, speaker=voice)
        for voice in ("v1", "v2", "v3", "v4", "v5", "v6")
        for n in range(2)
    ]
    corpus = Corpus("synthetic", tuple(clips), synthetic=True, notice="made up")
    monkeypatch.setattr(verification, "load_corpus", lambda name: corpus)
    task = verification_task(None, preset="quick", seed=0, say=_silent, seconds=0.5)
    assert task.corpus == "synthetic"
    assert len(task.inputs) == 4  # of v1 and v4


# Recognition


def _takes(speakers, seed=0):
    generator = np.random.default_rng(seed)
    return [
        Take(speaker, digit, generator.normal(size=800 + 40 * digit).astype(np.float32))
        for speaker in speakers
        for digit in range(10)
        for _ in range(2)
    ]


def test_strings_are_of_one_speaker_and_the_same_on_every_machine():
    takes = _takes(["x", "y"])
    strings, again = (compose(takes, 10, np.random.default_rng(5)) for _ in range(2))
    assert [s.speaker for s in strings] == ["x", "y"] * 5
    assert all(3 <= len(s.digits) <= 7 for s in strings)
    assert strings[0].text == spelled(strings[0].digits) == " ".join(WORDS[d] for d in strings[0].digits)
    for one, other in zip(strings, again, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    faster = compose(takes, 10, np.random.default_rng(5), speeds=(1.5, 1.5))
    assert len(faster[0].samples) < 0.8 * len(strings[0].samples)


def test_log_mel_frames_fill_whole_blocks_and_keep_no_level():
    strings = compose(_takes(["x"]), 4, np.random.default_rng(0))
    frames = log_mel([s.samples for s in strings])
    assert frames.shape[:2] == (4, FEATURES.mels)
    assert frames.shape[2] % 3 == 0
    louder = log_mel([s.samples * 3 for s in strings])
    assert torch.allclose(frames, louder, atol=1e-3)


def test_word_error_rates_count_words():
    strings = compose(_takes(["x"]), 6, np.random.default_rng(0))
    recogniser = Recogniser(PatchCTC(10, bands=FEATURES.mels).eval(), strings, "split", "corpus")
    frames = 40
    paths = torch.zeros(6, frames, dtype=torch.long)
    for row, string in zip(paths, strings, strict=True):
        row[1 : 1 + 2 * len(string.digits) : 2] = torch.tensor(string.digits) + 1
    scores = F.one_hot(paths, 11).transpose(1, 2).float()
    assert recogniser.word_error_rate(scores) == 0
    scores[0] = F.one_hot(torch.zeros(frames, dtype=torch.long), 11).T
    words = sum(len(string.digits) for string in strings)
    assert recogniser.word_error_rate(scores) == pytest.approx(len(strings[0].digits) / words)
    assert recogniser.word_error_rate_of([s.samples for s in strings]) == recogniser.task.measure(
        recogniser.module, recogniser.task.inputs
    )


def test_a_recogniser_is_tested_on_speakers_it_was_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "cache"))
    training = Training(strings=8, epochs=1, batch=4, synthetic_share=0.0)
    monkeypatch.setitem(recognition.TRAINING, "quick", training)
    monkeypatch.setitem(recognition.TEST_STRINGS, "quick", 4)
    folder = tmp_path / "fsdd"
    folder.mkdir()
    for take in _takes(["jackson", "nicolas", "theo"]):
        soundfile.write(folder / f"{take.digit}_{take.speaker}_{len(take.samples) % 7}.wav", take.samples / 5, RATE)
    (found,) = recognisers(tmp_path, preset="quick", seed=0, say=_silent)
    assert len({string.speaker for string in found.strings}) == 1
    assert found.task.inputs.shape[0] == 4
    assert found.task.measure(found.module, found.task.inputs) >= 0


def test_without_recordings_espeak_says_the_digits(tmp_path, monkeypatch):
    takes = synthetic_takes(1, voices=1)
    assert [take.digit for take in takes] == list(range(10))
    assert all(0.1 < take.samples.size / RATE < 2 for take in takes)
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    monkeypatch.setitem(recognition.TRAINING, "quick", Training(strings=8, epochs=1, batch=4))
    monkeypatch.setitem(recognition.TEST_STRINGS, "quick", 4)
    monkeypatch.setattr(recognition, "synthetic_takes", lambda variants: tuple(_takes(["v1", "v2", "v3"])))
    (found,) = recognisers(None, preset="quick", seed=0, say=_silent)
    assert found.corpus == "synthetic"
    assert {string.speaker for string in found.strings} == {"v1"}


# Scenes


def test_scenes_are_tested_on_a_fold_they_were_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "cache"))
    schedule = Schedule(epochs=1, batch=4, rate=1e-3, patience=None)
    monkeypatch.setitem(scenes.SCHEDULES, "quick", schedule)
    generator = np.random.default_rng(0)
    for event in ("rain", "siren"):
        (tmp_path / "esc10" / event).mkdir(parents=True)
        for fold in (1, 2, 3):
            for recording in (10 * fold, 10 * fold + 1):
                path = tmp_path / "esc10" / event / f"{fold}-{recording}{ord(event[0])}-A.flac"
                soundfile.write(path, 0.1 * generator.normal(size=16_000), 16_000)
    (task,) = scene_tasks("esc10", tmp_path, preset="quick", seed=0, say=_silent)
    assert task.split == "folds-test1"
    assert task.inputs.shape == (4, 64, 200)
    assert task.measure(task.module, task.inputs) in (0, 0.25, 0.5, 0.75, 1)
