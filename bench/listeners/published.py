"""The listeners: published models, packaged by others, each behind a function.

* Who speaks: 256 numbers of Resemblyzer's speaker encoder (GE2E, Wan et al., ICASSP 2018).  It was trained on VoxCeleb
  1 and 2 and on LibriSpeech's "other" training part: none of its test speakers, none of RAVDESS's actors.  The sounds
  are not cut at silences, as its own front end would: that stage is a decision on speech and would throw transformed
  speech away.
* Whether somebody speaks: Silero VAD, a probability for every 32 ms.
* How good it sounds: DNSMOS (Reddy et al., ICASSP 2022), a network's guess at listeners' votes from 1 to 5.
* What is said: PocketSphinx with the English model and dictionary that its package holds.  It is a recogniser of its
  time (hidden Markov models with Gaussian mixtures): it mishears about half of the words of LibriSpeech's harder part
  in the clear.  What it hears of transformed speech must be read against that.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

import jiwer
import numpy as np
import numpy.typing as npt
import torch

from sotto.audio.corpora.fsdd import WORDS
from sotto.audio.features import FeatureSpec
from sotto.bench.listeners.sound import RATE, at_level, pcm
from sotto.link import Coded

INSTALL = "pip install 'sotto[listeners]' && pip install --no-deps resemblyzer==0.1.4"


class ListenersMissing(Coded, RuntimeError):
    """A package of the extra ``listeners`` is not installed."""


def load(name: str) -> ModuleType:
    """The package, imported; the number of threads that torch uses stays what it is (silero-vad sets it).

    Raises
    ------
    ListenersMissing
        it, or something it needs, is not installed.
    """
    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of their own dependencies
            return importlib.import_module(name)
    except ImportError as error:
        raise ListenersMissing("not-installed", f"{name} cannot be imported ({error}): {INSTALL}") from None
    finally:
        torch.set_num_threads(threads)


SIZE = 256
"""Numbers in an embedding."""


def speaker_embeddings(waves: Iterable[npt.ArrayLike]) -> npt.NDArray[np.float32]:
    """Embeddings (n, 256) float32 of sounds (samples,) at 16 kHz, each of length 1 (or 0).

    Raises
    ------
    ListenersMissing
        Resemblyzer is not installed.
    """
    encoder = _encoder()
    rows = [encoder.embed_utterance(at_level(wave)) for wave in waves]
    return np.nan_to_num(np.array(rows, np.float32).reshape(-1, SIZE))


@cache
def _encoder() -> Any:
    return load("resemblyzer").VoiceEncoder("cpu", verbose=False)


@dataclass(frozen=True)
class SpeakerEmbeddingFeature(FeatureSpec):
    """256 numbers of the encoder, whose weights nobody here trained, (256,): at least 0, length 1."""

    kind: ClassVar[str] = "ge2e"
    libraries: ClassVar[tuple[str, ...]] = (*FeatureSpec.libraries, "librosa", "resemblyzer", "torch")
    seconds_each: ClassVar[float] = 0.1

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (SIZE,)

    @property
    def sample_rate(self) -> int:
        return RATE

    def compute(self, samples: np.ndarray) -> np.ndarray:
        return speaker_embeddings([samples])[0]


SPEECH = 0.5
"""The probability from which its authors call a frame speech."""


def speech_probabilities(waves: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Probability of speech (n, frames) float32, in frames of 512 samples, of sounds (n, samples) at 16 kHz.

    Raises
    ------
    ListenersMissing
        silero-vad or onnxruntime is not installed.
    """
    batch = torch.from_numpy(np.stack([at_level(wave) for wave in waves]))
    found: npt.NDArray[np.float32] = _detector().audio_forward(batch, RATE).numpy()
    return found


@cache
def _detector() -> Any:
    load("onnxruntime")
    return load("silero_vad").load_silero_vad(onnx=True)


def quality(waves: Iterable[npt.ArrayLike]) -> float:
    """Mean DNSMOS (overall) of sounds (samples,) at 16 kHz; the network hears 9 s, so shorter ones are repeated.

    Raises
    ------
    ListenersMissing
        speechmos, or something it needs, is not installed.
    """
    judge = load("speechmos.dnsmos")
    return float(np.mean([judge.run(at_level(wave), RATE)["ovrl_mos"] for wave in waves]))


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
