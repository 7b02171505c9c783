"""What a corpus can be used for here, and what is missing where it cannot: told before hours are spent on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sotto.audio import Corpus, CorpusError
from sotto.audio.splits import Split, default_split, speaker_folds

_FOLDS = 6  # of sotto reproduce
_CLASSIFIED = ("emotion", "digit", "event")


def uses(corpus: Corpus) -> Mapping[str, str]:
    """For each use "yes", or one line that says what is missing."""
    return {
        **{f"sotto bench --label {label}": _answer(_classify, corpus, label) for label in _CLASSIFIED},
        "attackers who name speakers": _answer(_two_test_speakers, corpus),
        f"cross-validation in {_FOLDS} folds": _answer(speaker_folds, corpus, _FOLDS),
    }


def _answer(use: Callable[..., object], *arguments: object) -> str:
    try:
        use(*arguments)
    except CorpusError as error:
        return f"no: {error}"
    return "yes"


def _classify(corpus: Corpus, label: str) -> Split:
    classes = corpus.classes(label)
    if len(classes) < 2:
        raise CorpusError("too-few-classes", f"{len(classes)} class(es) of {label}, at least 2 are needed")
    corpus.labels(label)  # names the first clip without one
    split = default_split(corpus)
    values = corpus.labels(label)
    unheard = set(classes) - {values[i] for i in split.train}
    if unheard:
        raise CorpusError(
            "untrained-class",
            f"no training clip of {', '.join(sorted(unheard))}: each class needs clips of several speakers",
        )
    return split


def _two_test_speakers(corpus: Corpus) -> None:
    split = default_split(corpus)
    speakers = corpus.labels("speaker")
    heard = len({speakers[i] for i in split.test})
    if heard < 2:
        raise CorpusError(
            "too-few-speakers", f"the test part has {heard} speaker(s), at least 2 are needed: about 6 in all"
        )
