"""What published listeners find behind a sensor of `adversarial`: in z, in the masked sound, in what z gives back.

Four views of the same test segments, half of them with somebody speaking over the event: the *sound* as the microphone
heard it; the *masked* sound, which stays at Alice's, made audible with the mask of the separation network and the
phases of the sound (what the mask alone would leave a listener); *z*, which Bob gets; and the sound that an inverter
*recovered* from z, made audible by Griffin and Lim's algorithm.

* ``detector_auc``: Silero's highest probability in a segment, speech against none; nothing is trained;
* ``encoder_linked_eer_percent``: pairs of segments with speech by the cosine of Resemblyzer's embeddings; nothing is
  trained either;
* ``attack_…``: this package's attackers, trained afresh on embeddings of the view, or on z itself; speech with one
  segment and with several that share their answer, speakers among those of whom other seconds are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import librosa
import numpy as np
import numpy.typing as npt
import soxr
import torch
from sklearn.metrics import roc_auc_score

from sotto.adversarial.attacks.attacker import Attacker, representation
from sotto.adversarial.attacks.reconstruction import Reconstruction
from sotto.adversarial.errors import AttackError
from sotto.adversarial.learning.recipe import Column, recipe
from sotto.adversarial.learning.training import train
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sensor.spectrogram import Spectrogram
from sotto.adversarial.sounds.divided_sounds import SOURCES, Material, open_material
from sotto.adversarial.sounds.segments import Segments
from sotto.audio import cache
from sotto.bench.listeners.published import speaker_embeddings, speech_probabilities
from sotto.bench.listeners.sound import RATE
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row, told
from sotto.bench.speech_tasks.verification import equal_error_rate, same_speaker, similarities

DESCRIPTION = "published listeners behind a sound sensor: in z, the masked sound, and what z gives back (--data DIR)"

COLUMN: Column = "rdal-m-fixed-mask"
SEVERAL = (3, 10, 30)
_DRAWS = 2
_BATCH = 32
_ITERATIONS = 32  # of Griffin and Lim's algorithm

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """One way to look at segments: ``sounds`` for those who listen and ``numbers`` for those who learn, if any."""

    sounds: Callable[[Segments], Floats] | None
    numbers: Callable[[Floats], Floats] | None


def run(request: Request) -> Iterator[Row]:
    """A row for each view.

    Raises
    ------
    CorpusError
        the corpus is none with sound events, or is missing.
    """
    request.require_corpus(*SOURCES)
    made = recipe(COLUMN, "full" if request.preset == "full" else "quick", strengthened=True)
    material = open_material(
        request.corpus, request.data, rate=made.rate, seed=request.seed, skip_broken=request.skip_broken
    )
    request.say(f"{material.name}: {COLUMN}, from the cache, or trained now")
    sensor = train(material, made, seed=request.seed, checkpoints=cache.root() / "adversarial").sensor
    for name, view in views(sensor, material, seed=request.seed).items():
        metrics = {**_listened(view, material, request.seed), **_attacked(view, material, request.seed)}
        request.say(f"{name}: {told(metrics)}")
        yield _row(name, metrics, material, request)


def views(sensor: Sensor, material: Material, *, seed: int) -> Mapping[str, View]:
    """The four views, by name."""
    bob = Attacker(representation(sensor), material, seed=seed, draws=_DRAWS)

    def recovered(segments: Segments) -> Floats:
        return audible(bob.reconstruct(speech=False), material.rate, segments.waveforms.shape[1], seed)

    def embedded(waveforms: Floats) -> Floats:
        return speaker_embeddings(_at_rate(waveforms, material.rate))

    return {
        "sound": View(lambda segments: segments.waveforms, embedded),
        "masked": View(
            lambda segments: masked(sensor, segments.waveforms), lambda waves: embedded(masked(sensor, waves))
        ),
        "z": View(None, representation(sensor)),
        "recovered": View(recovered, None),
    }


def masked(sensor: Sensor, waveforms: Floats) -> Floats:
    """Segments (n, samples) without what the mask takes out, with the phases they had."""
    parts = []
    with torch.inference_mode():
        for part in torch.from_numpy(waveforms).split(_BATCH):
            spectrum = sensor.spectrogram.transform(part)
            parts.append(sensor.spectrogram.inverse(spectrum * sensor.mask_of(spectrum.abs()), part.shape[1]))
    return torch.cat(parts).numpy()


def audible(found: Reconstruction, rate: int, samples: int, seed: int) -> Floats:
    """What an inverter made of every test segment, as sound (n, samples)."""
    hop = Spectrogram(rate).hop
    sounds = [
        librosa.griffinlim(
            magnitude, n_iter=_ITERATIONS, hop_length=hop, window="hamming", length=samples, random_state=seed
        )
        for magnitude in found.magnitudes
    ]
    return np.stack(sounds).astype(np.float32)


def _listened(view: View, material: Material, seed: int) -> Metrics:
    """What detector and encoder hear in the test segments, nothing trained."""
    if view.sounds is None:
        return {}
    segments = Attacker(lambda waveforms: waveforms[:, :1], material, seed=seed, draws=_DRAWS).met.segments
    sounds = _at_rate(view.sounds(segments), material.rate)
    spoken = segments.has_speech
    voices = torch.from_numpy(speaker_embeddings(sounds[spoken]))
    return {
        "detector_auc": float(roc_auc_score(spoken, speech_probabilities(sounds).max(axis=1))),
        "encoder_linked_eer_percent": 100
        * equal_error_rate(similarities(voices), same_speaker(segments.speaker[spoken].tolist())),
    }


def _attacked(view: View, material: Material, seed: int) -> Metrics:
    """What attackers reach who are trained on the numbers of a view."""
    if view.numbers is None:
        return {}
    eve = Attacker(view.numbers, material, seed=seed, draws=_DRAWS)
    leak, linked = eve.detect_speech(), eve.link_speakers()
    found: dict[str, float | None] = {
        "attack_speech_auc": leak.auc,
        **{f"attack_speech_auc_of_{clips}_clips": leak.auc_of_several(clips, seed=seed) for clips in SEVERAL},
        "attack_linked_eer_percent": 100 * linked.equal_error_rate,
    }
    try:
        named = eve.identify_speaker()
    except AttackError:  # too few seconds of each speaker
        return found
    return found | {"attack_speaker_named": named.named, "attack_speaker_named_chance": named.chance}


def _at_rate(waveforms: Floats, rate: int) -> Floats:
    """At the rate of the listeners."""
    return waveforms if rate == RATE else np.asarray(soxr.resample(waveforms.T, rate, RATE).T, np.float32)


def _row(name: str, metrics: Metrics, material: Material, request: Request) -> Row:
    return Row(
        paradigm="adversarial",
        mode="rdal-m",
        model="resemblyzer, silero-vad",
        corpus=material.name,
        split=material.split,
        seed=request.seed,
        n_queries=2 * len(material["test"].events),
        parameters={"view": name, "rate": material.rate},
        metrics=metrics,
    )
