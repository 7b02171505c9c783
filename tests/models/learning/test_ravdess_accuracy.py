"""Accuracy on real speech that the models claim: RAVDESS, eight emotions, six folds over actors."""

import os
from pathlib import Path

import pytest

from sotto.audio import load_corpus
from sotto.models.learning.cross_validation import cross_validate
from sotto.models.learning.recipes import DEPINTO, FRAMES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif("SOTTO_DATA" not in os.environ, reason="SOTTO_DATA names no folder with ravdess/ in it"),
]


@pytest.mark.parametrize(("recipe", "floor"), [(FRAMES, 0.58), (DEPINTO, 0.35)], ids=["frames", "depinto"])
def test_mean_over_actor_disjoint_folds(recipe, floor, tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))  # trained now, by this code
    corpus = load_corpus("ravdess", Path(os.environ["SOTTO_DATA"]) / "ravdess")
    result = cross_validate(corpus, recipe, folds=6, seed=0)
    assert sorted(actor for fold in result.folds for actor in fold.speakers) == corpus.speakers
    assert result.accuracy >= floor
