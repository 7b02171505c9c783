"""One-second segments of sound events, half of them with somebody speaking: what sensors are trained and tested on.

As published (Luong et al., §3.1): the most energetic second of each clip, its mean subtracted and divided by its
standard deviation; speech, prepared the same way, is attenuated by 5 dB and added to half of the event segments.
Recordings and speakers are disjoint between training, validation and test
(:mod:`sotto.adversarial.sounds.divided_sounds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]

SPEECH_GAIN = np.float32(10 ** (-5 / 20))
_SILENT = 1e-8


class _Rows:
    """Arrays of the same length, one row a segment."""

    waveforms: Floats

    def __len__(self) -> int:
        return len(self.waveforms)

    def __getitem__(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Self:
        """The segments at these positions."""
        return type(self)(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Events(_Rows):
    """Event segments.

    Attributes
    ----------
    waveforms
        (n, samples) float32, mean 0 and standard deviation 1.
    event
        (n,) int64, a class index.
    recording
        (n,) the recording each was cut from.
    """

    waveforms: Floats
    event: npt.NDArray[np.int64]
    recording: Names


@dataclass(frozen=True, eq=False)
class Speech(_Rows):
    """Speech segments, prepared as the events are: (n, samples) float32, and for each its speaker, their gender
    ("female", "male", or "" where the corpus does not say) and its recording."""

    waveforms: Floats
    speaker: Names
    gender: Names
    recording: Names


@dataclass(frozen=True, eq=False)
class Segments(_Rows):
    """Segments as a microphone would deliver them, and what is known about them.

    Attributes
    ----------
    waveforms
        (n, samples) float32: event, or event and speech.
    target
        (n, samples) float32: the event alone, which a perfect separation would give.
    event
        (n,) int64, a class index.
    has_speech
        (n,) bool.
    speaker, gender
        (n,) who speaks; "" where nobody does (and for an unknown gender).
    recording
        (n,) the recording of the event.
    utterance
        (n,) the recording of the speech, or "".
    """

    waveforms: Floats
    target: Floats
    event: npt.NDArray[np.int64]
    has_speech: npt.NDArray[np.bool_]
    speaker: Names
    gender: Names
    recording: Names
    utterance: Names


def join(parts: Sequence[Segments]) -> Segments:
    """All segments of ``parts``, in order."""
    return Segments(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Segments)})


def mix(events: Events, speech: Speech, *, seed: int) -> Segments:
    """As published: every event segment once, speech in half of those of each class, at random (seeded)."""
    generator = np.random.default_rng(seed)
    spoken = np.zeros(len(events), dtype=bool)
    for event in np.unique(events.event):
        members = np.flatnonzero(events.event == event)
        spoken[generator.permutation(members)[: len(members) // 2]] = True
    return _mixed(events, spoken, speech, generator)


def mix_pairs(events: Events, speech: Speech, *, seed: int) -> Segments:
    """Every event segment twice, first all without and then all with speech, whose draw the seed decides.

    So nothing but the speech itself can tell the halves apart: no event is found in one of them only.
    """
    generator = np.random.default_rng(seed)
    without = np.zeros(len(events), dtype=bool)
    return join([_mixed(events, part, speech, generator) for part in (without, ~without)])


def _mixed(events: Events, spoken: npt.NDArray[np.bool_], speech: Speech, generator: np.random.Generator) -> Segments:
    places = _draw(len(speech), int(spoken.sum()), generator)
    waveforms = events.waveforms.copy()
    waveforms[spoken] += SPEECH_GAIN * speech.waveforms[places]
    return Segments(
        waveforms,
        events.waveforms,
        events.event,
        spoken,
        _scatter(spoken, speech.speaker[places]),
        _scatter(spoken, speech.gender[places]),
        events.recording,
        _scatter(spoken, speech.recording[places]),
    )


def _draw(available: int, wanted: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions drawn without replacement as long as there are any, then again."""
    rounds = [generator.permutation(available) for _ in range(-(-wanted // available))]
    return np.concatenate(rounds)[:wanted] if rounds else np.zeros(0, np.int64)


def _scatter(where: npt.NDArray[np.bool_], names: Names) -> Names:
    values = np.full(len(where), "", dtype=names.dtype if names.dtype.itemsize else "U1")
    values[where] = names
    return values


def most_energetic(samples: Floats, length: int, count: int = 1) -> list[Floats]:
    """The ``count`` most energetic pieces of ``length`` samples that do not overlap, prepared, without silent ones.

    The first is the most energetic of all places; a sound that is shorter lies between zeros.
    """
    samples = np.asarray(samples, np.float32)
    if samples.size < length:
        missing = length - samples.size
        samples = np.pad(samples, (missing // 2, missing - missing // 2))
    pieces = []
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = energy[length:] - energy[:-length]
    for _ in range(count):
        best = int(np.argmax(starts))
        if starts[best] < 0:
            break
        piece = samples[best : best + length]
        if float(piece.std()) > _SILENT:
            pieces.append(prepare(piece))
        starts[max(0, best - length + 1) : best + length] = -1.0
    return pieces


def prepare(piece: Floats) -> Floats:
    """Mean 0 and standard deviation 1, float32."""
    centred = piece - piece.mean(dtype=np.float64)
    prepared: Floats = (centred / centred.std(dtype=np.float64)).astype(np.float32)
    return prepared
