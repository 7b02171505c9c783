"""Segments: the most energetic second, normalised; speech 5 dB below, in half of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.adversarial.sounds.segments import Events, Speech, join, mix, mix_pairs, most_energetic


def events(each=6, classes=3, samples=400):
    generator = np.random.default_rng(0)
    event = np.repeat(np.arange(classes), each)
    sound = generator.standard_normal((len(event), samples)).astype(np.float32)
    return Events(sound, event, np.array([f"r{k}" for k in range(len(event))]))


def speech(count=5, samples=400):
    sound = np.random.default_rng(1).standard_normal((count, samples)).astype(np.float32)
    names = np.array([f"s{k}" for k in range(count)])
    return Speech(sound, names, np.array(["female", "male"] * count)[:count], np.char.add(names, "-1"))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(2, 50), size=st.integers(1, 200), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_pieces_are_prepared_and_the_first_is_the_most_energetic(length, size, count, seed):
    samples = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    pieces = most_energetic(samples, length, count)
    assert 1 <= len(pieces) <= count
    for piece in pieces:
        assert piece.shape == (length,)
        assert abs(float(piece.mean())) < 1e-4
        assert float(piece.std()) == pytest.approx(1, abs=1e-3)


def test_the_burst_is_found_and_the_next_piece_does_not_overlap_it():
    samples = np.random.default_rng(0).standard_normal(1000).astype(np.float32) * 0.01
    samples[400:500] *= 100
    samples[700:800] *= 50
    first, second = most_energetic(samples, 100, 2)
    assert np.corrcoef(first, samples[400:500])[0, 1] > 0.999
    assert np.corrcoef(second, samples[700:800])[0, 1] > 0.999


def test_silence_gives_no_segment():
    assert most_energetic(np.zeros(500, np.float32), 100, 3) == []


def test_half_of_each_class_is_spoken_over_5_db_below():
    found = mix(events(), speech(), seed=3)
    for event in range(3):
        assert found.has_speech[found.event == event].sum() == 3
    added = (found.waveforms - found.target)[found.has_speech]
    level = 20 * np.log10(found.target[found.has_speech].std() / added.std())
    assert level == pytest.approx(5, abs=0.3)
    assert np.array_equal(found.waveforms[~found.has_speech], found.target[~found.has_speech])
    assert set(found.speaker[~found.has_speech]) == {""}
    assert set(found.speaker[found.has_speech]) <= set(speech().speaker)


def test_pairs_hold_every_event_with_and_without_speech():
    found = mix_pairs(events(), speech(), seed=3)
    assert np.array_equal(found.target[:18], found.target[18:])
    assert not found.has_speech[:18].any()
    assert found.has_speech[18:].all()
    assert not np.array_equal(found.waveforms[18:], mix_pairs(events(), speech(), seed=4).waveforms[18:])
    assert np.array_equal(found.waveforms, mix_pairs(events(), speech(), seed=3).waveforms)


def test_mixing_leaves_the_material_alone():
    sounds = events()
    before = sounds.waveforms.copy()
    mix(sounds, speech(), seed=0)
    assert np.array_equal(sounds.waveforms, before)


def test_segments_are_chosen_and_joined():
    found = mix(events(), speech(), seed=3)
    again = join([found[found.has_speech], found[~found.has_speech]])
    assert len(again) == len(found)
    assert sorted(again.recording) == sorted(found.recording)
