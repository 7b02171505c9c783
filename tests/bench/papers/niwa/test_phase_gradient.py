"""Phase gradient heap integration against sounds whose phases are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT, phases, reconstructed, spectral_convergence

STFT = GaussianSTFT(256, 32)
TIME = np.arange(4000)
SOUNDS = {
    "tone": np.sin(0.3 * TIME),
    "two tones": np.sin(0.3 * TIME) + 0.5 * np.cos(1.1 * TIME),
    "chirp": np.sin(0.05 * TIME + 1e-4 * TIME**2),
    "clicks": (TIME % 500 == 250).astype(float),
}


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3000), st.sampled_from([(256, 32), (128, 64), (64, 8)]), st.integers(0, 99))
def test_the_transform_is_undone(samples, shape, seed):
    stft, sound = GaussianSTFT(*shape), np.random.default_rng(seed).normal(size=samples)
    np.testing.assert_allclose(stft.sound(stft.transform(sound), samples), sound, atol=1e-9)


@pytest.mark.parametrize("name", SOUNDS)
def test_magnitudes_alone_give_the_sound(name):
    sound = SOUNDS[name]
    magnitudes = np.abs(STFT.transform(sound))
    found = np.abs(STFT.transform(reconstructed(magnitudes, STFT, len(sound))))
    rng = np.random.default_rng(0)
    guessed = STFT.sound(magnitudes * np.exp(1j * rng.uniform(0, 2 * np.pi, magnitudes.shape)), len(sound))
    assert spectral_convergence(found, magnitudes) < -20
    assert spectral_convergence(np.abs(STFT.transform(guessed)), magnitudes) > -8


def test_phases_of_a_tone_turn_with_its_frequency():
    magnitudes = np.abs(STFT.transform(SOUNDS["tone"]))
    loudest = int(magnitudes[:, 60].argmax())
    turned = np.diff(phases(magnitudes, STFT)[loudest, 20:100])
    expected = 0.3 * STFT.hop
    assert np.abs((turned - expected + np.pi) % (2 * np.pi) - np.pi).max() < 0.05


def test_silence_stays_silent():
    assert np.array_equal(reconstructed(np.zeros((129, 20)), STFT, 600), np.zeros(600))


def test_convergence():
    assert spectral_convergence(np.array([1.0, 1.1]), np.array([1.0, 1.0])) == pytest.approx(
        20 * np.log10(0.1 / 2**0.5)
    )
