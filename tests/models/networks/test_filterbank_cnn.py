"""A bank of filters over blocks of samples: what each band hears, and that nothing but products and sums is left."""

import numpy as np
import pytest
import torch

from sotto import he
from sotto.audio.features import SampleBlocks
from sotto.audio.features.mel import mel_bands
from sotto.link import BadValue
from sotto.models.networks.filterbank_cnn import FilterbankCNN, filterbank
from tests.error_codes import raises_code

SMALL = {"block": 8, "blocks": 16, "rate": 1000, "bands": 4, "activation": "poly2"}


def tone(hertz, phase, length, rate=8000):
    return np.cos(2 * np.pi * hertz / rate * np.arange(length) + phase)


def test_a_band_hears_its_own_centre_whatever_the_phase():
    kernels = filterbank(32, 384, 8000)
    for band, centre in enumerate(mel_bands(80.0, 3800.0, 32)):
        power = [(kernels @ tone(centre, phase, 384)) ** 2 for phase in (0.0, 0.7, 1.4)]
        heard = np.stack([each[:32] + each[32:] for each in power])
        assert heard[:, band] == pytest.approx(0.25, rel=0.12)
        assert (np.abs(heard.argmax(axis=1) - band) <= 1).all()


def test_a_convolution_over_blocks_is_one_over_the_sound():
    spec = SampleBlocks(rate=1000, block=8, blocks=16, companding=0, trim_db=None)
    sound = np.random.default_rng(0).uniform(-1, 1, 128).astype(np.float32)
    network = FilterbankCNN(3, **SMALL).eval()
    with torch.no_grad():
        found = network.filters(torch.from_numpy(spec.compute(sound))[None])[0].numpy()
    padded = np.pad(sound, 8)
    expected = 10 * filterbank(4, 24, 1000) @ np.lib.stride_tricks.sliding_window_view(padded, 24)[::8].T
    assert found == pytest.approx(expected, abs=1e-5)


def test_it_is_affine_steps_and_squares():
    torch.manual_seed(0)
    network = FilterbankCNN(3, **SMALL)
    for _ in range(20):
        network(torch.rand(16, 8, 16) - 0.5)
    exported = he.network_of(network.eval(), None, (8, 16))
    assert [len(stage.polynomial or ()) for stage in exported.stages] == [3, 3, 3, 0]
    x = torch.rand(5, 8, 16) - 0.5
    with torch.no_grad():
        assert exported.logits(x.numpy()) == pytest.approx(network(x).numpy(), abs=1e-3)
    assert not network.filters.weight.requires_grad


@pytest.mark.parametrize("change", [{"window": 2}, {"blocks": 1}, {"bands": 0}, {"rate": 10}])
def test_sizes_that_make_no_network_are_refused(change):
    with raises_code(BadValue, "out-of-range"):
        FilterbankCNN(3, **{**SMALL, **change})
