"""Nothing is on two sides of a split: no recording, no speaker."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.adversarial.sounds.divided_sounds import SHARES, divide, made_up_material, open_material
from sotto.audio import CorpusError, SplitError
from tests.error_codes import raises_code

REAL = pytest.mark.skipif("SOTTO_DATA" not in os.environ, reason="needs recordings, named by SOTTO_DATA")


def apart(material):
    for one, other in combinations(SHARES, 2):
        assert not set(material[one].events.recording) & set(material[other].events.recording)
        assert not set(material[one].speech.speaker) & set(material[other].speech.speaker)
    for part in material.parts.values():
        assert set(part.events.event) == set(range(len(material.classes)))
        assert part.events.waveforms.shape[1] == part.speech.waveforms.shape[1] == material.rate
        assert part.events.waveforms.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(
    members=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), min_size=3, max_size=80),
    seed=st.integers(0, 5),
)
def test_groups_stay_whole_and_every_member_has_one_place(members, seed):
    named = [(label, f"g{group}") for label, group in members]
    try:
        sides = divide(named, seed)
    except SplitError:
        return
    assert sorted(i for side in sides.values() for i in side) == list(range(len(named)))
    homes = {}
    for side, places in sides.items():
        assert places
        for place in places:
            assert homes.setdefault(named[place][1], side) == side


def test_one_recording_of_many_clips_does_not_empty_a_part():
    sides = divide([("shot", "long")] * 50 + [("shot", "b"), ("shot", "c")], 0)
    assert all(sides.values())


def test_too_few_recordings_are_refused_in_one_line():
    with raises_code(SplitError, "too-few-recordings", match="shot: 2 recording"):
        divide([("shot", "a"), ("shot", "b")], 0)


def test_made_up_sounds_are_the_same_for_the_same_seed_and_say_what_they_are():
    material = made_up_material(rate=8_000, events=5, speakers=6, seed=1)
    apart(material)
    assert material.notice
    assert material.digest == made_up_material(rate=8_000, events=5, speakers=6, seed=1).digest
    assert material.digest != made_up_material(rate=8_000, events=5, speakers=6, seed=2).digest


def test_missing_recordings_are_told_in_one_line(tmp_path):
    with pytest.raises(CorpusError) as error:
        open_material("urbansound8k", tmp_path)
    assert "\n" not in str(error.value)


@REAL
@pytest.mark.slow
@pytest.mark.parametrize("speech", ["librispeech", "ravdess"])
def test_real_recordings_are_divided_by_freesound_recording_and_speaker(speech):
    material = open_material("urbansound8k", Path(os.environ["SOTTO_DATA"]), speech=speech)
    apart(material)
    assert material.classes == ("car_horn", "dog_bark", "gun_shot", "siren")
