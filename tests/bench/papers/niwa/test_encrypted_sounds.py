"""The reproductions of keyed transforms' figures, on made-up speech so that none waits for audio."""

from __future__ import annotations

import numpy as np
import pytest

from sotto.audio import Clip, Corpus
from sotto.audio.errors import CorpusError
from sotto.bench.papers.niwa import encrypted_sounds, image_decryption, key_space, phase_reconstruction, transform_speed
from sotto.bench.papers.niwa.sounds import image_attacks, likeness, speech_examples
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example
from sotto.bench.reproduction.targets import TARGETS, Request
from sotto.keyed import generate_key
from sotto.link import BadValue
from tests.error_codes import raises_code


def voice(seed, seconds=1.2):
    """Harmonics of a gliding pitch in syllables, and a little noise: enough like speech for what is tested."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(110 + 15 * seed + 25 * np.sin(2 * np.pi * 1.3 * time)) / RATE
    tones = sum(np.sin(number * pitch + number) / (1 + (number - 6) ** 2 / 9) for number in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + seed), 0, None)
    sound = tones * syllables + 1e-3 * rng.normal(size=len(time))
    return sound / np.abs(sound).max()


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A request for two made-up voices (four where half of them are public), and the list of what is drawn."""
    said, drawn = [], []

    def examples(request, count, **_):
        many = count > 8
        return [Example(f"voice {seed}", voice(seed, 0.5 if many else 1.2)) for seed in range(4 if many else 2)]

    def remember(panels, stem, **_):
        drawn.append((stem.name, [panel.title for panel in panels]))
        stem.parent.mkdir(parents=True, exist_ok=True)
        return [stem]

    for module in (image_decryption, encrypted_sounds, key_space, phase_reconstruction):
        monkeypatch.setattr(module, "speech_examples", examples)
        if hasattr(module, "draw"):
            monkeypatch.setattr(module, "draw", remember)
    return Request("made up", None, "quick", 0, tmp_path / "out", said.append), drawn


def test_all_are_listed():
    for name in ("kiya-figures", "kiya-pghi", "kiya-decryption", "kiya-key-space", "kiya-speed"):
        assert TARGETS[name].DESCRIPTION


def test_figures_have_a_row_and_a_picture_for_each_key_type(made_up):
    request, drawn = made_up
    rows = {(row.mode, row.parameters["block_size"]): row.metrics for row in encrypted_sounds.run(request)}
    assert len(rows) == 3 * 2 + 3 * 2 + 3
    assert {name for name, _ in drawn} == {
        *(f"{domain}-{kind}" for domain in ("waveform", "spectrogram") for kind in ("shuffling", "flipping", "rom")),
        "decryption-rom",
    }
    assert (request.out / "waveform-rom-128.wav").stat().st_size > 30_000
    assert rows["decryption: correct key", 3]["largest_error_db"] < 1e-9
    assert abs(rows["decryption: incorrect key", 3]["correlation"]) < 0.5
    assert rows["waveform shuffling", 128]["correlation"] < rows["waveform shuffling", 10]["correlation"]
    for kind in ("shuffling", "flipping", "rom"):  # every block keeps its energy, and with it the rhythm of the speech
        assert rows[f"spectrogram {kind}", 32]["correlation_of_block_energies"] == pytest.approx(1)


def test_phase_reconstruction_works_on_plain_spectrograms_and_is_undone_by_wrong_magnitudes(made_up, monkeypatch):
    monkeypatch.setattr(phase_reconstruction, "STFT", phase_reconstruction.GaussianSTFT(512, 128))
    rows = {(row.mode, row.parameters["values"]): row.metrics for row in phase_reconstruction.run(made_up[0])}
    assert rows["plain", "magnitudes"]["spectral_convergence_db"] < -10
    assert rows["plain", "magnitudes"]["stoi"] > rows["rom", "decibels"]["stoi"] + 0.3
    assert rows["rom", "decibels"]["correlation_of_spectrograms"] < 0.5
    for values in ("decibels", "magnitudes"):  # all plain values have one sign, so flipping hides nothing
        right, plain = rows["flipping, sign put right", values], rows["plain", values]
        assert right["correlation_of_given_spectrogram"] == pytest.approx(1, abs=1e-9)
        assert right["stoi"] == pytest.approx(plain["stoi"], abs=0.02)


def test_decryption_has_a_row_for_each_attack(made_up):
    request, drawn = made_up
    rows = {(row.mode, row.parameters["values"]): row.metrics for row in image_decryption.run(request)}
    for values in ("decibels", "standardised"):
        for kind in ("shuffling", "flipping"):
            assert rows[f"{kind}, helper images", values]["correlation"] > 0.999
            assert rows[f"{kind}, helper images", values]["pixels_recovered"] > 0.99
        assert rows["rom, helper images, all grey levels", values]["correlation"] > 0.99
        assert (
            rows["rom, helper images, all grey levels", values]["correlation"]
            > rows["rom, encrypted", values]["correlation"]
        )
    assert rows["flipping, leading bits", "decibels"]["correlation"] > 0.999
    assert rows["flipping, encrypted", "decibels"]["correlation"] < 0.5
    assert len(drawn) == 6


def test_key_space_stands_beside_what_breaks_the_key(made_up, monkeypatch):
    monkeypatch.setattr(key_space, "_SIZES", {"quick": {1: (3, 10), 2: (3,)}})
    monkeypatch.setattr(key_space, "_MOST_ATTACKED", {"quick": 3})
    monkeypatch.setattr(key_space, "_STARTS", {"quick": 32})
    monkeypatch.setattr(key_space, "_SECONDS", ())
    rows = {(row.mode, row.parameters["numbers"]): row for row in key_space.run(made_up[0])}
    assert len(rows) == 9
    assert rows["shuffling", 10].published["key_space_bits"] == pytest.approx(np.log2(3_628_800))
    assert rows["flipping", 9].published["key_space_bits"] == 9
    assert rows["rom", 3].published == {}
    assert rows["rom", 10].metrics["key_space_bits"] == 24 * 45
    assert rows["rom", 10].metrics["secret_bits_at_most"] == 256
    assert rows["rom", 10].metrics["known_blocks_until_exact"] <= 30
    assert {row.metrics["chosen_blocks_until_exact"] for row in rows.values()} == {1, 3, 9, 10}
    assert "ciphertext_only_correlation" in rows["rom", 3].metrics
    assert "ciphertext_only_correlation" not in rows["rom", 10].metrics


def test_speed_compares_before_it_reports(made_up, monkeypatch):
    monkeypatch.setattr(transform_speed, "_SIZES", {"quick": {1: (10,), 2: (3,)}})
    monkeypatch.setattr(transform_speed, "_WAVES", (2, 4000))
    monkeypatch.setattr(transform_speed, "_SPECTROGRAMS", (2, 20, 40))
    monkeypatch.setattr(transform_speed, "_TURNS", {"quick": 2})
    rows = list(transform_speed.run(made_up[0]))
    assert len(rows) == 6
    for row in rows:
        assert row.metrics["gb_per_s"] > 0
        assert row.metrics["loop_over_transform"] == pytest.approx(row.metrics["loop_ms"] / row.metrics["transform_ms"])
    monkeypatch.setattr(transform_speed, "encrypt_in_a_loop", lambda clip, key, matrix: clip)
    with raises_code(BadValue, "disagree"):
        list(transform_speed.run(made_up[0]))


def test_pictures_are_png_and_svg(tmp_path):
    sound, plane = voice(0, 0.3), np.arange(12.0).reshape(3, 4)
    panels = [Panel("both", sound, plane, (0, 5)), Panel("wave", sound), Panel("plane", None, plane)]
    png, svg = draw(panels, tmp_path / "new" / "picture", seconds=0.3, rate=RATE)
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in svg.read_text()[:600]


def corpus_of(clips):
    return Corpus("made up", tuple(clips))


def clip(name, speaker, sound, rate=8000):
    return Clip(id=name, samples=sound, rate=rate, speaker=speaker)


def test_examples_join_short_clips_of_one_speaker(tmp_path, monkeypatch):
    short = [clip(f"{who} {number}", who, voice(number, 0.5)[::2]) for who in ("a", "b") for number in range(9)]
    monkeypatch.setattr(speech_examples, "load_corpus", lambda *_, **__: corpus_of(short))
    request = Request("made up", None, "quick", 1, tmp_path, print)
    examples = speech_examples.speech_examples(request, 5, seconds=1.5)
    assert len(examples) == 2
    assert {example.name[0] for example in examples} == {"a", "b"}
    for example in examples:
        assert len(example.sound) == 1.5 * RATE
        assert np.abs(example.sound).max() == 1
    again = speech_examples.speech_examples(request, 5, seconds=1.5)
    assert all(np.array_equal(one.sound, other.sound) for one, other in zip(examples, again, strict=True))


def test_examples_without_speakers_or_sound(tmp_path, monkeypatch):
    clips = [clip("rain", None, voice(1, 0.5)), clip("nothing", None, np.zeros(800))]
    monkeypatch.setattr(speech_examples, "load_corpus", lambda *_, **__: corpus_of(clips))
    request = Request("made up", None, "quick", 0, tmp_path, print)
    assert [example.name for example in speech_examples.speech_examples(request, 5)] == ["rain"]
    monkeypatch.setattr(speech_examples, "load_corpus", lambda *_, **__: corpus_of(clips[1:]))
    with raises_code(CorpusError, "no-sound"):
        speech_examples.speech_examples(request, 5)


def test_likeness():
    plain, other = voice(0), voice(3)
    assert likeness.intelligibility(plain, plain, RATE) == pytest.approx(1)
    assert likeness.intelligibility(plain, other, RATE) < 0.7
    assert likeness.intelligibility(plain[:2000], plain[:2000], RATE) is None
    assert likeness.correlation(plain, -2 * plain) == pytest.approx(-1)
    assert likeness.correlation(plain, np.ones_like(plain)) == 0
    levels = likeness.decibels(np.array([1.0, 0.1, 0.0]))
    np.testing.assert_allclose(levels, [0, -20, -80])
    np.testing.assert_allclose(likeness.from_decibels(levels), [1, 0.1, 1e-4])
    assert likeness.log_spectral_distance(np.array([1.0, 0.1]), np.array([2.0, 0.2])) == pytest.approx(0)
    assert likeness.mean_of([1.0, None, 3.0]) == 2
    assert likeness.mean_of([None]) is None


@pytest.mark.parametrize("kind", ["shuffling", "flipping"])
@pytest.mark.parametrize("size", [2, 3, 8])
def test_helpers_give_the_key(kind, size):
    """What they read is the permutation, and the signs, of the key itself."""
    key = generate_key(kind, size, 2, seed=size)
    helpers, zero = image_attacks.to_image(
        np.stack([speech_examples.encrypted(helper, key) for helper in image_attacks.helper_values(size)])
    )
    place, inverted = image_attacks.read_helpers(helpers, zero)
    if kind == "shuffling":
        assert np.array_equal(key.values[place], np.arange(size * size))
        assert not inverted.any()
    else:
        assert np.array_equal(place, np.arange(size * size))
        assert np.array_equal(inverted, key.values == 1)


def test_least_difference_finds_inverted_places_of_a_smooth_image():
    plain = np.add.outer(np.arange(12.0), np.arange(12.0)) + 20
    key = generate_key("flipping", 3, 2, seed=3)
    image, zero = image_attacks.to_image(speech_examples.encrypted(plain, key))
    step = 255 / (2 * plain.max())
    found = image_attacks.least_difference(image, zero, zero + plain[0, 0] * step, 3)
    np.testing.assert_allclose((found - zero) / step, plain, atol=1)


def test_blocks_and_back():
    image = np.arange(36.0).reshape(6, 6)
    apart = image_attacks.blocks_of(image, 3)
    assert apart[1].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17]
    assert np.array_equal(image_attacks.image_of(apart, image.shape, 3), image)
