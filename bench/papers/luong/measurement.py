"""One training of RDAL-M and its ablations, measured: the event, what attackers find, how well M separates.

The sensor is judged on recordings and voices of the test part.  The attackers have the sensor and make their own clips
with it, from the recordings and voices of training and validation: validation too, because z of the recordings that
the sensor was trained on may be tidier than z of any others.  Every recording is there with and without speech, in
their clips and in the test's, so only speech tells the two apart and a blind guess is right half of the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from sotto.adversarial.attacks import classifiers
from sotto.adversarial.attacks.detection import detect
from sotto.adversarial.learning.recipe import Recipe
from sotto.adversarial.learning.separation_quality import separation_quality
from sotto.adversarial.learning.training import Epoch, Trained, train
from sotto.adversarial.sounds.divided_sounds import Material
from sotto.adversarial.sounds.segments import Segments, join, mix_pairs
from sotto.audio.cache import key_of
from sotto.link.storage import write_whole
from sotto.models.weights import version

ATTACKER_COPIES = 2
_TEST_SEED, _ATTACKER_SEED = 900_001, 900_100
_BATCH = 64


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run of one column gave.

    ``attack_auc`` is that of the architecture that cross-validation on the attackers' own clips chose,
    ``attack_auc_strongest`` the best of all on the test clips; ``in_loop_…`` the training's own discriminators, null
    without any; ``sdr…`` in dB, null without a mask; ``roc`` the chosen attacker's false and true positive rates.
    """

    event_accuracy: float
    event_accuracy_without_speech: float
    event_accuracy_with_speech: float
    attack_accuracy: float
    attack_auc: float
    attack_auc_strongest: float
    attack_auc_bands: float | None
    chosen: str
    by_architecture: dict[str, float]
    in_loop_accuracy_misleading: float | None
    in_loop_auc_misleading: float | None
    sdr_db: float | None
    si_sdr_db: float | None
    sdr_mixture_db: float | None
    roc: tuple[tuple[float, ...], tuple[float, ...]]
    curve: tuple[Epoch, ...]


def measured(material: Material, recipe: Recipe, *, seed: int, folder: Path) -> Measurement:
    """Train and measure, or read what an earlier call with the same arguments left in ``folder``."""
    path = folder / f"{_key(material, recipe, seed)}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Measurement)
    except (OSError, msgspec.MsgspecError):
        pass
    measurement = measure(material, train(material, recipe, seed=seed, checkpoints=folder), seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(measurement))
    return measurement


def measure(material: Material, trained: Trained, *, seed: int) -> Measurement:
    """Attack and judge a trained sensor on the test part."""
    test = mix_pairs(material["test"].events, material["test"].speech, seed=_TEST_SEED + seed)
    own = attackers_segments(material, seed=seed)
    z, z_own = representations(trained, test), representations(trained, own)
    with threadpool_limits(limits=1):  # many small fits: threads would only wait for one another
        detection = detect(z_own, own.has_speech, z, test.has_speech, seed=seed, groups=own.recording)
    with torch.no_grad():
        logits = trained.classifier(torch.from_numpy(z)).numpy()
        guesses = [d(torch.from_numpy(z)).numpy() for d in trained.discriminators]
    right = logits.argmax(axis=1) == test.event
    masked = separation_quality(trained.sensor, test) if trained.sensor.separation is not None else None
    return Measurement(
        event_accuracy=float(right.mean()),
        event_accuracy_without_speech=float(right[~test.has_speech].mean()),
        event_accuracy_with_speech=float(right[test.has_speech].mean()),
        attack_accuracy=detection.accuracy,
        attack_auc=detection.auc,
        attack_auc_strongest=detection.strongest,
        attack_auc_bands=_attack_on_bands(trained, own, test, seed),
        chosen=detection.chosen,
        by_architecture=dict(detection.by_architecture),
        in_loop_accuracy_misleading=_mean([float(((g > 0) == test.has_speech).mean()) for g in guesses]),
        in_loop_auc_misleading=_mean([float(roc_auc_score(test.has_speech, g)) for g in guesses]),
        sdr_db=masked.sdr if masked else None,
        si_sdr_db=masked.si_sdr if masked else None,
        sdr_mixture_db=masked.sdr_mixture if masked else None,
        roc=(tuple(detection.roc[0].tolist()), tuple(detection.roc[1].tolist())),
        curve=trained.curve,
    )


def attackers_segments(material: Material, *, seed: int) -> Segments:
    """The attackers' clips: every recording of training and validation without speech, and twice with."""
    parts = []
    for name in ("train", "validation"):
        events, speech = material[name].events, material[name].speech
        for copy in range(ATTACKER_COPIES):
            pairs = mix_pairs(events, speech, seed=_ATTACKER_SEED + 1000 * seed + copy)
            parts.append(pairs if copy == 0 else pairs[len(events) :])
    return join(parts)


def representations(trained: Trained, segments: Segments) -> npt.NDArray[np.float32]:
    """z of every segment (n, dimensions)."""
    with torch.no_grad():
        parts = torch.from_numpy(segments.waveforms).split(_BATCH)
        return torch.cat([trained.sensor(part) for part in parts]).numpy()


def _attack_on_bands(trained: Trained, own: Segments, test: Segments, seed: int) -> float | None:
    """AUC of a linear attacker on means and deviations of the log-mel bands, before F: what the mask alone leaves."""
    parts = []
    for segments in (own, test):
        with torch.no_grad():
            pieces = torch.from_numpy(segments.waveforms).split(_BATCH)
            bands = torch.cat([trained.sensor.bands(part) for part in pieces])
        parts.append(torch.cat([bands.mean(dim=2), bands.std(dim=2)], dim=1).numpy())
    attacker = classifiers.fresh("logistic", seed).fit(parts[0], own.has_speech)
    return float(roc_auc_score(test.has_speech, classifiers.scores(attacker, parts[1])))


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _key(material: Material, recipe: Recipe, seed: int) -> str:
    what: dict[str, Any] = {
        "material": material.digest,
        "recipe": recipe.to_record(),
        "seed": seed,
        "attackers": [*classifiers.ARCHITECTURES, ATTACKER_COPIES],
        "software": [version(), torch.__version__],
    }
    return key_of(what)
