"""The filterbank in blocks is a log-mel spectrogram whatever the block size; what the embedding does not hear."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from sotto.models.networks.speaker_embedding import FLOOR, RATE, FilterbankFrontEnd, SpeakerEmbedding
from sotto.models.weights import ModelRecord, load, save


def _sound(samples=4000):
    sound = torch.randn(2, samples, generator=torch.Generator().manual_seed(1))
    return sound.cumsum(1) / sound.cumsum(1).std()


@pytest.mark.parametrize(("block_size", "window", "hop"), [(10, 400, 160), (5, 400, 160), (3, 399, 159)])
def test_two_convolutions_are_a_mel_spectrogram(block_size, window, hop):
    found = FilterbankFrontEnd(block_size, bands=24)(_sound()).detach().numpy()
    hann = np.hanning(window + 2)[1:-1]
    frames = np.lib.stride_tricks.sliding_window_view(_sound().numpy().astype(np.float64), window, axis=1)[:, ::hop]
    power = np.abs(np.fft.rfft(frames * hann, axis=2)) ** 2 / (hann**2).sum()
    mel = librosa.filters.mel(sr=RATE, n_fft=window, n_mels=24, fmin=20.0, norm=None)
    expected = np.log(np.einsum("mb,nfb->nmf", mel / mel.sum(1, keepdims=True), power) + FLOOR)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_white_noise_of_unit_power_has_unit_power_in_every_band():
    noise = torch.randn(1, 160_000, generator=torch.Generator().manual_seed(0))
    bands = FilterbankFrontEnd(10, bands=16)(noise).exp().mean(2)
    assert torch.allclose(bands, torch.ones_like(bands), atol=0.15)


def test_embeddings_ignore_what_fills_no_block_and_a_channel_axis():
    module = SpeakerEmbedding(16, width=16).eval()
    with torch.no_grad():
        whole = module(_sound(4000))
        assert whole.shape == (2, 16)
        assert torch.equal(module(torch.cat([_sound(4000), torch.ones(2, 7)], 1)), whole)
        assert torch.equal(module(_sound(4000)[:, None]), whole)


def test_the_trunk_does_not_hear_a_constant_frequency_response():
    module = SpeakerEmbedding(16, width=16).eval()
    frames = module.front(_sound()).detach()
    response = torch.linspace(-2, 2, frames.shape[1])[:, None]
    with torch.no_grad():
        assert torch.allclose(module.trunk(frames + response), module.trunk(frames), atol=1e-4)


def test_a_speaker_model_file_gives_the_same_embeddings(tmp_path):
    module = SpeakerEmbedding(16, block_size=5, width=16).eval()
    arguments = {"size": 16, "block_size": 5, "width": 16}
    save(
        tmp_path / "m.safetensors",
        module,
        ModelRecord(architecture="speaker-embedding", arguments=arguments, classes=()),
    )
    again, _ = load(tmp_path / "m.safetensors")
    with torch.no_grad():
        assert torch.equal(again(_sound()), module(_sound()))
