"""A corpus is told what it lacks before it is used."""

from __future__ import annotations

import numpy as np
import pytest

from sotto.audio import Clip, Corpus
from sotto.bench.corpus_uses import uses

SAMPLES = np.ones(160, np.float32)


def corpus(speakers, emotions=("calm", "angry"), each=2):
    return Corpus(
        "small",
        tuple(
            Clip(id=f"{s}-{e}-{k}", samples=SAMPLES, rate=16000, speaker=f"s{s}", emotion=e)
            for s in range(speakers)
            for e in emotions
            for k in range(each)
        ),
    )


@pytest.mark.parametrize(
    ("speakers", "bench", "named", "folds"),
    [(1, "no", "no", "no"), (3, "yes", "no", "no"), (5, "yes", "no", "no"), (6, "yes", "yes", "yes")],
)
def test_few_speakers(speakers, bench, named, folds):
    found = uses(corpus(speakers))
    assert found["sotto bench --label emotion"].startswith(bench)
    assert found["attackers who name speakers"].startswith(named)
    assert found["cross-validation in 6 folds"].startswith(folds)
    assert found["sotto bench --label digit"].startswith("no: ")
    assert not any("\n" in line for line in found.values())


def test_one_class_is_nothing_to_classify():
    assert "at least 2" in uses(corpus(6, emotions=("calm",)))["sotto bench --label emotion"]


def test_a_class_that_no_training_speaker_has_is_named():
    """The one who is bored is in the test part for some name: names decide where speakers go."""
    answers = set()
    for name in ("a", *(f"s{k}x" for k in range(6))):
        bored = Clip(id="rare", samples=SAMPLES, rate=16000, speaker=name, emotion="bored")
        answers.add(uses(Corpus("small", (*corpus(6).clips, bored)))["sotto bench --label emotion"])
    assert any("no training clip of bored" in answer for answer in answers)
