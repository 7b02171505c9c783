"""SDR and SI-SDR against their definitions, and of a mask that keeps everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.adversarial import Sensor
from sotto.adversarial.learning.separation_quality import sdr, separated, separation_quality, si_sdr
from sotto.adversarial.sounds.divided_sounds import made_up_material
from sotto.adversarial.sounds.segments import mix_pairs

TARGET = np.random.default_rng(0).standard_normal((3, 2000)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(level=st.floats(-20, 40))
def test_an_error_that_lies_d_db_below_gives_d_db(level):
    error = np.random.default_rng(1).standard_normal(TARGET.shape)
    error *= np.linalg.norm(TARGET, axis=1, keepdims=True) / np.linalg.norm(error, axis=1, keepdims=True)
    assert sdr(TARGET + error * 10 ** (-level / 20), TARGET) == pytest.approx([level] * 3, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 100))
def test_a_level_changes_sdr_but_not_si_sdr(scale):
    found = (TARGET + 0.1 * np.roll(TARGET, 7, axis=1)).astype(np.float64)
    assert si_sdr(scale * found, TARGET) == pytest.approx(si_sdr(found, TARGET), abs=0.01)


def test_silence_and_perfection_have_finite_figures():
    assert np.isfinite(sdr(TARGET, TARGET)).all()
    assert np.isfinite(si_sdr(np.zeros_like(TARGET), TARGET)).all()


def test_without_a_mask_the_mixture_comes_back_at_5_db():
    material = made_up_material(rate=8_000, events=5, speakers=6)
    segments = mix_pairs(material["test"].events, material["test"].speech, seed=0)
    sensor = Sensor(rate=8_000, mask="none", extractor=(2, 2))
    assert np.allclose(separated(sensor, segments.waveforms), segments.waveforms, atol=1e-3)
    found = separation_quality(sensor, segments)
    assert found.sdr == pytest.approx(found.sdr_mixture, abs=0.01)
    assert found.sdr_mixture == pytest.approx(5.0, abs=0.01)
