"""Augmentation: without variation it is the inference feature, and with it the stated limits hold."""

import numpy as np
import pytest
import torch

from sotto.audio import read
from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.features import MFCC, extract
from sotto.link import BadValue
from sotto.models import Normalisation
from sotto.models.learning.augmentation import Augmentation, Variations, VariedCepstra, at_speed
from tests.error_codes import raises_code

RATE = 16000
STILL = Augmentation(speeds=(), tempo=0, shift=0, bands=0, moments=0, width=64)
SPEC = MFCC(coefficients=13, frames=40, hop=160, n_fft=512, mels=26, padding="silence")


def tone(pitch, seconds, seed=0):
    t = np.arange(int(RATE * seconds)) / RATE
    sound = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 8))
    noise = np.random.default_rng(seed).normal(size=t.size)
    return (0.05 * sound + 0.003 * noise).astype(np.float32)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    clips = [
        Clip(id=f"c{k}", samples=tone(100 + 40 * k, 0.3 + 0.12 * k, k), rate=RATE, speaker=f"s{k}", emotion="calm")
        for k in range(5)
    ]
    return Corpus("tones", tuple(clips))


def examples(corpus, augmentation):
    plain = extract(corpus, SPEC, jobs=1)
    statistics = Normalisation.standard(plain)
    return VariedCepstra(plain, Variations(corpus, SPEC, augmentation, jobs=1), statistics)


def test_without_variation_it_is_the_inference_feature(corpus):
    varied = examples(corpus, STILL)
    everyone = torch.arange(len(corpus))
    drawn, plain = varied.draw(everyone, torch.Generator()), varied.plain(everyone)
    assert drawn.shape == plain.shape == (5, 13, 40)
    lengths = [clip.samples.size // SPEC.hop for clip in corpus]
    for i, length in enumerate(lengths):
        # A clip between the two lengths lies on another grid of frames by a part of a hop.
        tolerance = 0.05 if length < 40 or length > 64 else 0.5
        assert (drawn[i] - plain[i]).abs().mean() < tolerance


def test_same_generator_same_examples(corpus):
    varied = examples(corpus, Augmentation(width=64))
    everyone = torch.arange(len(corpus))
    one = varied.draw(everyone, torch.Generator().manual_seed(3))
    two = varied.draw(everyone, torch.Generator().manual_seed(3))
    other = varied.draw(everyone, torch.Generator().manual_seed(4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.isfinite(one).all()


def test_masked_moments_are_the_mean_and_bounded(corpus):
    still = examples(corpus, STILL)
    masking = examples(corpus, Augmentation(speeds=(), tempo=0, shift=0, bands=0, moments=1, moment_width=10, width=64))
    for seed in range(20):
        everyone = torch.arange(len(corpus))
        masked = masking.draw(everyone, torch.Generator().manual_seed(seed))
        base = still.draw(everyone, torch.Generator().manual_seed(seed))
        changed = (masked != base).any(1)
        assert changed.sum(1).max() <= 10
        np.testing.assert_array_equal(masked.transpose(1, 2)[changed], 0)


def test_speed_raises_pitch_and_shortens(corpus):
    fast = at_speed(corpus, 1.25)
    assert [clip.id for clip in fast] == [clip.id for clip in corpus]
    assert fast.labels("speaker") == corpus.labels("speaker")
    before, after = read(corpus[0]), read(fast[0])
    assert after.size == pytest.approx(before.size / 1.25, abs=2)

    def pitch(x):
        return np.abs(np.fft.rfft(x * np.hanning(x.size), 1 << 16)).argmax() * RATE / (1 << 16)

    assert pitch(after) == pytest.approx(1.25 * pitch(before), rel=0.01)


@pytest.mark.parametrize(
    "wrong", [{"speeds": (3.0,)}, {"tempo": -0.1}, {"width": 0}, {"bands": -1}, {"moment_width": -1.0}]
)
def test_augmentation_refuses(wrong):
    with raises_code(BadValue, "out-of-range"):
        Augmentation(**wrong)


def test_variations_refuse_features_they_cannot_vary(corpus):
    with raises_code(BadValue, "wrong-features"):
        Variations(corpus, MFCC(normalisation="mean"), Augmentation())
    with raises_code(BadValue, "too-few-frames"):
        Variations(corpus, MFCC(), Augmentation(width=100))
