"""`adversarial`: a learnt representation of sound on the sound event task, beside sensors that hide less or nothing."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from sotto import adversarial
from sotto.adversarial import attacks
from sotto.adversarial.attacks.attacker import Attacker, representation, summary
from sotto.adversarial.learning.recipe import Column, Preset, Recipe, recipe
from sotto.adversarial.learning.training import Trained, train
from sotto.adversarial.sounds.divided_sounds import Material
from sotto.adversarial.sounds.segments import Segments, most_energetic
from sotto.audio import BrokenClip, Clip, Corpus, cache, read
from sotto.bench.experiment import Attack, Configuration, Experiment, Plan, Say, Task
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.bench.sound_events import sound_events
from sotto.bench.workbench import Workbench
from sotto.link import Link
from sotto.models.weights import ModelRecord
from sotto.serving import registry
from sotto.serving.folders import MODEL_FILE, SENSOR_FILE

ATTACKS = {
    "adversarial-speech-detection": "Bob trains a dozen classifiers to tell from z whether somebody spoke",
    "adversarial-gender": "Bob tells from z of a clip with speech whether a woman or a man spoke",
    "adversarial-speaker": "Bob names the speaker of z, and links clips of one person who is new to it",
    "adversarial-content": "Bob tells from z what the workbench's corpus says of the speech, such as its emotion",
    "adversarial-reconstruction": "Bob recovers the spectrogram, and the speech, from z with a trained inverter",
}

_ADVERSARY = "semi-honest Bob, who has other recordings and the sensor, and trains attackers"
_TRUSTED = "whoever trained the sensor, and Alice's device"
_KEPT = "to Bob the event, and whatever z still tells: no guarantee, only what these attackers reached"
_COLUMNS: Mapping[str, tuple[Column, str, str]] = {  # mode: the recipe, the model, what leaks
    "rdal-m": ("rdal-m-fixed-mask", "unet-cnn6", _KEPT),
    "rdal": ("rdal", "cnn6", _KEPT),
    "baseline": ("supervised", "cnn6", "to Bob the event, and that there is speech: nothing was trained to hide it"),
}
_SEVERAL = 10  # clips that a patient attacker averages over
_JUDGED = 24  # clips whose recovered speech is made sound and judged


def missing() -> str | None:
    """Everything is a requirement of the package."""
    return None


def cells(preset: str) -> list[Configuration]:
    """The published system; in full then without its mask, and without its adversary: what each of the two is worth."""
    return [
        Configuration("adversarial", mode, model, {})
        for mode, (_, model, _) in _COLUMNS.items()
        if preset != "quick" or mode == "rdal-m"
    ]


def build(cell: Configuration, bench: Workbench) -> Experiment:
    """Train sensor and classifier, or take them from the cache, and set up Alice, who has one, and Bob, the other.

    The plaintext model that private answers are compared with is the supervised one, which hides nothing.
    """
    column, _, leaks = _COLUMNS[cell.mode]
    made = _Made.of(bench)
    trained, plain = made.trained(column), made.trained("supervised")
    material, met = made.material, made.attacker(column).met
    sensor_file, classifier_file = (bench.folder / f"{cell.mode}-{name}.safetensors" for name in ("sensor", "events"))
    _save(trained, made.recipe(column), material, bench.seed, str(sensor_file), str(classifier_file))
    parameters = {"sounds": material.name, "size": made.size, "recipe": "strengthened"}
    return Experiment(
        cell=Configuration(cell.paradigm, cell.mode, cell.model, {**cell.parameters, **parameters}),
        parts=_parts(str(sensor_file), str(classifier_file), "class"),
        score_parts=_parts(str(sensor_file), str(classifier_file), "logits") if cell.mode == "baseline" else None,
        queries=met.segments.waveforms,
        truth=met.segments.event,
        query=lambda clip: _query(clip, material.rate),
        plain=lambda queries: _plain(plain, queries),
        security=Security(
            adversary=_ADVERSARY,
            trusted=_TRUSTED,
            computational_bits=None,
            statistical_bits=None,
            leaks=leaks,
            hides="partly",
        ),
        plan=Plan(singles=20 if bench.quick else 40, batch=16, clips=10**6, sessions=2 if bench.quick else 3),
        features_at="alice",
        attacks=_attacks(made, column),
        extra={
            "accuracy_most_frequent": float(np.bincount(met.segments.event).max() / len(met.segments)),
            "sensor_bytes": float(sensor_file.stat().st_size),
            "training_segments": float(len(material["train"].events)),
        },
        task=Task(
            material.name, material.split, "event", material.classes, _clip(met.segments, material), material.notice
        ),
    )


@dataclass(eq=False)
class _Made:
    """What the cells of a workbench share: segments, trained sensors, attackers.  It does not keep the workbench."""

    corpus: Corpus
    label: str
    seed: int
    say: Say
    material: Material
    size: Preset
    _trained: dict[Column, Trained] = field(default_factory=dict)
    _attackers: dict[str, Attacker] = field(default_factory=dict)
    _reached: dict[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, bench: Workbench) -> _Made:
        """The one of this workbench."""
        if bench not in _MADE:
            size = _size(bench)
            material = sound_events(bench, recipe("supervised", size, strengthened=True).rate)
            _MADE[bench] = cls(bench.corpus, bench.label, bench.seed, bench.say, material, size)
        return _MADE[bench]

    def recipe(self, column: Column) -> Recipe:
        """The strengthened one; ``sotto reproduce rdal-table2`` sets it beside the published one."""
        return recipe(column, self.size, strengthened=True)

    def trained(self, column: Column) -> Trained:
        if column not in self._trained:
            self.say(f"{column} on {self.material.name}: from the cache, or trained now")
            folder = cache.root() / "adversarial"
            self._trained[column] = train(self.material, self.recipe(column), seed=self.seed, checkpoints=folder)
        return self._trained[column]

    def attacker(self, column: Column) -> Attacker:
        """Bob, who sees what this column's sensor sends."""
        if column not in self._attackers:
            view = representation(self.trained(column).sensor)
            self._attackers[column] = Attacker(view, self.material, seed=self.seed)
        return self._attackers[column]

    def unprotected(self, name: str, attack: Callable[[Attacker], Mapping[str, float]]) -> Mapping[str, float]:
        """What an attack reaches on a summary of the sound that hides nothing."""
        if name not in self._reached:
            view = summary(self.material.rate)
            eavesdropper = self._attackers.setdefault("", Attacker(view, self.material, seed=self.seed))
            self._reached[name] = attack(eavesdropper)
        return {f"{metric}_plaintext": value for metric, value in self._reached[name].items()}


def _size(bench: Workbench) -> Preset:
    """The published sizes take days on a processor, so they are for a run with ``--preset full`` and a GPU."""
    if bench.quick:
        return "quick"
    if torch.cuda.is_available():
        return "full"
    bench.say("adversarial: no GPU for networks of the published sizes; the quick ones are trained")
    return "quick"


_MADE: weakref.WeakKeyDictionary[Workbench, _Made] = weakref.WeakKeyDictionary()


def _attacks(made: _Made, column: Column) -> dict[str, Attack]:
    bob, seed = made.attacker(column), made.seed
    return {
        "adversarial-speech-detection": lambda: (
            _detect_speech(bob, seed)
            | dict(made.unprotected("speech", lambda other: {"attack_speech_auc": other.detect_speech().auc}))
        ),
        "adversarial-gender": lambda: (
            {"attack_gender_auc": bob.detect_gender().auc}
            | dict(made.unprotected("gender", lambda other: {"attack_gender_auc": other.detect_gender().auc}))
        ),
        "adversarial-speaker": lambda: (
            _identify_speaker(bob)
            | dict(made.unprotected("speaker", lambda other: {"attack_speaker_named": other.identify_speaker().named}))
        ),
        "adversarial-content": lambda: _identify_content(bob, made),
        "adversarial-reconstruction": lambda: _reconstruct(bob, made.material.rate, seed),
    }


def _detect_speech(bob: Attacker, seed: int) -> dict[str, float | None]:
    leak = bob.detect_speech()
    return {
        "attack_speech_auc": leak.auc,
        "attack_speech_accuracy": leak.accuracy,
        "attack_speech_auc_training_recordings": leak.training_recordings.auc,
        "attack_speech_auc_own_recordings": leak.auc_own,
        f"attack_speech_auc_of_{_SEVERAL}_clips": leak.auc_of_several(_SEVERAL, seed=seed),
    }


def _identify_speaker(bob: Attacker) -> dict[str, float]:
    found = bob.identify_speaker()
    return {
        "attack_speaker_named": found.named,
        "attack_speaker_named_chance": found.chance,
        "attack_speakers_linked_auc": bob.link_speakers().auc,
    }


def _identify_content(bob: Attacker, made: _Made) -> dict[str, float]:
    """The workbench's label of the utterances that are from its corpus."""
    label = made.label
    labels = {clip.id: clip.label(label) for clip in made.corpus}
    heard = {name for part in made.material.parts.values() for name in part.speech.recording.tolist()}
    known = {name: value for name, value in labels.items() if value is not None and name in heard}
    if not known:
        raise adversarial.AttackError(
            "no-label", f"the speech of {made.material.name} has no label {label} to look for"
        )
    found = bob.identify_content(known)
    return {f"attack_{label}_named": found.named, f"attack_{label}_named_chance": found.chance}


def _reconstruct(bob: Attacker, rate: int, seed: int) -> dict[str, float]:
    sound, speech = bob.reconstruct(speech=False), bob.reconstruct(speech=True)
    spoken = bob.spoken()[:_JUDGED]
    recovered = speech.magnitudes[:_JUDGED]
    without = np.broadcast_to(speech.mean, recovered.shape)
    return {
        "attack_sound_correlation": sound.correlation,
        "attack_sound_correlation_answer_alone": sound.answer_correlation or 0.0,
        "attack_sound_distance_db": sound.distance_db,
        "attack_sound_distance_db_without_z": sound.mean_distance_db,
        "attack_spoken_correlation": speech.correlation,
        "attack_spoken_stoi": attacks.reconstruction.intelligibility(recovered, spoken, rate=rate, seed=seed),
        "attack_spoken_stoi_without_z": attacks.reconstruction.intelligibility(without, spoken, rate=rate, seed=seed),
    }


def _query(clip: Clip, rate: int) -> npt.NDArray[np.float32]:
    """The most energetic second of a clip, as the sensor takes it (1, samples)."""
    pieces = most_energetic(read(clip, rate), rate)
    if not pieces:
        raise BrokenClip("silent", f"{clip.source}: is silent")
    return pieces[0][None]


def _clip(segments: Segments, material: Material) -> Clip:
    """A test segment in which somebody speaks over an event, as a recording of moderate level."""
    place = int(np.flatnonzero(segments.has_speech)[0])
    sound = segments.waveforms[place]
    event = material.classes[segments.event[place]]
    return Clip(
        id=f"{segments.recording[place]} with {segments.utterance[place]}",
        samples=0.9 * sound / np.abs(sound).max(),
        rate=material.rate,
        speaker=str(segments.speaker[place]),
        event=event,
    )


def _plain(trained: Trained, queries: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The supervised network's class indices (n,) and logits (n, classes)."""
    with torch.inference_mode():
        z = torch.cat([trained.sensor(part) for part in torch.from_numpy(queries.copy()).split(32)])
        scores: npt.NDArray[np.float32] = trained.classifier(z).numpy()
    return scores.argmax(1).astype(np.int64), scores


def _save(trained: Trained, recipe: Recipe, material: Material, seed: int, sensor: str, classifier: str) -> None:
    """Alice's file and Bob's."""
    record = ModelRecord(
        architecture="sensor",
        arguments=recipe.sensor_arguments,
        classes=(),
        corpus=material.name,
        split=material.split,
        seed=seed,
    )
    adversarial.save_sensor(sensor, trained.sensor, record)
    record = msgspec.structs.replace(
        record,
        architecture="event-classifier",
        arguments={"classes": len(material.classes), "dimensions": trained.sensor.dimensions},
        classes=material.classes,
        features=adversarial.features_of(trained.sensor),
    )
    adversarial.save_classifier(classifier, trained.classifier, record)


def save_pair(mode: str, bench: Workbench, sensor: str, classifier: str) -> None:
    """Train a mode's sensor and classifier, or take them from the cache, and write Alice's file and Bob's."""
    column, _, _ = _COLUMNS[mode]
    made = _Made.of(bench)
    _save(made.trained(column), made.recipe(column), made.material, bench.seed, sensor, classifier)


def _parts(sensor: str, classifier: str, reveal: str) -> Mapping[str, PartySpec]:
    return {
        "alice": PartySpec(
            _alice, {"sensor": sensor, "reveal": reveal}, modules=registry.paradigm("adversarial").preload
        ),
        "bob": PartySpec(
            _bob, {"classifier": classifier, "reveal": reveal}, modules=registry.paradigm("adversarial").preload
        ),
    }


def _alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> adversarial.Alice:
    return adversarial.Alice(job["sensor"], reveal=job["reveal"])


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> adversarial.Bob:
    return adversarial.Bob(job["classifier"], reveal=job["reveal"])


def prepare(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> None:
    """The folders of Bob and Alice."""
    save_pair(model, bench, str(alice / SENSOR_FILE), str(bob / MODEL_FILE))
