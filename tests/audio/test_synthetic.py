import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sotto.audio import BrokenClip, CorpusError, WrongFolder, cache, load_corpus, read
from sotto.audio.faults import Faults
from sotto.audio.splits import speaker_folds
from sotto.audio.synthetic import EMOTIONS, NOTICE, SENTENCES, VOICES, built_in, load, making
from sotto.audio.synthetic.emotions import EXPRESSIONS, Temperament, act
from sotto.audio.synthetic.espeak import EspeakError, Utterance, speak
from sotto.audio.synthetic.making import make
from sotto.audio.synthetic.voice_quality import (
    breathe,
    put_in_room,
    roughen,
    scale_tract,
    set_level,
    tilt_spectrum,
    tremble,
)
from tests.error_codes import raises_code

PLAIN = Utterance(SENTENCES[0], speed=165, pitch=45, range=45)


@pytest.fixture
def few_voices(monkeypatch) -> None:
    """Two voices, two emotions and one sentence instead of all."""
    monkeypatch.setattr(making, "VOICES", VOICES[:2])
    monkeypatch.setattr(making, "EMOTIONS", ("neutral", "angry"))
    monkeypatch.setattr(making, "SENTENCES", SENTENCES[:1])


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_there_are_24_different_voices_half_of_them_women():
    assert len({voice.name for voice in VOICES}) == len({voice.espeak_name for voice in VOICES}) == 24
    assert len({voice.variant for voice in VOICES}) == 24
    assert sum(voice.sex == "female" for voice in VOICES) == 12
    accents = {voice.accent for voice in VOICES}
    assert len(accents) == 8
    assert all({v.sex for v in VOICES if v.accent == accent} == {"female", "male"} for accent in accents)


def test_emotions_are_named_as_in_ravdess():
    from sotto.audio.corpora.ravdess import EMOTIONS as RAVDESS

    assert EMOTIONS == RAVDESS
    assert set(EXPRESSIONS) == set(EMOTIONS)
    assert len(SENTENCES) == 4


@pytest.mark.parametrize("voice", ["gmw/en-029+f3", "gmw/en-US-nyc+Alicia"])
def test_espeak_repeats_itself_bit_by_bit_at_any_time_and_whatever_was_said_before(voice):
    utterances = [PLAIN, Utterance("Good morning.", 200, 80, 90)]
    first = speak(voice, utterances)
    speak("gmw/en-US+m1", utterances)
    time.sleep(1.1)  # espeak-ng would seed its random numbers with the second it starts in
    again = speak(voice, utterances)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(samples.dtype == np.int16 and samples.size > 5000 for samples in first)


def test_espeak_follows_speed_and_pitch():
    slow, fast, high = speak(
        "gmw/en+m3",
        [Utterance(PLAIN.text, 120, 45, 0), Utterance(PLAIN.text, 220, 45, 0), Utterance(PLAIN.text, 120, 90, 0)],
    )
    assert slow.size > 1.4 * fast.size
    assert typical_pitch(high) > 1.2 * typical_pitch(slow)


def typical_pitch(samples: np.ndarray, rate: int = 22050) -> float:
    pitches = []
    for start in range(0, samples.size - 2048, 1024):
        frame = samples[start : start + 2048].astype(float)
        if np.abs(frame).max() < 3000:
            continue
        correlation = np.correlate(frame, frame, "full")[2047:]
        low, high = rate // 400, rate // 60
        pitches.append(rate / (low + correlation[low:high].argmax()))
    return float(np.median(pitches))


@pytest.mark.parametrize(
    ("voice", "line"),
    [("gmw/en+nobody", "espeak-ng: has no voice variant nobody"), ("gmw/xx", "espeak-ng: has no voice gmw/xx")],
)
def test_an_unknown_voice_is_one_line(voice, line):
    with pytest.raises(EspeakError) as caught:
        speak(voice, [PLAIN])
    assert str(caught.value) == line


def test_a_broken_speaker_process_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(EspeakError, match="did not finish"):
        speak("gmw/en+f1", [PLAIN])


def test_acting_overlaps_but_keeps_its_direction():
    generator = np.random.default_rng(0)
    people = [Temperament.draw(generator) for _ in range(200)]
    found = {e: [act(e, person, generator) for person in people] for e in EMOTIONS}
    pitch = {e: np.array([x.pitch for x in found[e]]) for e in EMOTIONS}
    assert pitch["surprised"].mean() > pitch["happy"].mean() > pitch["neutral"].mean() > pitch["sad"].mean()
    assert 0 < (pitch["happy"] < pitch["neutral"]).mean() < 0.3
    assert all(x.tremor >= 0 and 0 <= x.roughness <= 0.6 for xs in found.values() for x in xs)


def band_level(samples: np.ndarray, rate: int, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(samples.size, 1 / rate)
    return float(10 * np.log10(spectrum[(frequency >= low) & (frequency < high)].sum() + 1e-12))


def test_voice_quality_does_what_it_says():
    rate, generator = 16000, np.random.default_rng(0)
    time = np.arange(rate) / rate
    sound = np.sum([np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 40)], axis=0) * 0.1

    def change(after: np.ndarray, low: float, high: float) -> float:
        return band_level(after, rate, low, high) - band_level(sound, rate, low, high)

    tilted = tilt_spectrum(sound, rate, 3.0)
    assert change(tilted, 3900, 4100) == pytest.approx(6, abs=0.3)
    assert change(tilted, 440, 460) == pytest.approx(3 * np.log2(0.45), abs=0.3)
    assert change(breathe(sound, rate, 10.0, generator), 7000, 7900) > 3
    assert abs(change(breathe(sound, rate, 10.0, generator), 100, 1000)) < 0.5
    assert tremble(sound, rate, 0.0, generator) is sound
    assert roughen(sound, rate, 0.0, generator) is sound
    for changed in (tremble(sound, rate, 0.02, generator), roughen(sound, rate, 0.3, generator)):
        assert changed.shape == sound.shape
        assert 0.05 < np.abs(changed - sound).max() / np.abs(sound).max() < 3
    level = set_level(sound, -20.0)
    assert 20 * np.log10(np.sqrt((level**2).mean())) == pytest.approx(-20, abs=0.1)
    assert np.abs(set_level(sound, 10.0)).max() <= 1
    assert scale_tract(sound, rate, rate, 1.25).size == pytest.approx(rate / 1.25, abs=2)
    room = put_in_room(sound, rate, -60.0, generator)
    assert 20 * np.log10(room[:1000].std()) == pytest.approx(-60, abs=4)


@pytest.mark.usefixtures("few_voices")
def test_a_made_corpus_loads_and_the_same_seed_makes_the_same_bytes(tmp_path):
    make(tmp_path / "one", seed=3, jobs=1)
    make(tmp_path / "two", seed=3, jobs=1)
    make(tmp_path / "other", seed=4, jobs=1)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    corpus = load(tmp_path / "one", Faults())
    assert [clip.id for clip in corpus] == [f"voice0{v}-{e}-1" for v in (1, 2) for e in ("neutral", "angry")]
    assert corpus.synthetic
    assert corpus.notice == NOTICE
    assert "synthetic" in NOTICE
    assert "\n" not in NOTICE
    for clip in corpus:
        assert clip.path is not None
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 1 < info.duration < 6
    other = load(tmp_path / "other", Faults())
    assert not np.array_equal(read(corpus[0])[:8000], read(other[0])[:8000])
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    assert load_corpus("synthetic", tmp_path / "one").labels("emotion") == corpus.labels("emotion")


@pytest.mark.usefixtures("few_voices")
def test_damage_is_noticed_and_the_built_in_corpus_is_made_again(tmp_path, caplog):
    whole = built_in(jobs=1)
    made = digests(cache.root())
    victim = whole[1].path
    assert victim is not None
    victim.write_bytes(victim.read_bytes()[:-10])
    with raises_code(BrokenClip, "not-as-described", match=rf"{victim.name}: is missing or not the file"):
        load(victim.parents[1], Faults())
    assert len(load(victim.parents[1], Faults(skip=True))) == 3
    built_in(jobs=1)
    assert "made again" in caplog.text
    assert digests(cache.root()) == made


def test_the_brief_corpus_is_half_of_the_whole_one_and_kept_beside_it(monkeypatch):
    monkeypatch.setattr(making, "VOICES", VOICES[:1])
    monkeypatch.setattr(making, "EMOTIONS", EMOTIONS[:2])
    whole, brief = built_in(jobs=1), load_corpus("synthetic", brief=True)
    assert brief.labels("sentence") == ["1", "2", "1", "2"]
    assert [clip.id for clip in brief] == [clip.id for clip in whole if clip.sentence in ("1", "2")]
    assert len(load_corpus("synthetic")) == len(whole) == 8


@pytest.mark.usefixtures("few_voices")
def test_the_second_time_says_that_it_reuses(caplog, monkeypatch):
    load_corpus("synthetic")
    monkeypatch.setattr(making, "make", lambda *_, **__: pytest.fail("made again"))
    caplog.set_level("INFO", "sotto")
    load_corpus("synthetic")
    assert "reused the cached corpus of 4 clips" in caplog.text


@pytest.mark.usefixtures("few_voices")
def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise EspeakError("espeak-ng: lost its voice")

    monkeypatch.setattr(making, "speak", fail)
    with raises_code(CorpusError, "cannot-speak", match="cannot be spoken: espeak-ng: lost its voice"):
        make(tmp_path / "new", jobs=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with raises_code(CorpusError, "in-the-way"):
        make(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


ROW = {
    "id": "a", "file": "a.flac", "speaker": "v", "sex": "female", "emotion": "sad",
    "sentence": "1", "transcript": "x", "digest": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("{", "not-a-manifest"),
        ('{"format": "sotto-synthetic", "recipe": 1, "seed": 0, "clips": []}', "not-a-manifest"),
        (json.dumps({"format": "x", "recipe": 1, "seed": 0, "clips": [ROW]}), "not-a-manifest"),
        (json.dumps({"format": "sotto-synthetic", "recipe": 1, "seed": 0, "clips": [{"id": 1}]}), "not-a-manifest"),
        (
            json.dumps({"format": "sotto-synthetic", "recipe": 1, "seed": 0, "clips": [ROW | {"file": "../a"}]}),
            "outside-folder",
        ),
        (
            json.dumps({"format": "sotto-synthetic", "recipe": 1, "seed": 0, "clips": [ROW | {"file": "/etc/passwd"}]}),
            "outside-folder",
        ),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path, manifest, reason):
    (tmp_path / "manifest.json").write_text(manifest)
    with raises_code(CorpusError, reason) as caught:
        load(tmp_path, Faults())
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_manifest_says_what_to_do(tmp_path):
    with raises_code(WrongFolder, "no-manifest"):
        load_corpus("synthetic", tmp_path)


MAKER = "from sotto.audio.synthetic import built_in; built_in(jobs=1)"


def test_a_maker_that_is_killed_leaves_no_corpus(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", MAKER])
    try:
        deadline = time.monotonic() + 60
        while not list(cache.root().rglob("*.flac")) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    folders = list((cache.root() / "synthetic").iterdir())
    assert len(folders) == 1
    assert ".partial-" in folders[0].name


@pytest.mark.slow
def test_every_voice_sounds_unlike_the_others_and_unlike_its_plain_accent():
    said = {name: speak(name, [PLAIN])[0].tobytes() for name in [v.espeak_name for v in VOICES]}
    said |= {accent: speak(accent, [PLAIN])[0].tobytes() for accent in {v.accent for v in VOICES}}
    assert len(set(said.values())) == 24 + 8


@pytest.mark.slow
def test_the_whole_corpus_is_the_same_with_one_job_and_with_two(tmp_path):
    make(tmp_path / "one", jobs=1)
    make(tmp_path / "two", jobs=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    corpus = load(tmp_path / "one", Faults())
    assert len(corpus) == 24 * 8 * 4
    assert len(corpus.speakers) == 24
    assert corpus.classes("emotion") == tuple(sorted(EMOTIONS))
    assert len(speaker_folds(corpus, 6)) == 6
