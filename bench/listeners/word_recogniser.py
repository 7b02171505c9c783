"""What is said: PocketSphinx with the English model and dictionary that its package holds.

It is a recogniser of its time (hidden Markov models with Gaussian mixtures): it mishears about half of the words of
LibriSpeech's harder part in the clear.  What it hears of transformed speech must be read against that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import jiwer
import numpy as np
import numpy.typing as npt

from sotto.audio.corpora.fsdd import WORDS
from sotto.bench.listeners.packages import load
from sotto.bench.listeners.sound import pcm

_BEAM = {"maxhmmpf": 3000, "pl_window": 5}  # a third of the time, for the same word error rate on plain speech
_EACH_ALONE = {"cmn": "batch"}  # else it carries the mean of what it heard before over to the next sound
_NO_INSERTIONS = {"wip": 1e-4, "lw": 1.0}  # chosen on plain strings, whose error rate it halves
_DIGITS = f"#JSGF V1.0;\ngrammar digits;\npublic <digits> = ({' | '.join(WORDS)})+;\n"


def dictated(waves: Iterable[npt.ArrayLike]) -> list[str]:
    """The English words heard in each sound (samples,) at 16 kHz, any words, lower case.

    Raises
    ------
    ListenersMissing
        PocketSphinx is not installed.
    """
    return [_heard(_dictation(), wave) for wave in waves]


def digits(waves: Iterable[npt.ArrayLike]) -> list[str]:
    """The same for a listener who expects nothing but digits, one or more; raises like :func:`dictated`."""
    return [_heard(_digit_loop(), wave) for wave in waves]


def word_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Substitutions, deletions and insertions over the words said; 1 is no better than silence."""
    return float(jiwer.wer([text.lower() for text in said], list(heard)))


def word_errors(said: Sequence[str], heard: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each sound: substitutions, deletions and insertions (n,), and words said (n,)."""
    each = [jiwer.process_words(text.lower(), found) for text, found in zip(said, heard, strict=True)]
    errors = [one.substitutions + one.deletions + one.insertions for one in each]
    return np.array(errors, np.int64), np.array([len(text.split()) for text in said], np.int64)


@cache
def _dictation() -> Any:
    return load("pocketsphinx").Decoder(loglevel="FATAL", **_BEAM, **_EACH_ALONE)


@cache
def _digit_loop() -> Any:
    decoder = load("pocketsphinx").Decoder(loglevel="FATAL", lm=None, **_NO_INSERTIONS, **_EACH_ALONE)
    decoder.add_jsgf_string("digits", _DIGITS)
    decoder.activate_search("digits")
    return decoder


def _heard(decoder: Any, wave: npt.ArrayLike) -> str:
    decoder.start_utt()
    decoder.process_raw(pcm(wave).tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""
