import json
import math
import subprocess
import sys

import librosa
import numpy as np
import opensmile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.audio.features import (
    MFCC,
    STFT,
    EGeMAPS,
    LogMel,
    MeanMFCC,
    SampleBlocks,
    Waveform,
    from_record,
    from_text,
    mel,
)
from sotto.audio.features.spec import fit_length
from sotto.link import BadValue
from tests.error_codes import raises_code

ALL = [
    MFCC(),
    MFCC(20, frames=None, normalisation="mean"),
    MeanMFCC(),
    LogMel(),
    STFT(),
    EGeMAPS(),
    Waveform(1.0),
    SampleBlocks(),
]


def voice(seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 140 + 20 * np.sin(2 * np.pi * 2 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = sum(np.sin(k * phase) / k for k in range(1, 20)) * 0.1 + 0.005 * generator.standard_normal(time.size)
    return sound.astype(np.float32)


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.kind)
def test_the_promised_shape_dtype_and_repeatability(spec):
    for seconds in (0.15, 1.0, 4.0):
        found = spec.compute(voice(seconds, spec.sample_rate))
        assert found.dtype == np.float32
        assert len(found.shape) == len(spec.shape)
        assert all(want is None or have == want for have, want in zip(found.shape, spec.shape, strict=True))
        assert np.isfinite(found).all()
        assert np.array_equal(found, spec.compute(voice(seconds, spec.sample_rate)))


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.kind)
def test_silence_has_finite_features(spec):
    assert np.isfinite(spec.compute(np.zeros(spec.sample_rate, np.float32))).all()


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.kind)
def test_a_record_is_plain_json_and_makes_the_same_description(spec):
    assert from_record(json.loads(json.dumps(spec.to_record()))) == spec


@pytest.mark.parametrize(
    "spoil",
    [
        {"kind": "nonsense"},
        {"kind": ["mfcc"]},
        {"revision": 99},
        {"surprise": 1},
        {"coefficients": 0},
        {"coefficients": "40"},
        {"coefficients": 40.0},
        {"hop": True},
        {"normalisation": "z"},
        {"fmax": 9000.0},
        {"frames": 1 << 30},
    ],
)
def test_a_spoilt_record_is_refused(spoil):
    with raises_code(BadValue, ("bad-parameter", "unknown-feature")):
        from_record({**MFCC().to_record(), **spoil})


def test_a_record_with_a_missing_parameter_is_refused():
    record = MFCC().to_record()
    del record["hop"]
    with raises_code(BadValue, "bad-parameter"):
        from_record(record)


def test_mfcc_are_librosas():
    sound = voice()
    spec = MFCC(20, frames=None, n_fft=512, hop=160, mels=40, fmin=50.0, fmax=7000.0, lifter=22)
    expected = librosa.feature.mfcc(
        y=sound, sr=16000, n_mfcc=20, n_fft=512, hop_length=160, n_mels=40, fmin=50.0, fmax=7000.0, lifter=22
    )
    assert np.allclose(spec.compute(sound), expected, rtol=1e-3, atol=1e-3)


def test_mean_mfcc_are_the_mean_of_librosas_defaults():
    sound = voice()
    expected = librosa.feature.mfcc(y=sound, sr=16000, n_mfcc=40).mean(axis=1)
    assert np.allclose(MeanMFCC(40).compute(sound), expected, rtol=1e-3, atol=1e-3)


def test_stft_scales_agree():
    sound = voice()
    magnitude, power, log = (STFT(scale=scale, frames=None).compute(sound) for scale in ("magnitude", "power", "log"))
    assert np.allclose(magnitude**2, power, rtol=1e-4)
    assert np.allclose(np.exp(log), magnitude + 1e-6, rtol=1e-3)


@pytest.mark.parametrize("normalisation", ["mean", "mean_variance"])
def test_normalisation_is_per_clip_and_coefficient(normalisation):
    found = MFCC(20, frames=None, normalisation=normalisation).compute(voice())
    assert np.abs(found.mean(axis=1)).max() < 1e-3
    if normalisation == "mean_variance":
        assert np.allclose(found.std(axis=1), 1, atol=1e-2)


def test_paddings_differ_where_they_should():
    short, frames = voice(0.5), 100
    zero, silence, repeat = (
        MFCC(20, frames=frames, padding=how).compute(short) for how in ("zero", "silence", "repeat")
    )
    assert not zero[:, :20].any()
    assert silence[0, 0] < silence[0, frames // 2] - 50
    assert np.ptp(repeat[0]) < np.ptp(silence[0]) / 2


def test_long_clips_are_cut_in_the_middle():
    whole = MFCC(20, frames=None).compute(voice(4.0))
    cut = MFCC(20, frames=100).compute(voice(4.0))
    start = (whole.shape[1] - 100) // 2
    assert np.allclose(cut, whole[:, start : start + 100])


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
@pytest.mark.parametrize("samples", [1, 1023, 16_000, 200_001])
@pytest.mark.parametrize(("n_fft", "hop", "win"), [(1024, 205, None), (512, 160, 400), (1023, 100, 801)])
def test_the_transform_is_librosas_to_the_bit(samples, n_fft, hop, win):
    sound = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    expected = librosa.stft(sound, n_fft=n_fft, hop_length=hop, win_length=win, pad_mode="constant", dtype=np.complex64)
    np.testing.assert_array_equal(mel.transform(sound, n_fft, hop, win), expected)


@pytest.mark.parametrize(
    ("rate", "n_fft", "mels", "fmin", "fmax"),
    [
        (16_000, 1024, 64, 20.0, None),
        (16_000, 2048, 128, 0.0, None),
        (8000, 400, 40, 300.0, 3400.0),
        (44_100, 512, 8, 0.0, 900.0),
    ],
)
def test_the_mel_bands_are_librosas(rate, n_fft, mels, fmin, fmax):
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=mels, fmin=fmin, fmax=fmax)
    found = mel.mel_filters(rate, n_fft, mels, fmin, fmax)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("samples", [1, 700, 16_000, 70_001])
@pytest.mark.parametrize("below", [10.0, 35.0, 60.0])
def test_trimming_is_librosas(samples, below):
    sound = np.random.default_rng(samples).normal(size=samples)
    sound = (sound * np.sin(np.arange(samples) / 20_000) ** 8).astype(np.float32)
    expected, _ = librosa.effects.trim(sound, top_db=below)
    np.testing.assert_array_equal(LogMel(trim_db=below).prepare(sound), expected)
    assert LogMel(trim_db=below).prepare(np.zeros(samples, np.float32)).size == samples


def test_trimming_removes_silence():
    padded = np.concatenate([np.zeros(8000, np.float32), voice(0.5), np.zeros(8000, np.float32)])
    assert MFCC(20, frames=None, trim_db=40.0).compute(padded).shape[1] < 45


def test_pre_emphasis_raises_high_bands():
    plain, raised = (
        LogMel(pre_emphasis=c, frames=None, top_db=None).compute(voice()).mean(axis=1) for c in (0.0, 0.97)
    )
    assert (raised - plain)[-1] > (raised - plain)[0] + 10


def test_a_clip_too_short_for_egemaps_has_no_functionals():
    assert np.isnan(EGeMAPS().compute(voice(0.03))).all()


def test_egemaps_is_what_the_package_of_opensmile_computes():
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    loud = np.clip(20 * voice(), -1, 1)
    for sound in (voice(), loud):
        np.testing.assert_array_equal(EGeMAPS().compute(sound), smile(sound, 16000).reshape(-1))
    assert EGeMAPS.names() == tuple(smile.feature_names)


def test_egemaps_brings_no_data_frames():
    code = (
        "import sys; import numpy as np; from sotto.audio.features import EGeMAPS;"
        "EGeMAPS().compute(np.ones(16000, np.float32)); sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_defaults_are_the_agreed_ones():
    assert MFCC().shape == (40, 188)
    assert MFCC(coefficients=40, frames=188, rate=16000, hop=256) == MFCC()
    assert MeanMFCC(40).shape == (40,)
    assert EGeMAPS().shape == (88,)
    assert len(set(EGeMAPS.names())) == 88


@given(st.floats(0.001, 3), st.integers(1, 512))
def test_waveform_length_is_whole_blocks(seconds, block):
    spec = Waveform(seconds, block=block)
    assert spec.samples % block == 0
    assert 0 <= spec.samples - round(seconds * 16000) < block or math.isclose(seconds * 16000 % 1, 0.5)


def test_waveform_scalings():
    sound = voice()
    assert np.abs(Waveform(1.0, scaling="peak").compute(sound)).max() == pytest.approx(1)
    assert np.sqrt((Waveform(1.0, scaling="rms").compute(sound) ** 2).mean()) == pytest.approx(1, rel=1e-4)
    assert np.array_equal(Waveform(1.0).compute(sound), sound)


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60))
def test_fit_length_keeps_the_middle(have, want):
    fitted = fit_length(np.arange(1, have + 1), want)
    assert fitted.size == want
    kept = fitted[fitted > 0]
    assert kept.size == min(have, want)
    assert np.array_equal(kept, np.arange(kept[0], kept[0] + kept.size))
    assert abs((kept[0] - 1) - (have - kept[-1])) <= 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: MFCC(41, mels=40),
        lambda: MFCC(n_fft=512, win=600),
        lambda: MFCC(padding="edge"),
        lambda: LogMel(fmin=8000.0),
        lambda: LogMel(trim_db=-1.0),
        lambda: STFT(scale="db"),
        lambda: Waveform(0.0),
        lambda: Waveform(scaling="loud"),
        lambda: EGeMAPS(rate=10),
    ],
)
def test_impossible_parameters_are_refused(make):
    with raises_code(BadValue, "bad-parameter"):
        make()


def test_a_feature_is_read_from_a_command_line():
    assert from_text("mfcc") == MFCC()
    assert from_text("mfcc:coefficients=13,hop=160,trim_db=30.0") == MFCC(13, hop=160, trim_db=30.0)
    assert from_text("waveform:seconds=2,scaling=rms") == Waveform(2, scaling="rms")
    for text in ("tea", "mfcc:tea=1", "mfcc:hop", "mfcc:hop=0", "mfcc:hop=fast"):
        with raises_code(BadValue, ("bad-parameter", "unknown-feature")):
            from_text(text)


def test_blocks_hold_the_samples_in_order_companded():
    spec = SampleBlocks(rate=8000, block=4, blocks=3, trim_db=None)
    sound = np.linspace(-1.5, 1.5, 12, dtype=np.float32)
    found = spec.compute(sound).T.ravel()
    assert np.array_equal(np.sign(found), np.sign(sound))
    assert np.expm1(np.abs(found) * np.log(256)) / 255 == pytest.approx(np.minimum(np.abs(sound), 1), rel=1e-4)
    assert SampleBlocks(rate=8000, block=4, blocks=3, trim_db=None, companding=0).compute(sound)[3, 1] == sound[7]
    with raises_code(BadValue, "bad-parameter"):
        SampleBlocks(companding=-1.0)
