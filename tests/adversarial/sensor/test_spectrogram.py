"""Spectrogram and log-mel bands: sizes, inverse, floor."""

import pytest
import torch

from sotto.adversarial.sensor.spectrogram import LogMel, Spectrogram
from sotto.link import BadValue
from tests.error_codes import raises_code


@pytest.mark.parametrize(("rate", "bins", "frames"), [(16_000, 257, 101), (44_100, 707, 101), (8_000, 129, 101)])
def test_a_second_has_frames_of_32_ms_every_10_ms(rate, bins, frames):
    assert Spectrogram(rate)(torch.randn(2, rate)).shape == (2, bins, frames)


def test_the_inverse_gives_the_sound_back():
    spectrogram = Spectrogram(16_000)
    sound = torch.randn(2, 16_000)
    assert torch.allclose(spectrogram.inverse(spectrogram.transform(sound), 16_000), sound, atol=1e-4)


def test_a_tone_is_loudest_in_its_own_band():
    spectrogram = Spectrogram(16_000)
    bands = LogMel(16_000, spectrogram.bins, 64, 1e-10)
    time = torch.arange(16_000) / 16_000
    loudest = [int(bands(spectrogram(torch.sin(6.2832 * f * time)[None])).mean(2).argmax()) for f in (200, 1000, 4000)]
    assert loudest == sorted(set(loudest))


def test_nothing_lies_below_the_floor():
    spectrogram = Spectrogram(16_000)
    bands = LogMel(16_000, spectrogram.bins, 64, 0.1)(spectrogram(torch.zeros(1, 16_000)))
    assert torch.allclose(bands, torch.full_like(bands, -10.0))


@pytest.mark.parametrize("rate", [0, -16_000, 7_999, 10**9])
def test_an_absurd_rate_is_refused(rate):
    with raises_code(BadValue, "wrong-rate"):
        Spectrogram(rate)


@pytest.mark.parametrize(("mels", "floor"), [(0, 0.1), (257, 0.1), (64, 0.0), (64, float("nan"))])
def test_absurd_bands_are_refused(mels, floor):
    with raises_code(BadValue, "out-of-range"):
        LogMel(16_000, 257, mels, floor)
