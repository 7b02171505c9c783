"""Files of trained sensors and classifiers: one for Alice, one for Bob.

Model files as everywhere in the project (:mod:`sotto.models.weights`: safetensors and a record, sizes checked before
anything is allocated, no code in them).  Each role loads with its own function and refuses the other's file, so that
Bob cannot be handed the whole network by mistake.
"""

from __future__ import annotations

from pathlib import Path

from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.sensor import Sensor
from sotto.models.architectures import ModelError, register
from sotto.models.weights import ModelRecord, load, save

register("sensor", Sensor)
register("event-classifier", Classifier)


def save_sensor(path: str | Path, sensor: Sensor, record: ModelRecord) -> None:
    """Write a sensor.  ``record.architecture`` is ``sensor``, its ``arguments`` those of :class:`Sensor`.

    Raises
    ------
    ModelError
        the record does not describe the sensor.
    """
    save(path, sensor, record)


def load_sensor(path: str | Path) -> tuple[Sensor, ModelRecord]:
    """A sensor in evaluation mode.  Raises :class:`sotto.models.ModelError` for any file that does not hold one."""
    module, record = load(path)
    if not isinstance(module, Sensor):
        raise ModelError("not-a-sensor", f"{path}: holds a {record.architecture}, but Alice needs a sensor")
    return module, record


def save_classifier(path: str | Path, classifier: Classifier, record: ModelRecord) -> None:
    """Write a classifier.  ``record.architecture`` is ``event-classifier``, ``record.classes`` names its outputs.

    Raises
    ------
    ModelError
        the record does not describe the classifier.
    """
    save(path, classifier, record)


def load_classifier(path: str | Path) -> tuple[Classifier, ModelRecord]:
    """A classifier in evaluation mode.  Raises :class:`sotto.models.ModelError` for any file that does not hold one."""
    module, record = load(path)
    if not isinstance(module, Classifier):
        raise ModelError(
            "not-a-classifier", f"{path}: holds a {record.architecture}, but Bob needs an event-classifier"
        )
    return module, record
