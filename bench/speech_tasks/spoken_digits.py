"""Strings of spoken digits, put together from single takes so that every string has one speaker.

The takes come from FSDD (six people), or from espeak-ng where no recordings are named.  Which digits a string has,
which takes they are and how long the pauses between them last is drawn from a seeded generator, so that a test set is
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import soxr

from sotto.audio import Corpus, read
from sotto.audio.corpora.fsdd import WORDS
from sotto.audio.synthetic import VOICES
from sotto.audio.synthetic.espeak import RATE as ESPEAK_RATE
from sotto.audio.synthetic.espeak import Utterance, speak
from sotto.audio.synthetic.voice_quality import scale_tract

RATE = 8000
"""Samples per second of takes and strings: FSDD's own."""

_WORDS = (3, 7)
_PAUSE = (0.06, 0.30)  # seconds
_LEVEL, _NOISE = 0.1, 3e-4  # root mean square of every take, and of the noise in the whole string

Wave = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Take:
    """One digit, said once: samples (n,) at :data:`RATE`."""

    speaker: str
    digit: int
    samples: Wave


@dataclass(frozen=True, eq=False)
class DigitString:
    """Several digits of one speaker: samples (n,) at :data:`RATE` and what was said."""

    speaker: str
    digits: tuple[int, ...]
    samples: Wave

    @property
    def text(self) -> str:
        return spelled(self.digits)


def spelled(digits: Sequence[int]) -> str:
    """The digits ``"3 1"`` in words: ``"three one"``."""
    return " ".join(WORDS[digit] for digit in digits)


def recorded_takes(corpus: Corpus) -> list[Take]:
    """All takes of a corpus with the labels speaker and digit, such as FSDD."""
    speakers, digits = corpus.labels("speaker"), corpus.labels("digit")
    return [
        Take(speaker, int(digit), read(clip, RATE))
        for clip, speaker, digit in zip(corpus, speakers, digits, strict=True)
    ]


@cache
def synthetic_takes(variants: int, voices: int = len(VOICES)) -> tuple[Take, ...]:
    """Every digit ``variants`` times from each of the built-in voices, faster, slower, higher and lower.

    Raises
    ------
    EspeakError
        espeak-ng cannot be used.
    """
    takes = []
    for number, voice in enumerate(VOICES[:voices]):
        generator = np.random.default_rng([2026, number])
        order = [digit for digit in range(10) for _ in range(variants)]
        spoken = speak(
            voice.espeak_name,
            [
                Utterance(
                    WORDS[digit] + ".",
                    speed=int(generator.integers(110, 220)),
                    pitch=int(generator.integers(20, 80)),
                    range=int(generator.integers(20, 70)),
                )
                for digit in order
            ],
        )
        for digit, raw in zip(order, spoken, strict=True):
            samples = scale_tract(raw / 32768, ESPEAK_RATE, RATE, voice.tract).astype(np.float32)
            takes.append(Take(voice.name, digit, _without_silence(samples)))
    return tuple(takes)


def compose(
    takes: Sequence[Take], count: int, generator: np.random.Generator, *, speeds: tuple[float, float] = (1.0, 1.0)
) -> list[DigitString]:
    """``count`` strings, the speakers in turn.

    Parameters
    ----------
    takes
        of one speaker or several; each of them has said every digit.
    speeds
        a string is played at a speed between these, which moves pitch and formants together.
    """
    by_speaker: dict[str, dict[int, list[Wave]]] = {}
    for take in takes:
        by_speaker.setdefault(take.speaker, {}).setdefault(take.digit, []).append(take.samples)
    speakers = sorted(by_speaker)
    strings = []
    for number in range(count):
        said = by_speaker[speakers[number % len(speakers)]]
        digits = tuple(int(digit) for digit in generator.integers(0, 10, generator.integers(_WORDS[0], _WORDS[1] + 1)))
        parts = [_pause(generator)]
        for digit in digits:
            wave = said[digit][generator.integers(len(said[digit]))]
            parts += [wave * np.float32(_LEVEL / max(float(np.sqrt(np.mean(wave**2))), 1e-6)), _pause(generator)]
        samples = np.concatenate(parts)
        speed = float(np.exp(generator.uniform(*np.log(speeds))))
        if speed != 1:
            samples = soxr.resample(samples, RATE * speed, RATE)
        noise = generator.normal(0, _NOISE, samples.size).astype(np.float32)
        strings.append(DigitString(speakers[number % len(speakers)], digits, samples.astype(np.float32) + noise))
    return strings


def _pause(generator: np.random.Generator) -> Wave:
    return np.zeros(int(generator.uniform(*_PAUSE) * RATE), np.float32)


def _without_silence(samples: Wave) -> Wave:
    """Without what is 40 dB below the loudest sample at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]
