"""The attacks, on synthetic speech-like sound here; on real speech where SOTTO_DATA names a folder that has some."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import nn

from sotto.keyed import KEY_TYPES, ROM, Flipping, Shuffling, encrypt, encrypt_model, generate_key
from sotto.keyed.attacks import (
    Moments,
    blocks_until_exact,
    correlation,
    decrypt_without_key,
    guess_key,
    judge,
    key_from_kernels,
    key_from_pairs,
    what_shows,
)
from sotto.keyed.attacks.ciphertext_only.moment_alignment import solve_signs
from sotto.keyed.attacks.ciphertext_only.moments import LAGS, Stationarity
from sotto.keyed.attacks.ciphertext_only.second_order import right_way_up
from sotto.keyed.encryption.transform import blocks

SPEECH = Path(os.environ.get("SOTTO_DATA", "")) / "librispeech"
real_speech = pytest.mark.skipif(
    "SOTTO_DATA" not in os.environ or not SPEECH.is_dir(), reason="SOTTO_DATA names no folder with librispeech/"
)


def voiced(clips, seconds, seed):
    """Pulses with a little noise through four resonances that differ from clip to clip: (clips, samples) at 16 kHz."""
    generator = np.random.default_rng(seed)
    out = []
    for _ in range(clips):
        samples = int(16_000 * seconds)
        source = 0.05 * generator.normal(size=samples)
        source[:: int(generator.integers(70, 160))] += 1
        for centre in (600, 1400, 2600, 3600):
            angle = 2 * np.pi * centre * generator.uniform(0.85, 1.15) / 16_000
            source = lfilter([1], [1, -2 * 0.97 * np.cos(angle), 0.97**2], source)
        out.append(source * (1 + 0.5 * np.sin(np.arange(samples) / 3000)))
    sound = np.stack(out)
    return torch.from_numpy((sound / sound.std()).astype(np.float32))


def bands(clips, seed):
    """Log energies that move slowly in time and across neighbouring bands: (clips, 32, 160)."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(clips, 32, 160))
    smooth = lfilter([1], [1, -0.9], lfilter([1], [1, -0.7], noise, axis=1), axis=2)
    tilt = np.linspace(1, 0, 32)[None, :, None] * smooth.std()
    return torch.from_numpy((smooth + tilt).astype(np.float32))


@pytest.fixture(scope="module")
def sounds():
    return {
        1: (voiced(6, 2, seed=1), voiced(12, 3, seed=2)),
        2: (bands(6, seed=1), bands(40, seed=2)),
    }


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize(("dimension", "size"), [(1, 3), (1, 10), (2, 4)])
def test_known_plaintext_gives_the_exact_key(sounds, kind, dimension, size):
    """One block for Shuffling and Flipping; no more than N, and no fewer than N - 1, for ROM."""
    key = generate_key(kind, size, dimension, seed=1)
    needed = blocks_until_exact(sounds[dimension][0], key)
    if kind == "rom":
        assert key.length - 1 <= needed <= 3 * key.length
    else:
        assert needed == 1


@pytest.mark.parametrize("length", [4, 9])
def test_rom_needs_as_many_independent_blocks_as_a_block_has_numbers(length):
    x = torch.randn(64, length, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    key = ROM.generate(length, seed=1)
    found = [key_from_pairs(x[:n], encrypt(x[:n], key), "rom", length, 1) for n in range(1, length + 1)]
    errors = [np.abs(guess.matrix() - key.matrix()).max() for guess in found]
    assert min(errors[: length - 2]) > 1e-3
    assert errors[-1] < 1e-9


def test_blocks_that_say_nothing_give_no_key():
    key = Flipping.generate(5, seed=1)
    assert blocks_until_exact(torch.ones(1, 4), generate_key("flipping", 2, seed=1)) == 1
    assert blocks_until_exact(torch.ones(1, 400), generate_key("shuffling", 5, seed=1)) is None
    assert key_from_pairs(torch.ones(3, 5), torch.ones(3, 5), key.kind, 5, 1) is None


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_published_kernel_gives_the_exact_key(kind):
    """64 output channels are 64 known blocks: a provider who knows the plain model needs no query at all."""
    model = nn.Sequential(nn.Conv2d(1, 64, 4, 4), nn.ReLU())
    key = generate_key(kind, 4, 2)
    found = key_from_kernels(model, encrypt_model(model, key, example=torch.randn(1, 1, 16, 16)), kind)
    np.testing.assert_allclose(found.matrix(), key.matrix(), atol=1e-4)


@pytest.mark.parametrize(("dimension", "size"), [(1, 3), (1, 10), (1, 20), (2, 4)])
def test_flipping_falls_to_neighbouring_samples(sounds, dimension, size):
    outcome = decrypt_without_key(*sounds[dimension], generate_key("flipping", size, dimension, seed=3))
    assert outcome.key_exact_up_to_sign
    assert outcome.correlation > 0.999 > outcome.correlation_encrypted


@pytest.mark.parametrize(("dimension", "size"), [(1, 3), (1, 10), (1, 20), (2, 3), (2, 4)])
def test_shuffling_falls_to_the_jigsaw(sounds, dimension, size):
    outcome = decrypt_without_key(*sounds[dimension], generate_key("shuffling", size, dimension, seed=3))
    assert outcome.key_exact
    assert outcome.correlation > 0.999 > outcome.correlation_encrypted


@pytest.mark.parametrize(
    ("dimension", "size", "least"), [(1, 3, 0.99), pytest.param(1, 10, 0.95, marks=pytest.mark.slow), (2, 3, 0.7)]
)
def test_rom_falls_to_stationarity(sounds, dimension, size, least):
    outcome = decrypt_without_key(*sounds[dimension], generate_key("rom", size, dimension, seed=3))
    assert outcome.correlation > least
    assert outcome.correlation > outcome.correlation_encrypted + 0.2
    assert not outcome.key_exact or outcome.correlation > 0.999


@pytest.mark.parametrize("sign", [1, -1])
def test_the_skewness_of_spectrograms_shows_their_sign(sign):
    drawn = torch.from_numpy(np.random.default_rng(0).gamma(1.0, size=(6, 16, 80))).float() - 1  # few large values
    speech, public = drawn[:2], drawn[2:]
    key = ROM.generate(4, 2, seed=1)
    right = torch.from_numpy(key.matrix())
    assert torch.equal(right_way_up(sign * right, encrypt(speech, key), public, 4), right)


@pytest.mark.parametrize("kind", ["shuffling", "flipping"])  # every rotation of white noise is as good as any other
def test_nothing_to_go_by_gives_nothing(kind):
    """On white noise the attacks must fail: what they find on speech comes from the speech.

    Of 64 numbers a guess at random gets so many right that the correlation is 0.1 ± 0.1.
    """
    noise = torch.randn(6, 16_000, generator=torch.Generator().manual_seed(1))
    other = torch.randn(6, 16_000, generator=torch.Generator().manual_seed(2))
    key = generate_key(kind, 64, seed=4)
    outcome = judge("noise", guess_key(encrypt(noise, key), other, key), key, noise, 1500)
    assert not outcome.key_exact_up_to_sign
    assert outcome.correlation < 0.8


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("dimension", [1, 2])
def test_what_shows_without_an_attack(sounds, kind, dimension):
    speech = sounds[dimension][0].clone()
    speech[..., :32] = 0
    shown = what_shows(speech, generate_key(kind, 8, dimension, seed=1))
    assert shown.energy_correlation > 0.9999
    assert shown.silence_found == 1.0
    assert shown.linkable
    assert (shown.sorted_correlation > 0.9999) == (kind == "shuffling")
    assert (shown.magnitude_correlation > 0.9999) == (kind == "flipping")


def test_moments_are_seen_through_the_key(sounds):
    for dimension in (1, 2):
        speech = sounds[dimension][0].double()
        key = generate_key("rom", 4, dimension, seed=1)
        k = torch.from_numpy(key.matrix())
        plain, seen = (Moments.of(x, 4, dimension) for x in (speech, encrypt(speech, key)))
        torch.testing.assert_close(seen.mean, plain.mean @ k)
        torch.testing.assert_close(seen.covariances, k.T @ plain.covariances @ k)
        assert seen.count == plain.count == blocks(speech, 4, dimension).shape[:3].numel()
        assert float(plain.covariances[0].trace()) == pytest.approx(1)


@pytest.mark.parametrize(("dimension", "size"), [(1, 5), (2, 3)])
def test_speech_is_stationary_and_the_projection_is_one(sounds, dimension, size):
    rule = Stationarity(size, dimension)
    plain = Moments.of(sounds[dimension][1], size, dimension).covariances[None]
    other = Moments.of(encrypt(sounds[dimension][1], generate_key("rom", size, dimension, seed=1)), size, dimension)

    def excess(c):
        return float((c - rule.nearest(c)).square().sum() / c.square().sum())

    assert excess(plain) < 0.05
    assert excess(other.covariances[None]) > 3 * excess(plain)
    random = torch.Generator().manual_seed(1)
    once = rule.nearest(torch.randn(2, LAGS + 1, size**dimension, size**dimension, generator=random).double())
    torch.testing.assert_close(rule.nearest(once), once)
    torch.testing.assert_close(once[:, 0], once[:, 0].transpose(1, 2))


def test_stationary_covariances_depend_on_time_alone():
    """Against the definition: entry [l, i, j] of an exactly stationary waveform is r(|l M + j - i|)."""
    r = torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lag, i, j = torch.meshgrid(torch.arange(LAGS + 1), torch.arange(6), torch.arange(6), indexing="ij")
    exact = r[(lag * 6 + j - i).abs()][None]
    torch.testing.assert_close(Stationarity(6, 1).nearest(exact), exact)


def test_signs_are_solved_exactly_where_that_can_be_checked():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        pull, lean = torch.randn(8, 8, generator=generator), torch.randn(8, generator=generator)
        every = torch.tensor([[1.0 - 2 * ((n >> b) & 1) for b in range(8)] for n in range(256)])
        off = pull - torch.diag(pull.diagonal())
        best = ((every @ off) * every).sum(1) + every @ lean
        found = solve_signs(pull, lean, generator)
        assert float(found @ off @ found + found @ lean) == pytest.approx(float(best.max()), abs=1e-4)


def test_correlation():
    x = torch.randn(4, 100, generator=torch.Generator().manual_seed(1))
    assert correlation(-3 * x + 2, x) == pytest.approx(1, abs=1e-6)
    assert correlation(torch.zeros(4, 100), x) == 0


def test_judging_a_guess():
    speech = voiced(2, 0.5, seed=3)
    key = Shuffling.generate(6, seed=1)
    right, none = judge("x", key, key, speech, 5), judge("x", None, key, speech, 5)
    assert right.key_exact
    assert right.correlation == pytest.approx(1)
    assert not none.key_exact
    assert none.correlation == none.correlation_encrypted


@pytest.mark.slow
@real_speech
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_on_real_speech_one_utterance_is_enough(kind):
    """M = 10 on waveforms: an utterance of one speaker, public speech of others."""
    from sotto.audio import load_corpus, read

    corpus = load_corpus("librispeech", SPEECH)
    victim = corpus.speakers[0]
    theirs = torch.from_numpy(read(next(clip for clip in corpus if clip.speaker == victim), 16_000)[:80_000])[None]
    others = [clip for clip in corpus if clip.speaker != victim][:40]
    public = torch.from_numpy(np.stack([np.resize(read(clip, 16_000), 80_000) for clip in others]))
    outcome = decrypt_without_key(theirs, public, generate_key(kind, 10, seed=5))
    assert outcome.correlation > 0.95
    assert kind == "rom" or outcome.key_exact_up_to_sign
