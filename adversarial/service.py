"""`adversarial` as a service: Bob needs the classifier of events, Alice the sensor that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sotto import adversarial
from sotto.adversarial.sensor.fingerprint import sensor_named_by
from sotto.adversarial.sounds.segments import most_energetic
from sotto.audio import read
from sotto.link import Link
from sotto.serving.adapters import ClientCredentials, ModelSource, OneBob
from sotto.serving.errors import AdapterError
from sotto.serving.folders import SENSOR_FILE, model_file, own_file
from sotto.serving.terms import Terms, class_or_logits

if TYPE_CHECKING:
    from sotto.audio import Clip


@dataclass(frozen=True)
class _LoudestSecond:
    """What the sensor takes of a recording: its most energetic second."""

    rate: int

    def compute(self, clip: Clip) -> npt.NDArray[np.float32]:
        """Raises :class:`AdapterError` for a recording in which nothing is heard."""
        pieces = most_energetic(read(clip, self.rate), self.rate)
        if not pieces:
            raise AdapterError("silent", f"{clip.source}: is silent")
        return pieces[0][None]

    def blank(self) -> npt.NDArray[np.float32]:
        """Silence."""
        return np.zeros((1, self.rate), np.float32)


def host(source: ModelSource) -> OneBob:
    """Load the classifier; a sensor is refused."""
    classifier, record = adversarial.load_classifier(model_file(source.model))
    sensor = sensor_named_by(record)
    terms = Terms(
        paradigm="adversarial",
        mode=source.mode,
        reveal=source.reveal,
        model=record.architecture,
        input_shape=(classifier.linear.in_features,),
        classes=record.classes,
        parameters={"sensor": sensor or "any"},
    )
    return OneBob(terms, adversarial.Bob(classifier, sensor=sensor, reveal=class_or_logits(source.reveal)))


def front(own: ClientCredentials, terms: Terms | None) -> _LoudestSecond:
    """Cutting a recording to what her own sensor takes."""
    sensor, _ = adversarial.load_sensor(own_file(own.folder, SENSOR_FILE, "the sensor"))
    return _LoudestSecond(sensor.rate)


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> adversarial.Alice:
    """Alice with the sensor from her own folder."""
    return adversarial.Alice(own_file(own.folder, SENSOR_FILE, "the sensor"), reveal=class_or_logits(own.reveal))
