"""Decoders of :mod:`sotto.adversarial`: messages, each party's model file, and whole sessions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sotto import adversarial
from sotto.adversarial.errors import AdversarialError
from sotto.adversarial.messages import VERSION, Hello, Query, Ready, Reply
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.fingerprint import features_of, fingerprint
from sotto.adversarial.sensor.sensor import Sensor
from sotto.link import Array, Link, LinkError, encode
from sotto.models import ModelError, ModelRecord
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target, file_target, one_of
from tests.fuzz.decoders.scripts import Party, session_decoders

_CLASSES = ("bark", "siren", "rain")
_SENSOR: dict[str, Any] = {
    "rate": 8000, "mask": "continuous", "separation": (2, 3), "extractor": (3, 4), "mels": 8, "dimensions": 5,
}  # fmt: skip
_CLASSIFIER: dict[str, Any] = {"classes": len(_CLASSES), "dimensions": 5}
_MESSAGES = (Hello, Ready, Query, Reply)


@cache
def _made() -> tuple[Sensor, Classifier]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Sensor(**_SENSOR).eval(), Classifier(**_CLASSIFIER).eval()


def _messages() -> Target:
    z, labels, scores = np.zeros((2, 5), np.float16), np.zeros(2, np.int64), np.zeros((2, 3), np.float32)
    seeds = [
        encode(Hello(VERSION, fingerprint(_made()[0]), 5)), encode(Ready(VERSION, 3)),
        encode(Query(Array.of(z), "logits")), encode(Reply(Array.of(labels), Array.of(scores))),
    ]  # fmt: skip

    def read(data: bytes) -> None:
        found = one_of(data, _MESSAGES)
        if isinstance(found, Query):
            found.z.numpy(dtype=np.float16, shape=(None, 5))
        elif isinstance(found, Reply):
            found.labels.numpy(dtype=np.int64, shape=(2,))

    return Target(seeds, read, (LinkError,), _MESSAGES)


def _sensor_file() -> Target:
    record = ModelRecord(architecture="sensor", arguments=_SENSOR, classes=())
    return file_target(
        lambda path: adversarial.save_sensor(path, _made()[0], record), adversarial.load_sensor, ModelError
    )


def _classifier_file() -> Target:
    sensor, classifier = _made()
    record = ModelRecord(
        architecture="event-classifier", arguments=_CLASSIFIER, classes=_CLASSES, features=features_of(sensor)
    )

    def read(path: Path) -> None:
        adversarial.Bob(path)

    return file_target(lambda path: adversarial.save_classifier(path, classifier, record), read, ModelError)


def _parties() -> Mapping[str, Party]:
    sensor, classifier = _made()
    features = np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)

    def alice(links: Mapping[str, Link]) -> None:
        adversarial.Alice(sensor, reveal="logits").ask(features, links["bob"])

    def bob(links: Mapping[str, Link]) -> None:
        adversarial.Bob(classifier, sensor=fingerprint(sensor), reveal="logits").serve(links["alice"])

    return {"alice": alice, "bob": bob}


DECODERS: Decoders = {
    "adversarial.messages": Decoder("alice or bob", _messages),
    "adversarial.sensor_file": Decoder("a file of a sensor", _sensor_file),
    "adversarial.classifier_file": Decoder("a file of a classifier", _classifier_file),
    **session_decoders("adversarial", _parties, AdversarialError),
}
