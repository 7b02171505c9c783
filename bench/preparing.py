"""Train what a service needs and write each party's folder: exactly what that party may hold, and nothing else.

The experimenter who runs this sees everything; afterwards ``bob/`` goes to Bob's machine and ``alice/`` to Alice's
(:mod:`sotto.serving.folders`).  Keys are drawn here for ``hashing`` and ``keyed``, where whoever trains holds the key
too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sotto import keyed
from sotto.bench.emotion_models import EmotionModel, emotion_model
from sotto.bench.paradigms import adversarial as sensor_experiments
from sotto.bench.paradigms import hashing as hash_experiments
from sotto.bench.paradigms import he as encrypted_experiments
from sotto.bench.workbench import Workbench
from sotto.models import save
from sotto.models.learning.recipes import DEPINTO, FRAMES, FRAMES_QUICK, SPECTROGRAM_PATCH, WAVE_PATCH
from sotto.serving import doors
from sotto.serving.doors import Offer
from sotto.serving.folders import KEY_FILE, MODEL_FILE, SENSOR_FILE, write_calibration
from sotto.serving.terms import FrontEnd, Reveal, write_terms


class PreparationError(ValueError):
    """Folders that cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Folders:
    """Where each party's part is; ``dealer`` None where there is none."""

    bob: Path
    alice: Path
    dealer: Path | None


def models(paradigm: str) -> tuple[str, ...]:
    """The models that can be prepared for a paradigm, the default first.  Raises :class:`PreparationError`."""
    if paradigm not in PREPARED:
        raise PreparationError(f"{paradigm} cannot be prepared: choose one of {', '.join(PREPARED)}")
    return PREPARED[paradigm]


def prepare(paradigm: str, mode: str, model: str, reveal: Reveal, bench: Workbench, out: Path) -> Folders:
    """Train ``model`` on the workbench's split, or take it from the cache, and write the folders into ``out``.

    Raises :class:`PreparationError` when something stands there already (it is left alone).
    """
    known = models(paradigm)
    if model and model not in known:
        raise PreparationError(f"{paradigm} has the models {', '.join(known)}, not '{model[:40]}'")
    mode = doors.require_mode(doors.paradigm(paradigm).MODES, mode) if paradigm != "keyed" else mode or "shuffling"
    bob, alice = out / "bob", out / "alice"
    for folder in (bob, alice):
        if folder.exists():
            raise PreparationError(f"{folder}: is there already; choose another --out")
    for folder in (bob, alice):
        folder.mkdir(mode=0o700, parents=True)
    front = _MAKERS[paradigm](model or known[0], mode, bench, bob, alice)
    hosted = doors.paradigm(paradigm).host(Offer(paradigm, bob, mode if paradigm != "keyed" else "", reveal))
    write_terms(alice, hosted.terms, front)
    return Folders(bob, alice, _configure(hosted.terms.mode, paradigm, reveal, out, bob, alice))


def _mpc(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd | None:
    recipe = {"frames": FRAMES_QUICK if bench.quick else FRAMES, "depinto": DEPINTO}[model]
    _save(emotion_model(recipe, bench), bob)
    return None


def _he(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd | None:
    emotion = emotion_model(encrypted_experiments.recipe(model.removeprefix("mlp-")), bench)
    _save(emotion, bob)
    write_calibration(bob, bench.part(emotion.queries, "train"))
    return None


def _hashing(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd:
    kind, k = model.rsplit("-k", 1)
    made = hash_experiments.make(kind, int(k), bench)
    made.classifier.classes_ = np.array(bench.classes)[made.classifier.classes_]
    made.classifier.save(bob / MODEL_FILE)
    made.key.save(alice / KEY_FILE)
    return made.front


def _keyed(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd:
    recipe, dimension = {"wave-patch": (WAVE_PATCH, 1), "spectrogram-patch": (SPECTROGRAM_PATCH, 2)}[model]
    emotion = emotion_model(recipe, bench)
    key = keyed.generate_key(mode, int(str(recipe.arguments["block_size"])), dimension)
    keyed.save_key(alice / KEY_FILE, key)
    keyed.save_encrypted_model(bob / MODEL_FILE, emotion.module, key, emotion.record)
    return FrontEnd.of(emotion.record)


def _adversarial(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> None:
    sensor_experiments.save_pair(model, bench, str(alice / SENSOR_FILE), str(bob / MODEL_FILE))


def _save(emotion: EmotionModel, bob: Path) -> None:
    save(bob / MODEL_FILE, emotion.module, emotion.record)


PREPARED: Mapping[str, tuple[str, ...]] = {
    "mpc": ("frames", "depinto"),
    "he": ("mlp-poly2", "mlp-poly4", "mlp-poly6"),
    "hashing": ("discriminant-k5", "standard-k3", "standard-k2", "standard-k5"),
    "keyed": ("wave-patch", "spectrogram-patch"),
    "adversarial": ("rdal-m", "rdal", "baseline"),
}
_MAKERS: Mapping[str, Callable[[str, str, Workbench, Path, Path], FrontEnd | None]] = {
    "mpc": _mpc,
    "he": _he,
    "hashing": _hashing,
    "keyed": _keyed,
    "adversarial": _adversarial,
}


def _configure(mode: str, paradigm: str, reveal: Reveal, out: Path, bob: Path, alice: Path) -> Path | None:
    """Write each party's settings, for this machine; addresses and keys are what has to be changed for others."""
    with_dealer = doors.paradigm(paradigm).needs_dealer(mode)
    at_dealer = 'dealer = "127.0.0.1:7200"\n' if with_dealer else ""
    common = f'paradigm = "{paradigm}"\nmode = "{mode}"\nreveal = "{reveal}"\n{at_dealer}'
    (bob / "bob.toml").write_text(f'[bob]\nmodel = "."\n{common}listen = "127.0.0.1:7100"\n# keys = "keys"\n')
    (alice / "alice.toml").write_text(f'[alice]\nown = "."\n{common}connect = "127.0.0.1:7100"\n# keys = "keys"\n')
    if not with_dealer:
        return None
    dealer = out / "dealer"
    dealer.mkdir(mode=0o700, exist_ok=True)
    (dealer / "dealer.toml").write_text(f'[dealer]\nmode = ["{mode}"]\nlisten = "127.0.0.1:7200"\n# keys = "keys"\n')
    return dealer
