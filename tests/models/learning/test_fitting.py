"""From corpus to scored model: learns tones, resumes from the cache, keeps speakers apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sotto.audio import cache
from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.errors import SplitError
from sotto.audio.features import MFCC, extract, from_record
from sotto.audio.splits import Split, speaker_folds
from sotto.link import BadValue
from sotto.models import load
from sotto.models.learning.augmentation import Augmentation
from sotto.models.learning.cross_validation import cross_validate
from sotto.models.learning.evaluation import accuracy, unweighted_average_recall
from sotto.models.learning.fitting import fit
from sotto.models.learning.recipes import RECIPES, Recipe
from sotto.models.learning.training import Schedule, predict
from tests.error_codes import raises_code

RATE = 16000
SPEC = MFCC(coefficients=13, frames=24, hop=200, n_fft=512, mels=20, padding="silence")
RECIPE = Recipe(
    name="tiny",
    architecture="frames",
    features=SPEC,
    arguments={"coefficients": 13, "frames": 24, "dropout": 0.1},
    schedule=Schedule(epochs=8, batch=16, rate=3e-3, average=0.8, patience=None),
    augmentation=Augmentation(speeds=(), width=32, shift=2, moments=1, moment_width=4, band_width=3),
)
VOICES = {"calm": (0.0, 1.0), "angry": (9.0, 0.3), "sad": (3.0, 2.5)}


def clip(speaker, emotion, take):
    """A harmonic tone: the speaker sets the pitch, the emotion tremor and the fall of the harmonics."""
    generator = np.random.default_rng([speaker, take, len(emotion)])
    t = np.arange(int(0.35 * RATE)) / RATE
    tremor, fall = VOICES[emotion]
    phase = 2 * np.pi * (110 + 25 * speaker) * t + tremor * 0.3 * np.sin(2 * np.pi * 7 * t)
    sound = sum(np.sin(k * phase) / k**fall for k in range(1, 12))
    samples = 0.05 * sound / np.abs(sound).max() + 0.001 * generator.normal(size=t.size)
    name = f"{speaker}-{emotion}-{take}"
    return Clip(
        id=name, samples=samples.astype(np.float32), rate=RATE, speaker=f"s{speaker}", emotion=emotion, sex="female"
    )


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    clips = [clip(s, emotion, take) for s in range(6) for emotion in VOICES for take in range(6)]
    return Corpus("tones", tuple(clips))


def test_fit_beats_chance_and_records_what_it_did(corpus):
    split = speaker_folds(corpus, 3, 0)[1]
    module, record = fit(corpus, split, RECIPE, jobs=1)
    assert record.scores["accuracy"] > 0.6
    assert record.scores["test_clips"] == len(split.test)
    assert (record.corpus, record.split, record.classes) == ("tones", split.name, ("angry", "calm", "sad"))
    test = corpus.subset(split.test)
    features = extract(test, from_record(record.features), jobs=1)
    predicted = predict(module, record.normalisation.transform(features)).argmax(1)
    assert accuracy(test.targets("emotion", record.classes), predicted) == record.scores["accuracy"]


def test_second_fit_is_read_from_the_cache(corpus, monkeypatch):
    split = speaker_folds(corpus, 3, 0)[0]
    module, record = fit(corpus, split, RECIPE, jobs=1)
    monkeypatch.setattr("sotto.models.learning.fitting.train", None)  # training again would fail
    again, same = fit(corpus, split, RECIPE, jobs=1)
    assert same.scores == record.scores
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))
    for other in (replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=9)), replace(RECIPE, arguments={})):
        with pytest.raises(TypeError):
            fit(corpus, split, other, jobs=1)
    with pytest.raises(TypeError):
        fit(corpus, split, RECIPE, seed=1, jobs=1)


def test_damaged_cache_entry_is_trained_again(corpus):
    split = speaker_folds(corpus, 3, 0)[0]
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=1), augmentation=None)
    fit(corpus, split, short, jobs=1)
    (entry,) = (cache.root() / "models").iterdir()
    entry.write_bytes(entry.read_bytes()[:1000])
    _, record = fit(corpus, split, short, jobs=1)
    assert load(entry)[1].scores == record.scores


def test_interrupted_cross_validation_resumes(corpus):
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=1))

    class Stop(Exception):
        pass

    def stop_at_second(fold):
        done.append(fold)
        if len(done) == 2:
            raise Stop

    done = []
    with pytest.raises(Stop):
        cross_validate(corpus, short, folds=3, jobs=1, done=stop_at_second)
    assert len(list((cache.root() / "models").iterdir())) == 2
    result = cross_validate(corpus, short, folds=3, jobs=1)
    assert result.folds[:2] == tuple(done)
    assert sorted(s for fold in result.folds for s in fold.speakers) == corpus.speakers
    assert result.accuracy == pytest.approx(np.mean([fold.accuracy for fold in result.folds]))


def test_refuses_a_split_that_shares_a_speaker(corpus):
    leaking = Split("leaking", train=tuple(range(10)), validation=(), test=tuple(range(10, 108)))
    with raises_code(SplitError, "shared-speaker", match="share the speaker s0"):
        fit(corpus, leaking, RECIPE, jobs=1)


def test_early_stopping_recipe_does_not_train_on_validation_speakers(corpus, monkeypatch):
    seen = {}

    def watch(*arguments, **options):
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("sotto.models.learning.fitting.train", watch)
    split = speaker_folds(corpus, 3, 0)[0]
    for patience in (5, None):
        recipe = replace(RECIPE, schedule=replace(RECIPE.schedule, patience=patience), augmentation=None)
        with pytest.raises(KeyboardInterrupt):
            fit(corpus, split, recipe, jobs=1)
        wanted = split.train if patience else split.train + split.validation
        assert sorted(seen["training"]) == sorted(wanted)
        assert tuple(seen["validation"]) == (split.validation if patience else ())
        assert not set(seen["training"]) & set(split.test)


def test_recipes_are_plain_data():
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert cache.key_of(recipe.to_record())
        assert from_record(recipe.features.to_record()) == recipe.features


def test_scores():
    assert accuracy([0, 0, 0, 1], [0, 0, 0, 0]) == 0.75
    assert unweighted_average_recall([0, 0, 0, 1], [0, 0, 0, 0]) == 0.5
    with raises_code(BadValue, "shapes-differ"):
        accuracy([0, 1], [0])
