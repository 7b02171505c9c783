from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.audio import Clip, Corpus, MissingLabel, SplitError
from sotto.audio.splits import (
    Split,
    default_split,
    fold_split,
    published_folds,
    published_split,
    speaker_folds,
    speaker_split,
)
from tests.error_codes import raises_code


def spoken(speakers: int, clips_each: int = 3, women: int | None = None) -> Corpus:
    women = speakers // 2 if women is None else women
    return Corpus(
        "test",
        tuple(
            Clip(id=f"{s}-{c}", path=Path(f"{s}-{c}.wav"), speaker=f"s{s:02d}", sex="female" if s < women else "male")
            for s in range(speakers)
            for c in range(clips_each)
        ),
    )


def folded(folds: int) -> Corpus:
    return Corpus("test", tuple(Clip(id=str(i), path=Path(f"{i}.wav"), fold=i % folds + 1) for i in range(4 * folds)))


def speakers_of(corpus: Corpus, indices: tuple[int, ...]) -> set[str]:
    return {str(corpus[i].speaker) for i in indices}


@given(st.integers(4, 40), st.integers(0, 1000))
def test_a_speaker_split_uses_every_clip_once_and_shares_no_speaker(speakers, seed):
    corpus = spoken(speakers)
    split = speaker_split(corpus, seed)
    assert sorted(split.train + split.validation + split.test) == list(range(len(corpus)))
    parts = [speakers_of(corpus, part) for part in (split.train, split.validation, split.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == speakers
    assert split == speaker_split(corpus, seed)


@given(st.integers(3, 30), st.integers(3, 8), st.integers(0, 100))
def test_every_speaker_is_tested_in_exactly_one_fold(speakers, folds, seed):
    corpus = spoken(speakers)
    if speakers < folds:
        with raises_code(SplitError, "too-few-speakers"):
            speaker_folds(corpus, folds, seed)
        return
    splits = speaker_folds(corpus, folds, seed)
    tested = [speaker for split in splits for speaker in speakers_of(corpus, split.test)]
    assert sorted(tested) == corpus.speakers
    for split in splits:
        split.check(corpus)


@pytest.mark.parametrize("seed", range(10))
def test_the_sexes_are_balanced_in_every_fold(seed):
    corpus = spoken(24)
    for split in speaker_folds(corpus, 6, seed):
        for part in (split.test, split.validation):
            sexes = [next(c.sex for c in corpus if c.speaker == s) for s in speakers_of(corpus, part)]
            assert sorted(sexes) == ["female"] * 2 + ["male"] * 2


def test_seeds_differ():
    corpus = spoken(24)
    assert len({speaker_split(corpus, seed).test for seed in range(20)}) > 15


def test_fold_validation_can_be_smaller_or_absent():
    corpus = spoken(24)
    assert all(len(speakers_of(corpus, s.validation)) == 2 for s in speaker_folds(corpus, 6, validation=2))
    assert all(s.validation == () and len(s.train) == 60 for s in speaker_folds(corpus, 6, validation=0))


@pytest.mark.parametrize("speakers", [1, 2])
def test_too_few_speakers_is_an_error(speakers):
    with raises_code(SplitError, "too-few-speakers", match=f"{speakers} speaker"):
        speaker_split(spoken(speakers))


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 0.0), (0.1, 1.0)])
def test_shares_must_leave_something(validation, test):
    with raises_code(SplitError, "bad-shares"):
        speaker_split(spoken(10), validation=validation, test=test)


def test_clips_without_speakers_cannot_be_split_by_speaker():
    with raises_code(MissingLabel, "no-label", match=r"0\.wav: has no speaker"):
        speaker_split(folded(5))


def test_check_refuses_what_overlaps():
    corpus = spoken(4)
    with raises_code(SplitError, "shared-speaker", match="train and test share the speaker s00"):
        Split("bad", (0, 3), (6,), (1, 9)).check(corpus)
    with raises_code(SplitError, "bad-index"):
        Split("bad", (0, 0), (), (3,)).check(corpus)
    with raises_code(SplitError, "bad-index"):
        Split("bad", (0,), (), (99,)).check(corpus)
    with raises_code(SplitError, "empty-part"):
        Split("bad", (0,), (), ()).check(corpus)


def test_published_folds_rotate():
    corpus = folded(5)
    splits = published_folds(corpus)
    assert [{corpus[i].fold for i in s.test} for s in splits] == [{1}, {2}, {3}, {4}, {5}]
    assert [{corpus[i].fold for i in s.validation} for s in splits] == [{2}, {3}, {4}, {5}, {1}]
    assert {corpus[i].fold for i in fold_split(corpus, test=(2, 3)).train} == {1, 4, 5}


def test_fold_errors():
    with raises_code(SplitError, "no-such-fold", match="has no fold 9"):
        fold_split(folded(5), test=(9,))
    with raises_code(SplitError, "fold-twice"):
        fold_split(folded(5), test=(1,), validation=(1,))
    with raises_code(SplitError, "too-few-folds"):
        published_folds(folded(2))


def test_the_published_split_is_checked_for_shared_speakers():
    def clip(name: str, speaker: str, subset: str) -> Clip:
        return Clip(id=name, path=Path(name), speaker=speaker, extra={"subset": subset})

    good = Corpus("test", (clip("a", "x", "train"), clip("b", "y", "test")))
    assert published_split(good).test == (1,)
    with raises_code(SplitError, "shared-speaker", match="share the speaker x"):
        published_split(Corpus("test", (clip("a", "x", "train"), clip("b", "x", "test"))))
    with raises_code(SplitError, "no-published-split"):
        published_split(Corpus("test", (clip("a", "x", "dev"),)))


def test_the_default_split_follows_what_is_known():
    assert default_split(spoken(12)).name.startswith("speakers")
    assert default_split(folded(5)).name.startswith("folds")
    with raises_code(SplitError, "no-groups"):
        default_split(Corpus("test", (Clip(id="a", path=Path("a")),)))
