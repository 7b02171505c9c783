"""The analysis as layers is the analysis of the audio package, and runs privately like any other layers."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from sotto import mpc
from sotto.audio.features import MFCC, MFCCSamples, from_record
from sotto.link import BadValue
from sotto.models import Normalisation
from sotto.models.networks.front_end import CepstralFrontEnd
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

SPEC = MFCC(coefficients=5, frames=7, rate=8000, n_fft=128, hop=40, mels=12, fmin=100.0, padding="silence")
UNIT = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))


def sound(samples, seed=0):
    """Noise with a tone and a silent stretch."""
    rng = np.random.default_rng(seed)
    x = 0.05 * rng.normal(size=samples) + 0.4 * np.sin(np.arange(samples) * 0.6)
    x[: samples // 4] *= 0.1
    return x.astype(np.float32)


def both(spec, samples, normalisation=UNIT):
    """Features by layers and by the audio package."""
    x = MFCCSamples(**asdict(spec)).compute(sound(samples))
    with torch.no_grad():
        found = CepstralFrontEnd(spec, normalisation)(torch.from_numpy(x)[None]).numpy()
    return found[0], normalisation.transform(spec.compute(sound(samples))[None])[0]


CHANGES = [{}, {"lifter": 22}, {"win": 100}, {"fmax": 3000.0}, {"top_db": None}, {"pre_emphasis": 0.9}]


@pytest.mark.parametrize("samples", [241, 279, 2000, 2013])
@pytest.mark.parametrize("change", CHANGES)
def test_layers_give_what_the_audio_package_gives(samples, change):
    found, expected = both(replace(SPEC, **change), samples)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("change", [{"top_db": 60.0}, {"top_db": 20.0}, {"padding": "repeat"}, {"trim_db": 10.0}])
def test_what_depends_on_the_loudest_frame_or_the_length_is_the_same(change):
    for samples in (100, 279):
        found, expected = both(replace(SPEC, **change), samples)
        assert np.abs(found - expected).max() < 1e-3


def test_the_floor_is_ninety_decibels_below_one():
    spec = replace(SPEC, top_db=None, coefficients=1)
    found, _ = both(spec, 100)
    assert found.min() == pytest.approx(np.sqrt(spec.mels) * 10 * np.log10(2.0**-30), abs=1e-3)


def test_the_networks_statistics_are_the_last_layers():
    rng = np.random.default_rng(2)
    statistics = Normalisation.range(20 * rng.normal(size=(9, *SPEC.shape)), axes=(0, 2))
    found, expected = both(SPEC, 2000, replace(statistics, clip=1.0))
    assert np.abs(found).max() == 1.0
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("change", [{"frames": None}, {"padding": "zero"}, {"normalisation": "mean"}])
def test_what_no_fixed_layers_do_is_refused(change):
    with raises_code(BadValue, "wrong-features"):
        CepstralFrontEnd(replace(SPEC, **change), UNIT)


def test_samples_are_a_feature_with_a_record():
    samples = MFCCSamples(**asdict(SPEC))
    assert from_record(samples.to_record()) == samples
    assert samples.compute(sound(900)).shape == samples.shape == (6 * 40 + 128,)
    with raises_code(BadValue, "bad-parameter"):
        MFCCSamples(frames=None)


def test_it_runs_privately_with_a_proven_error():
    torch.manual_seed(1)
    statistics = Normalisation.standard(np.stack([SPEC.compute(sound(2000, seed)) for seed in range(6)]), clip=4.0)
    module = nn.Sequential(CepstralFrontEnd(SPEC, statistics), nn.Flatten(), nn.Linear(35, 3)).eval()
    samples = MFCCSamples(**asdict(SPEC))
    lowered = mpc.LoweredModel.of(module, samples.shape, input_limit=1.0, activation_error=2e-2)
    (log,) = [curve for curve in lowered.plan.curves if curve.name == "log"]
    assert log.error <= 2e-2
    x = np.stack([samples.compute(sound(2000, seed)) for seed in range(6, 14)])
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    scores = FixedPointModel(lowered.plan, lowered.weights, "logits").answer(x).scores
    assert np.abs(scores - expected).max() < 0.1
