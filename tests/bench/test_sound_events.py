"""The sounds of the sound event task: from the user's recordings or made up, and never on two sides of a split."""

import numpy as np
import pytest

from sotto.adversarial.sounds.made_up_sounds import CLASSES, made_up_speech
from sotto.audio import Clip, Corpus
from sotto.audio.splits import speaker_split
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.experiment import Configuration, run
from sotto.bench.sound_events import sound_events
from sotto.bench.workbench import Workbench

RATE = 16000


def bench(said, data=None, speaker=True):
    """A workbench whose corpus is twelve made-up voices with two moods."""
    voices = made_up_speech(RATE, 12, 0)
    clips = tuple(
        Clip(
            id=str(name),
            samples=0.1 * wave / np.abs(wave).max(),
            rate=RATE,
            speaker=str(who) if speaker else None,
            sex=str(sex),
            emotion="calm" if k % 2 else "angry",
            fold=k,
        )
        for k, (wave, who, sex, name) in enumerate(
            zip(voices.waveforms, voices.speaker, voices.gender, voices.recording, strict=True)
        )
    )
    corpus = Corpus("voices", clips, synthetic=True, notice="nobody spoke")
    split = speaker_split(Corpus("voices", clips, synthetic=True, notice="-"), 0) if speaker else None
    return Workbench(corpus, split, "emotion", "quick", 0, said.append, data=data)


def test_the_voices_of_the_corpus_speak_over_made_up_events():
    said = []
    made = bench(said)
    material = sound_events(made, RATE)
    assert material is sound_events(made, RATE)
    assert material.name == "made-up events + voices"
    assert "made-up" in material.notice
    assert material.classes == CLASSES
    assert any("made-up events + voices" in line for line in said)
    heard = {name: set(material[name].events.recording) for name in material.parts}
    spoken = {name: set(material[name].speech.speaker) for name in material.parts}
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert not heard[one] & heard[other]
        assert not spoken[one] & spoken[other]
    assert spoken["test"] == {made.corpus[i].speaker for i in made.split.test}
    np.testing.assert_allclose(material["test"].speech.waveforms.std(axis=1), 1, atol=1e-3)


def test_a_folder_without_sound_events_is_named_and_events_are_made_up(tmp_path):
    said = []
    (tmp_path / "ravdess").mkdir()
    assert sound_events(bench(said, tmp_path), RATE).name == "made-up events + voices"
    assert sum("no urbansound8k" in line for line in said) == 1


def test_a_corpus_without_speakers_is_not_used_for_speech():
    assert sound_events(bench([], speaker=False), RATE).name == "synthetic"


def test_attacks_and_cells_say_what_they_are():
    module = EXPERIMENTS["adversarial"]
    assert module.missing() is None
    assert [cell.mode for cell in module.cells("quick")] == ["rdal-m"]
    assert [cell.mode for cell in module.cells("full")] == ["rdal-m", "rdal", "baseline"]


@pytest.mark.slow
def test_the_row_names_the_sounds_it_is_on():
    made = bench([])
    (cell,) = (cell for cell in EXPERIMENTS["adversarial"].cells("full") if cell.mode == "baseline")
    experiment = EXPERIMENTS["adversarial"].build(
        Configuration(cell.paradigm, cell.mode, cell.model, cell.parameters), made
    )
    assert set(experiment.attacks) <= set(EXPERIMENTS["adversarial"].ATTACKS)
    row = run(experiment, corpus="voices", split=made.split.name, seed=0, net="loopback", say=lambda line: None)
    assert row.corpus == "made-up events + voices"
    assert row.accuracy_private > 0.6
    assert row.agreement > 0.97
    assert row.max_abs_error < 0.1
    assert row.bytes.alice < 300
    assert row.rounds == 1
    assert row.metrics["attack_speech_auc"] > 0.7
