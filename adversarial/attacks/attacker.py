"""Bob as an attacker: recordings of his own, the public sensor, and every attack of this package.

What he trains on matters as much as how.  On the recordings that the sensor was trained on, z hides more than on
others: an attacker who learns there learns to look where little is left.  So speech is looked for twice, by an attacker
with the sensor's own training recordings, and by one with recordings that the sensor never met (half of the test part,
against the other half, and the other way round).  The better of the two counts.

Everything is done with z as Bob sees it, or, to know what z is worth, with anything else that is made of a sound
(:func:`summary`: what a sensor without any privacy would send).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sotto.adversarial import attacks
from sotto.adversarial.errors import AttackError
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sensor.spectrogram import Spectrogram
from sotto.adversarial.sounds.divided_sounds import Material, Part
from sotto.adversarial.sounds.segments import Events, Segments, Speech, join, mix_pairs
from sotto.audio.features.mel import mel_filters

if TYPE_CHECKING:
    from sotto.adversarial.attacks.detection import Detection
    from sotto.adversarial.attacks.identification import Identification
    from sotto.adversarial.attacks.reconstruction import Reconstruction
    from sotto.adversarial.attacks.speaker_linking import Linking

log = logging.getLogger("sotto")

Floats = npt.NDArray[np.float32]
View = Callable[[Floats], Floats]

_BATCH = 32


def representation(sensor: Sensor) -> View:
    """What Bob sees of segments (n, samples): z (n, dimensions), rounded to float16 as it is sent."""

    def view(waveforms: Floats) -> Floats:
        sensor.eval()
        with torch.inference_mode():
            parts = [sensor(part) for part in torch.from_numpy(waveforms).split(_BATCH)]
        return torch.cat(parts).half().float().numpy()

    return view


def summary(rate: int, mels: int = 32) -> View:
    """A summary of segments (n, samples) that hides nothing: mean, deviation and maximum of each log-mel band."""
    spectrogram = Spectrogram(rate)
    bank = mel_filters(rate, 2 * (spectrogram.bins - 1), mels, 0.0, None)

    def view(waveforms: Floats) -> Floats:
        with torch.inference_mode():
            parts = [spectrogram(part).numpy() for part in torch.from_numpy(waveforms).split(_BATCH)]
        bands = np.log(np.maximum(bank @ np.square(np.concatenate(parts)), 1e-4))
        return np.concatenate([bands.mean(2), bands.std(2), bands.max(2)], axis=1).astype(np.float32)

    return view


@dataclass(frozen=True, eq=False)
class Seen:
    """Segments, and what Bob sees of them (n, d)."""

    segments: Segments
    z: Floats

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Seen:
        return Seen(self.segments[chosen], self.z[chosen])

    @cached_property
    def spoken(self) -> Seen:
        """Those in which somebody speaks."""
        return self[self.segments.has_speech]


@dataclass(frozen=True)
class SpeechLeak:
    """Two attackers who look for speech: with the sensor's training recordings, and with others (both directions).

    The second is missing, ``own_recordings`` empty, where the test part cannot be cut in two.
    """

    training_recordings: Detection
    own_recordings: tuple[Detection, ...]

    @property
    def auc_own(self) -> float | None:
        """Mean area of the attacker whose recordings the sensor never met; None where he is missing."""
        return float(np.mean([found.auc for found in self.own_recordings])) if self.own_recordings else None

    @property
    def auc(self) -> float:
        """Area of the better attacker."""
        return max(self.training_recordings.auc, self.auc_own or 0.0)

    @property
    def accuracy(self) -> float:
        """Accuracy of the better attacker."""
        return float(np.mean([found.accuracy for found in self._better]))

    def auc_of_several(self, clips: int, *, seed: int) -> float:
        """Area of the better attacker when he averages over ``clips`` clips that share their answer."""
        return float(np.mean([found.auc_of_several(clips, seed=seed) for found in self._better]))

    @property
    def _better(self) -> Sequence[Detection]:
        return (
            self.own_recordings if (self.auc_own or 0.0) > self.training_recordings.auc else (self.training_recordings,)
        )


class Attacker:
    """All attacks on one way of representing the segments of ``material``.

    Parameters
    ----------
    view
        segments (n, samples) to what Bob sees of them (n, d).
    material
        the sensor was trained on its ``train`` and ``validation`` parts, or not at all.
    seed
        of the mixtures and of all that is trained.
    draws
        mixtures with other speech made of every event for the attacker to learn from.
    """

    def __init__(self, view: View, material: Material, *, seed: int, draws: int = 4) -> None:
        self._view, self._material, self._seed, self._draws = view, material, seed, draws

    @cached_property
    def learnt(self) -> Seen:
        """Clips of the recordings and speakers that the sensor was trained on."""
        parts = [self._material[name] for name in ("train", "validation")]
        return self._seen(parts, self._seed + 1, self._draws)

    @cached_property
    def met(self) -> Seen:
        """Clips of other recordings and speakers, for judging attackers: every event with speech and without."""
        return self._seen([self._material["test"]], self._seed + 2, 1)

    def detect_speech(self) -> SpeechLeak:
        """Was there speech?"""
        learnt, met = self.learnt, self.met
        known = attacks.detection.detect(
            learnt.z, learnt.segments.has_speech, met.z, met.segments.has_speech,
            seed=self._seed, groups=learnt.segments.recording,
        )  # fmt: skip
        own: list[Detection] = []
        try:
            one, other = halves(self._material["test"], self._seed)
        except AttackError as error:
            log.info("%s: no attacker with recordings of its own: %s", self._material.name, error)
            return SpeechLeak(known, ())
        for number, (mine, theirs) in enumerate(((one, other), (other, one))):
            a = self._seen([mine], self._seed + 3 + number, self._draws)
            b = self._seen([theirs], self._seed + 5 + number, 1)
            spoken, groups = (a.segments.has_speech, b.segments.has_speech), a.segments.recording
            own.append(attacks.detection.detect(a.z, spoken[0], b.z, spoken[1], seed=self._seed, groups=groups))
        return SpeechLeak(known, tuple(own))

    def detect_gender(self) -> Detection:
        """Does a woman speak?  Clips whose speaker's gender is not known are left out."""
        learnt, met = (each.spoken[each.spoken.segments.gender != ""] for each in (self.learnt, self.met))
        return attacks.detection.detect(
            learnt.z, learnt.segments.gender == "female", met.z, met.segments.gender == "female",
            seed=self._seed, groups=learnt.segments.speaker,
        )  # fmt: skip

    def identify_speaker(self) -> Identification:
        """Who speaks, among test speakers of whom the attacker knows other seconds of speech, over other events?"""
        part, generator = self._material["test"], np.random.default_rng(self._seed)
        turns = _turns(part.speech.speaker, generator)
        often = np.isin(part.speech.speaker, part.speech.speaker[turns == 1])  # at least two seconds of speech
        one, other = (half.events for half in halves(part, self._seed))
        known = self._seen_all(one, part.speech[often & (turns % 2 == 0)], generator)
        asked = self._seen_all(other, part.speech[often & (turns % 2 == 1)], generator)
        return attacks.identification.identify(
            known.z, known.segments.speaker, asked.z, asked.segments.speaker, seed=self._seed
        )

    def identify_content(self, labels: Mapping[str, str]) -> Identification:
        """What is said, or how, of speakers the attacker never met.

        Parameters
        ----------
        labels
            by utterance; clips of others are left out.
        """
        learnt, met = (
            each.spoken[np.isin(each.spoken.segments.utterance, list(labels))] for each in (self.learnt, self.met)
        )
        return attacks.identification.identify(
            learnt.z, [labels[name] for name in learnt.segments.utterance.tolist()],
            met.z, [labels[name] for name in met.segments.utterance.tolist()], seed=self._seed,
        )  # fmt: skip

    def link_speakers(self) -> Linking:
        """Are two clips of one person, of speakers the attacker never met?"""
        learnt, met = self.learnt.spoken, self.met.spoken
        return attacks.speaker_linking.link(learnt.z, learnt.segments.speaker, met.z, met.segments.speaker)

    def reconstruct(self, *, speech: bool) -> Reconstruction:
        """The spectrogram of the whole sound, or of the speech alone (in clips that hold some)."""
        learnt, met = (each.spoken if speech else each for each in (self.learnt, self.met))
        return attacks.reconstruction.attack(
            learnt.z, _heard(learnt.segments, speech), met.z, _heard(met.segments, speech),
            rate=self._material.rate, seed=self._seed,
            event_train=learnt.segments.event, event_test=met.segments.event,
        )  # fmt: skip

    def spoken(self) -> Floats:
        """The speech in the clips of :attr:`met` that hold some (n, samples), which reconstructions are judged by."""
        return _heard(self.met.spoken.segments, True)

    def _seen(self, parts: Sequence[Part], seed: int, draws: int) -> Seen:
        """Every event without speech, and with speech once for each draw."""
        made = []
        for part in parts:
            pairs = [mix_pairs(part.events, part.speech, seed=seed + 7919 * k) for k in range(draws)]
            made += [pairs[0], *(more[len(part.events) :] for more in pairs[1:])]
        segments = join(made)
        return Seen(segments, self._view(segments.waveforms))

    def _seen_all(self, events: Events, speech: Speech, generator: np.random.Generator) -> Seen:
        """Every segment of speech with several events each."""
        if not len(speech):
            raise AttackError("one-segment-each", "no speaker of the test part has two segments of speech")
        places = generator.integers(0, len(events), self._draws * len(speech))
        mixed = mix_pairs(events[places], speech, seed=int(generator.integers(1 << 31)))
        segments = mixed[mixed.has_speech]
        return Seen(segments, self._view(segments.waveforms))


def halves(part: Part, seed: int) -> tuple[Part, Part]:
    """The part cut in two that share no recording and no speaker, with as many of each event and gender in both.

    Raises
    ------
    AttackError
        there are fewer than two speakers, or recordings of an event.
    """
    speakers, recordings = (len(set(names.tolist())) for names in (part.speech.speaker, part.events.recording))
    if min(speakers, recordings) < 2:
        raise AttackError(
            "too-few-speakers",
            f"the test part has {speakers} speaker(s) and {recordings} recording(s) of events, 2 of each are needed",
        )
    generator = np.random.default_rng(seed)
    heard = _sides(part.events.event, part.events.recording, generator)
    said = _sides(part.speech.gender, part.speech.speaker, generator)
    one, other = (Part(part.events[heard == side], part.speech[said == side]) for side in (0, 1))
    return one, other


def _sides(
    labels: npt.NDArray[Any], groups: npt.NDArray[np.str_], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """0 or 1 for each member: groups stay whole; of each label the largest group goes where there is least of it."""
    side: dict[str, int] = {}
    for label in np.unique(labels):
        names, sizes = np.unique(groups[labels == label], return_counts=True)
        filled = [0, 0]
        for place in sorted(generator.permutation(len(names)), key=lambda k: -sizes[k]):
            where = side.setdefault(str(names[place]), int(filled[1] < filled[0]))
            filled[where] += int(sizes[place])
    return np.array([side[str(name)] for name in groups], np.int64)


def _turns(names: npt.NDArray[np.str_], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each member its place, 0 first, in a random order of those of the same name."""
    turns = np.empty(len(names), np.int64)
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        turns[generator.permutation(members)] = np.arange(len(members))
    return turns


def _heard(segments: Segments, speech: bool) -> Floats:
    return segments.waveforms - segments.target if speech else segments.waveforms
