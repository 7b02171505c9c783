"""The table of voice privacy on made-up sounds and listeners: what is opened reads as plain speech, hashes no words."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from sotto import keyed
from sotto.audio import Clip, Corpus
from sotto.audio.splits import Split
from sotto.bench.listeners.experiments import voice_privacy
from sotto.bench.listeners.experiments.bootstrap import over_speakers
from sotto.bench.papers.dias.smh.study import leaking
from sotto.bench.request import Request
from sotto.bench.rows.results import to_json
from sotto.bench.workbench import Workbench

_SPEAKERS, _CLIPS, _SAMPLES = 8, 12, 8000


def _bench():
    """Everybody hums at a pitch of their own, louder in the middle where they are angry."""
    generator = np.random.default_rng(0)
    clips = []
    for number in range(_SPEAKERS * _CLIPS):
        speaker, angry = number // _CLIPS, number % 2
        time = np.arange(_SAMPLES) / 16_000
        wave = np.sin(2 * np.pi * (150 + 60 * speaker) * time) + 0.05 * generator.normal(size=_SAMPLES)
        wave *= 0.2 * (1 + 2 * angry * np.sin(np.pi * time / time[-1]))
        clips.append(
            Clip(
                id=str(number),
                samples=wave.astype(np.float32),
                rate=16_000,
                speaker=f"s{speaker}",
                emotion=("calm", "angry")[angry],
                transcript="HUM HUM",
            )
        )
    parts = [tuple(range(_CLIPS * a, _CLIPS * b)) for a, b in ((0, 4), (4, 5), (5, 8))]
    return Workbench(Corpus("ravdess", tuple(clips)), Split("by speaker", *parts), "emotion", "quick", 0, print)


def _spectra(waves):
    rows = np.array([np.abs(np.fft.rfft(wave[:4096]))[:512] for wave in waves], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _functionals(waves):
    """The envelope in eight pieces."""
    pieces = [np.array_split(np.abs(wave), 8) for wave in waves]
    return np.array([[part.mean() for part in each] for each in pieces], np.float32)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Request, "open_workbench", lambda self: _bench())
        patch.setattr(Request, "require_corpus", lambda self, *names: None)
        patch.setattr(voice_privacy, "speaker_embeddings", _spectra)
        patch.setattr(voice_privacy, "functionals", _functionals)
        patch.setattr(
            voice_privacy, "dictated", lambda waves: ["hum" if abs(np.diff(w)).mean() < 0.1 else "" for w in waves]
        )
        patch.setattr(voice_privacy, "over_speakers", partial(over_speakers, draws=50))
        patch.setattr(voice_privacy, "leaking", partial(leaking, mpc=352))  # of eight numbers instead of 88
        patch.setattr(voice_privacy, "search_machine", lambda fold, key: (10.0, 10.0))
        patch.setattr(voice_privacy, "_guess", lambda sent, learnt, key: None if key.kind == "rom" else key)
        request = Request("ravdess", None, "quick", 0, tmp_path_factory.mktemp("out"), lambda line: None)
        return list(voice_privacy.run(request))


def _figures(rows, mode, seen):
    (row,) = [row for row in rows if (row.mode, row.parameters["seen"]) == (mode, seen)]
    return row.metrics


def test_plain_speech_tells_all_three(rows):
    plain = _figures(rows, "none", "speech")
    assert plain["eer_percent"] == 0
    assert plain["wer_percent"] == 50
    assert plain["emotion_recall_percent"] > 90


def test_who_finds_the_key_has_what_plain_speech_tells(rows):
    for kind in ("shuffling", "flipping"):
        sent, opened = _figures(rows, kind, "as sent"), _figures(rows, kind, "attacked")
        assert opened == pytest.approx(_figures(rows, "none", "speech"))
        assert sent["wer_percent"] > opened["wer_percent"]


def test_an_attack_that_gives_up_has_no_row_and_hashes_have_no_words(rows):
    assert not [row for row in rows if row.mode == "rom" and row.parameters["seen"] == "attacked"]
    assert "wer_percent" not in _figures(rows, "smh", "as sent")


def test_every_figure_lies_in_its_interval(rows):
    for row in rows:
        for name in ("eer_percent", "wer_percent", "emotion_recall_percent"):
            if name in row.metrics:
                assert row.metrics[f"{name}_low"] - 1e-9 <= row.metrics[name] <= row.metrics[f"{name}_high"] + 1e-9
    assert to_json(rows)


@pytest.mark.parametrize("samples", [47_990, 48_130, 61_250])
def test_queries_are_cut_between_blocks(samples):
    wave = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    key = keyed.generate_key("shuffling", voice_privacy.BLOCK, seed=1)
    cut = voice_privacy.middles(voice_privacy.encrypted([wave], key))
    assert cut.numpy() == pytest.approx(keyed.encrypt(voice_privacy.middles([wave]), key).numpy(), abs=1e-5)
