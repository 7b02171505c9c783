from pathlib import Path

import numpy as np

from sotto.audio import Clip, Corpus, CorpusError, MissingLabel, Trial
from sotto.audio.splits import speaker_split
from sotto.link import BadValue
from tests.error_codes import raises_code


def corpus(**more) -> Corpus:
    clips = tuple(
        Clip(id=str(i), path=Path(f"/x/{i}.wav"), speaker=f"s{i % 3}", emotion=("sad", "angry")[i % 2])
        for i in range(6)
    )
    return Corpus("test", clips, **more)


def test_labels_classes_and_targets_agree():
    c = corpus()
    assert c.classes("emotion") == ("angry", "sad")
    assert [c.classes("emotion")[k] for k in c.targets("emotion")] == c.labels("emotion")
    assert c.targets("emotion").dtype == np.int64
    assert c.speakers == ["s0", "s1", "s2"]
    assert len(c.labels("speaker")) == len(c) == 6


def test_a_missing_label_names_the_file_and_what_there_is():
    with raises_code(MissingLabel, "no-label", match=r"^/x/0\.wav: has no digit label; test has speaker, emotion$"):
        corpus().labels("digit")


def test_a_label_outside_the_given_classes_names_the_file():
    with raises_code(MissingLabel, "unknown-label", match=r"/x/0\.wav: its emotion is sad"):
        corpus().targets("emotion", classes=("angry", "happy"))


def test_selecting_keeps_order_and_drops_trials_whose_clips_are_gone():
    c = corpus(trials=(Trial("0", "3", same=True), Trial("0", "1", same=False)))
    kept = c.select(lambda clip: clip.speaker == "s0")
    assert [clip.id for clip in kept] == ["0", "3"]
    assert kept.trials == (Trial("0", "3", same=True),)
    assert [clip.id for clip in c.subset([4, 1])] == ["4", "1"]


def test_ids_are_unique():
    clip = Clip(id="a", path=Path("a.wav"))
    with raises_code(CorpusError, "id-twice", match=r"a\.wav: a second clip with the id a"):
        Corpus("test", (clip, clip))


def test_a_synthetic_corpus_must_say_so():
    with raises_code(BadValue, "no-notice"):
        Corpus("test", (), synthetic=True)


def test_a_corpus_and_a_split_are_short_in_print():
    clips = tuple(Clip(id=str(i), path=Path(f"{i}.wav"), speaker=str(i % 8)) for i in range(500))
    corpus = Corpus("test", clips)
    assert repr(corpus) == "<Corpus test, 500 clips>"
    assert len(repr(speaker_split(corpus))) < 100
