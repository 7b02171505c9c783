"""`adversarial` with a user's own pair: a trained sensor, which is Alice's, and the classifier that belongs to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sotto import adversarial
from sotto.adversarial.sensor.fingerprint import sensor_named_by
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.link import Link
from sotto.models.shipped import Shipped
from sotto.serving import registry
from sotto.serving.reveal import Reveal
from sotto.serving.terms import Terms

MODES = registry.paradigm("adversarial").modes

_SECURITY = Security(
    adversary="semi-honest Bob, who has other recordings and the sensor, and trains attackers",
    trusted="whoever trained the sensor, and Alice's device",
    computational_bits=None,
    statistical_bits=None,
    leaks="to Bob the event, and whatever z still tells: nobody has attacked this sensor here",
    hides="partly",
)


def own(model: Any, given: Given) -> OwnModel:
    """Alice's process gets the sensor, Bob's the classifier."""
    mode = chosen_mode(MODES, given.mode)
    classes: tuple[str, ...] = ()
    if not isinstance(model, str | Path | adversarial.Classifier):
        raise NotRunnable(
            "wrong-model",
            "Bob answers from what a trained sensor makes of sound, with a sotto.adversarial.Classifier or its file: "
            f"{type(model).__name__} would need the sound itself",
        )
    if given.sensor is None:
        raise NotRunnable(
            "sensor-needed", "give sensor=, the sotto.adversarial.Sensor (or its file) that the classifier belongs to"
        )
    sensor = given.sensor if isinstance(given.sensor, adversarial.Sensor) else adversarial.load_sensor(given.sensor)[0]
    named = adversarial.fingerprint(sensor)
    if isinstance(model, adversarial.Classifier):
        classifier = model
    else:
        classifier, record = adversarial.load_classifier(model)
        classes = record.classes
        if sensor_named_by(record) not in (None, named):
            raise NotRunnable(
                "other-sensor", "the classifier is for another sensor: give the sensor that belongs to it"
            )
    if classifier.linear.in_features != sensor.dimensions:
        raise NotRunnable(
            "wrong-dimension",
            f"the classifier takes {classifier.linear.in_features} numbers and the sensor gives {sensor.dimensions}",
        )
    sensor, classifier = copy.deepcopy(sensor).eval(), copy.deepcopy(classifier).eval()
    for_alice, for_bob = Shipped.of(sensor), Shipped.of(classifier)

    def parts(reveal: Reveal) -> Mapping[str, PartySpec]:
        return {
            "alice": PartySpec(_alice, {"sensor": for_alice, "reveal": reveal}, preload=("torch",)),
            "bob": PartySpec(_bob, {"classifier": for_bob, "sensor": named, "reveal": reveal}),
        }

    def plain(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        with torch.inference_mode():
            z = torch.cat([sensor(part) for part in torch.from_numpy(x.copy()).split(32)])
            scores: npt.NDArray[np.float32] = classifier(z).numpy()
        return scores.argmax(1), scores

    return OwnModel(mode, given.input_shape or (None,), parts, plain, _SECURITY, classes)


def asked_shape(terms: Terms) -> Shape:
    """Sound, as long as Alice's sensor takes it; Bob's terms are about z."""
    return (None,)


def _alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> adversarial.Alice:
    return adversarial.Alice(job["sensor"].module(), reveal=job["reveal"])


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> adversarial.Bob:
    return adversarial.Bob(job["classifier"].module(), sensor=job["sensor"], reveal=job["reveal"])
