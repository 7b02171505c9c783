"""A private head on given embeddings: real parties answer as the plain head does, for speakers and for emotions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sotto.audio import Clip, Corpus
from sotto.audio.splits import Split
from sotto.bench.listeners.experiments import frozen_embeddings
from sotto.bench.listeners.published import SpeakerEmbeddingFeature
from sotto.bench.request import Request
from sotto.bench.workbench import Workbench
from sotto.models.learning.training import Schedule

_SPEAKERS, _CLIPS = 6, 8


@pytest.fixture
def bench():
    """Six speakers with an embedding of their own and two emotions that show in it."""
    generator = np.random.default_rng(0)
    clips, rows = [], []
    voices = generator.uniform(0, 1, (_SPEAKERS, 256))
    for speaker in range(_SPEAKERS):
        for number in range(_CLIPS):
            emotion, sentence = ("calm", "angry")[number % 2], str(number // 2 % 2)
            name = f"{speaker}-{number}"
            clips.append(Clip(id=name, path=Path(name), speaker=str(speaker), emotion=emotion, sentence=sentence))
            row = voices[speaker] + 0.05 * generator.normal(size=256)
            row[:40] += (0.6, 0)[number % 2]
            rows.append(np.maximum(row, 0))
    corpus = Corpus("made up", tuple(clips))
    parts = [tuple(range(_CLIPS * a, _CLIPS * b)) for a, b in ((0, 3), (3, 4), (4, 6))]
    bench = Workbench(corpus, Split("by speaker", *parts), "emotion", "quick", 0, lambda line: None)
    features = np.array(rows, np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    bench.features = lambda spec: features
    return bench


def test_templates_of_one_sentence_name_the_speaker_of_the_other(bench):
    head = frozen_embeddings._speaker(bench, bench.features(None))
    assert head.figures == {"eer_percent": 0.0, "speakers": 2.0}
    assert len(head.examples.queries) == _CLIPS
    assert np.linalg.norm(head.network.head.weight.detach().numpy(), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_parties_answer_as_the_plain_heads(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(Request, "open_workbench", lambda self: bench)
    monkeypatch.setattr(frozen_embeddings, "PARADIGMS", {"quick": {"relu": ("mpc/semi-honest",)}})
    monkeypatch.setattr(frozen_embeddings, "_SCHEDULE", Schedule(epochs=10, batch=8, patience=None))
    monkeypatch.setattr(frozen_embeddings, "SINGLES", {"quick": 2})
    monkeypatch.setattr(frozen_embeddings, "_front_end_ms", lambda bench: 1.0)
    rows = list(frozen_embeddings.run(Request("made up", None, "quick", 0, tmp_path, lambda line: None)))
    assert [row.model for row in rows] == ["ge2e-emotion-relu", "ge2e-speaker"]
    for row in rows:
        assert row.agreement == 1
        assert row.max_abs_error < 0.01
        assert row.metrics["front_end_ms"] == 1
    assert rows[0].metrics["unweighted_recall_percent"] > 80
    assert rows[1].accuracy_private == 1


def test_a_clip_becomes_256_numbers_that_a_cache_can_name():
    spec = SpeakerEmbeddingFeature()
    assert spec.shape == (256,)
    pytest.importorskip("resemblyzer")
    sound = np.sin(np.arange(16_000) / 10).astype(np.float32)
    assert spec.compute(sound).shape == spec.shape
    assert "resemblyzer" in str(spec.cache_record())
