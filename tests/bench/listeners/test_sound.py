"""Every listener hears the same level within 16 bits, and silence is no error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.bench.listeners.sound import LEVEL, at_level, pcm


@given(st.floats(1e-6, 1e6), st.integers(100, 1000))
def test_the_level_is_one_and_the_same_however_loud_the_sound_was(scale, samples):
    sound = np.sin(np.arange(samples) / 3)
    assert np.sqrt(np.mean(at_level(scale * sound) ** 2)) == pytest.approx(LEVEL, rel=1e-3)
    assert at_level(scale * sound) == pytest.approx(at_level(sound), abs=1e-6)


def test_what_is_too_loud_for_16_bits_is_cut_off():
    click = np.zeros(10_000)
    click[5] = 1.0
    assert at_level(click).max() == 1.0
    assert pcm(click).dtype == np.int16
    assert pcm(click).max() == 32767


@pytest.mark.parametrize("sound", [np.zeros(100), np.zeros(0)])
def test_silence_stays_silence(sound):
    assert not at_level(sound).any()
    assert len(at_level(sound)) == len(sound)
