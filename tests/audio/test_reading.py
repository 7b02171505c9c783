import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sotto.audio import BrokenClip, Clip, read
from sotto.audio.reading import content_digest
from tests.error_codes import raises_code


def sine(frequency: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def loudest(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.fft.rfftfreq(samples.size, 1 / rate)[spectrum.argmax()])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_any_rate_becomes_the_asked_one_with_the_same_pitch_and_level(tmp_path, suffix, rate):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(440, rate), rate)
    samples = read(Clip(id="a", path=path), rate=16000)
    assert samples.dtype == np.float32
    assert abs(samples.size - 8000) <= 1
    assert abs(loudest(samples, 16000) - 440) < 4
    assert np.abs(samples[2000:6000]).max() == pytest.approx(0.5, abs=0.01)


def test_without_a_rate_the_file_keeps_its_own(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 22050), 22050)
    assert read(Clip(id="a", path=tmp_path / "a.wav"), rate=None).size == 11025


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_every_sample_format_reads_the_same(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", sine(300, 16000), 16000, subtype=subtype)
    assert np.allclose(read(Clip(id="a", path=tmp_path / "a.wav")), sine(300, 16000), atol=0.02)


@pytest.mark.parametrize(("suffix", "channels"), [("ogg", 1), ("mp3", 2), ("wav", 6)])
def test_what_phones_and_recorders_write_reads_too(tmp_path, suffix, channels):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([tone] * channels, 1), 48000)
    found = read(Clip(id="a", path=tmp_path / f"a.{suffix}"))
    assert found.size == pytest.approx(16000, rel=0.1)  # mp3 pads
    assert np.abs(np.fft.rfft(found)).argmax() * 16000 / found.size == pytest.approx(440, abs=2)


def test_channels_are_averaged(tmp_path):
    left = sine(300, 16000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), 16000)
    assert np.allclose(read(Clip(id="a", path=tmp_path / "a.wav")), left / 2, atol=1e-4)


@given(st.integers(1, 4000), st.sampled_from([8000, 16000, 44100]))
def test_samples_in_memory_resample_to_the_expected_length(count, rate):
    clip = Clip(id="a", samples=np.zeros(count, np.float32), rate=rate)
    if count * 16000 / rate >= 1:
        assert abs(read(clip, 16000).size - count * 16000 / rate) <= 1


def test_a_clip_of_less_than_one_sample_is_refused():
    with raises_code(BrokenClip, "too-short"):
        read(Clip(id="a", samples=np.zeros(1, np.float32), rate=384_000), 8000)


def test_int16_samples_are_scaled_and_others_refused():
    samples = np.array([0, 16384, -32768], dtype=np.int16)
    assert read(Clip(id="a", samples=samples, rate=16000)).tolist() == [0.0, 0.5, -1.0]
    with raises_code(BrokenClip, "wrong-dtype", match="clip a: samples must be float"):
        read(Clip(id="a", samples=samples.astype(np.int64), rate=16000))


def broken_files(tmp_path):
    soundfile.write(tmp_path / "whole.wav", sine(440, 16000), 16000)
    soundfile.write(tmp_path / "whole.flac", sine(440, 16000), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "infinite.wav", np.array([0.0, np.inf]), 16000, subtype="FLOAT")
    for suffix in ("wav", "flac"):
        content = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
        (tmp_path / f"head.{suffix}").write_bytes(content[:20])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is not sound")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.wav", "no-such-file"),
        ("empty.wav", "empty-file"),
        ("text.wav", "cannot-decode"),
        ("silent.wav", "no-samples"),
        ("infinite.wav", "not-finite"),
        ("cut.wav", "truncated"),
        ("cut.flac", "cannot-decode"),
        ("head.wav", "cannot-decode"),
        ("head.flac", "cannot-decode"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, name, reason):
    broken_files(tmp_path)
    with raises_code(BrokenClip, reason) as caught:
        read(Clip(id="a", path=tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wav_written_to_a_pipe_is_not_taken_for_truncated(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    content[4:8] = b"\xff\xff\xff\xff"
    (tmp_path / "piped.wav").write_bytes(content)
    assert read(Clip(id="a", path=tmp_path / "piped.wav")).size == 8000


def test_the_digest_follows_content_not_name(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    soundfile.write(tmp_path / "c.wav", sine(441, 16000), 16000)
    a, b, c = (content_digest(Clip(id=n, path=tmp_path / f"{n}.wav")) for n in "abc")
    assert a == b != c


def test_the_digest_of_samples_includes_their_rate():
    samples = np.zeros(8, np.float32)
    assert content_digest(Clip(id="a", samples=samples, rate=8000)) != content_digest(
        Clip(id="a", samples=samples, rate=16000)
    )
