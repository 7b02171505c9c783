"""Attackers that name speakers, link clips and invert z find what is there; Bob runs them on recordings of his own."""

import dataclasses

import numpy as np
import pytest
import torch

from sotto.adversarial.attacks import detection, reconstruction, speaker_linking
from sotto.adversarial.attacks.attacker import Attacker, halves, representation, summary
from sotto.adversarial.attacks.classifiers import ARCHITECTURES
from sotto.adversarial.attacks.identification import identify
from sotto.adversarial.errors import AttackError
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sensor.spectrogram import Spectrogram
from sotto.adversarial.sounds.divided_sounds import Part, made_up_material
from sotto.adversarial.sounds.segments import Speech
from tests.error_codes import raises_code

RATE = 8000


def voices(speakers, each, seed, spread=2.0):
    """z of clips of some speakers, each of whom has a place of their own."""
    generator = np.random.default_rng(seed)
    places = np.random.default_rng(99).normal(size=(100, 12)) * spread
    names = np.repeat(speakers, each)
    return places[names] + generator.normal(size=(len(names), 12)), names


def test_speakers_are_named_from_z_that_knows_them():
    found = identify(*voices(range(6), 12, 1), *voices(range(6), 5, 2), seed=0)
    assert found.named > 0.9
    assert found.chance == pytest.approx(1 / 6)
    assert (found.values, found.probes) == (6, 30)


def test_speakers_are_not_named_from_z_that_does_not():
    found = identify(*voices(range(6), 12, 1, 0), *voices(range(6), 10, 2, 0), seed=0)
    assert found.named < 0.4


def test_clips_of_one_person_are_linked_without_having_met_them():
    linking = speaker_linking.link(*voices(range(20), 6, 1), *voices(range(30, 40), 4, 2))
    assert linking.auc > 0.9
    assert linking.equal_error_rate < 0.2
    assert linking.pairs == 40 * 39 // 2
    assert abs(speaker_linking.link(*voices(range(20), 6, 1, 0), *voices(range(30, 40), 4, 2, 0)).auc - 0.5) < 0.15


def test_linking_is_refused_where_it_would_be_naming():
    with raises_code(AttackError, "shared-speaker"):
        speaker_linking.link(*voices(range(6), 3, 1), *voices(range(5, 9), 3, 2))
    with raises_code(AttackError, "too-few-speakers"):
        speaker_linking.link(*voices(range(6), 1, 1), *voices(range(7, 9), 3, 2))
    with raises_code(AttackError, "one-clip-each"):
        speaker_linking.link(*voices(range(6), 3, 1), *voices(range(7, 9), 1, 2))


@pytest.mark.parametrize(
    ("probes", "names", "message"),
    [
        (np.zeros((5, 12)), np.full(5, 9), "unknown-value"),
        (np.zeros((5, 11)), np.zeros(5), "wrong-shape"),
        (np.full((5, 12), np.inf), np.zeros(5), "not-finite"),
        (np.zeros((0, 12)), np.zeros(0), "no-probe"),
    ],
)
def test_naming_that_cannot_be_tried_is_refused(probes, names, message):
    with raises_code(AttackError, message):
        identify(*voices(range(6), 12, 1), probes, names, seed=0)


def test_naming_needs_enough_of_each():
    z, names = voices(range(6), 12, 1)
    with raises_code(AttackError, "too-few-clips"):
        identify(z[:20], names[:20], z[:1], names[:1], seed=0)
    with raises_code(AttackError, "too-few-values"):
        identify(z, np.zeros(len(z)), z[:1], [0], seed=0)


def test_gender_is_found_in_voices_never_met():
    """A person-specific z tells nobody's gender; one that moves with gender does, of others too."""
    learnt, met = voices(range(20), 5, 1), voices(range(30, 50), 4, 2)
    for part in (learnt, met):
        part[0][:, 0] += 9.0 * (part[1] % 2)
    found = detection.detect(learnt[0], learnt[1] % 2, met[0], met[1] % 2, seed=0, groups=learnt[1])
    assert found.auc > 0.9


@pytest.fixture(scope="module")
def tones():
    """Waveforms that differ in the level of six tones, and those levels."""
    generator = np.random.default_rng(0)
    levels = generator.uniform(0.05, 1, size=(90, 6))
    time = np.arange(RATE // 4) / RATE
    waves = np.stack([np.sin(2 * np.pi * 500 * (k + 1) * time) for k in range(6)])
    return levels, (levels @ waves).astype(np.float32)


def test_a_spectrogram_comes_back_from_z_that_holds_it(tones):
    levels, sounds = tones
    z = np.log(levels) @ np.random.default_rng(1).normal(size=(6, 12))
    found = reconstruction.attack(z[:70], sounds[:70], z[70:], sounds[70:], rate=RATE, seed=0)
    assert found.correlation > 0.6
    assert found.distance_db < 0.9 * found.mean_distance_db
    assert found.magnitudes.shape == (20, Spectrogram(RATE).bins, 26)
    assert found.answer_correlation is None


def test_nothing_comes_back_from_noise(tones):
    _, sounds = tones
    z = np.random.default_rng(1).normal(size=(90, 12))
    event = np.zeros(90, np.int64)
    found = reconstruction.attack(
        z[:70], sounds[:70], z[70:], sounds[70:], rate=RATE, seed=0, event_train=event[:70], event_test=event[70:]
    )
    assert abs(found.correlation) < 0.25
    assert found.distance_db > 0.95 * found.mean_distance_db
    assert found.answer_distance_db == pytest.approx(found.mean_distance_db)  # one event: the answer tells nothing


@pytest.fixture(scope="module")
def material():
    return made_up_material(rate=RATE, seed=0, events=32, speakers=24)


def test_recovered_speech_is_judged(material):
    """The true magnitudes are well intelligible, a flat spectrum is not, and silence cannot be judged."""
    speech = material["test"].speech.waveforms[:2]
    with torch.inference_mode():
        true = Spectrogram(RATE)(torch.from_numpy(speech)).numpy()
    good = reconstruction.intelligibility(true, speech, rate=RATE, seed=0)
    poor = reconstruction.intelligibility(np.ones_like(true), speech, rate=RATE, seed=0)
    assert good > 0.8
    assert poor < 0.5
    with raises_code(AttackError, "no-speech"):
        reconstruction.intelligibility(true, np.zeros_like(speech), rate=RATE, seed=0)


@pytest.mark.parametrize(
    ("z", "sounds"),
    [(np.zeros((5, 4)), np.zeros((5, 999), np.float32)), (np.zeros((20, 4)), np.zeros((19, 999), np.float32))],
)
def test_inverting_that_cannot_be_tried_is_refused(z, sounds):
    with pytest.raises(AttackError):
        reconstruction.attack(z, sounds, z, sounds, rate=RATE, seed=0)


def test_bob_cuts_what_he_has_into_halves_that_share_nobody(material):
    one, other = halves(material["test"], 0)
    assert not set(one.events.recording) & set(other.events.recording)
    assert not set(one.speech.speaker) & set(other.speech.speaker)
    assert set(one.events.event) == set(other.events.event)
    assert set(one.speech.gender) == set(other.speech.gender)
    assert len(one.events) + len(other.events) == len(material["test"].events)


@pytest.fixture
def few(monkeypatch):
    """Three quick architectures."""
    names = ("logistic", "linear-discriminant", "neighbours")
    monkeypatch.setattr(detection, "ARCHITECTURES", {name: ARCHITECTURES[name] for name in names})


@pytest.mark.usefixtures("few")
def test_a_test_part_of_one_speaker_costs_the_second_attacker_alone(material):
    part = material["test"]
    alone = part.speech.speaker == part.speech.speaker[0]
    speech = Speech(*(getattr(part.speech, each.name)[alone] for each in dataclasses.fields(Speech)))
    with raises_code(AttackError, "too-few-speakers", match="1 speaker"):
        halves(Part(part.events, speech), 0)
    few = dataclasses.replace(material, parts={**material.parts, "test": Part(part.events, speech)})
    leak = Attacker(summary(few.rate), few, seed=0, draws=1).detect_speech()
    assert leak.auc_own is None
    assert leak.auc == leak.training_recordings.auc
    with pytest.raises(AttackError):
        Attacker(summary(few.rate), few, seed=0, draws=1).identify_speaker()


def test_bob_finds_speech_in_a_summary_that_hides_nothing(material):
    leak = Attacker(summary(RATE), material, seed=0).detect_speech()
    assert leak.auc > 0.8
    assert leak.auc == max(leak.training_recordings.auc, leak.auc_own)
    assert leak.auc_of_several(10, seed=0) >= leak.auc - 1e-9


@pytest.mark.usefixtures("few")
def test_bob_finds_no_speech_where_nothing_of_it_arrives(material):
    """z of the event alone, as of a perfect sensor: every event is the same with speech and without."""
    alone = {}
    attacker = Attacker(lambda waveforms: waveforms[:, :0], material, seed=0)
    for part in material.parts.values():
        for recording, wave in zip(part.events.recording, part.events.waveforms, strict=True):
            alone[recording] = summary(RATE)(wave[None])[0]
    attacker._seen = _without_speech(attacker._seen, alone)
    assert 0.35 < attacker.detect_speech().training_recordings.auc < 0.65


def _without_speech(seen, alone):
    def of(parts, seed, draws):
        found = seen(parts, seed, draws)
        return type(found)(found.segments, np.stack([alone[name] for name in found.segments.recording]))

    return of


def test_bob_judges_on_recordings_and_speakers_nobody_learnt_from(material):
    attacker = Attacker(representation(Sensor(rate=RATE, separation=(4,), extractor=(4, 8))), material, seed=0)
    learnt, met = attacker.learnt.segments, attacker.met.segments
    assert not set(learnt.recording) & set(met.recording)
    assert not set(learnt.speaker) & set(met.speaker) - {""}
    assert met.has_speech.mean() == 0.5
    assert attacker.met.z.shape == (len(met), 64)
    assert (attacker.met.z == attacker.met.z.astype(np.float16)).all()
    spoken = attacker.spoken()
    assert len(spoken) == met.has_speech.sum()
    assert np.abs(spoken).max() > 0
