"""The public name of a sensor: a digest of all that decides what it makes of a sound.

A classifier is of use with one sensor only.  Its file names that sensor, Alice names hers in her first message, and
Bob says so when the two differ, before anything of the sound has left.  It is no proof to Bob of what Alice runs, and
it tells Alice nothing about what the sensor hides; it lets her keep to a sensor that somebody she trusts has examined.
"""

from __future__ import annotations

import hashlib
import json

from sotto.adversarial.sensor.sensor import Sensor
from sotto.models.weights import ModelRecord, Spec

_KIND = "representation"


def fingerprint(sensor: Sensor) -> str:
    """32 hex digits: BLAKE2b of the weights, and of the settings that are none."""
    settings = [sensor.rate, sensor.mask, sensor.log_mel.floor, sensor.dimensions]
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=16)
    for name, tensor in sorted(sensor.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"\0{name}\0{values.dtype.name}\0{values.shape}\0".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def features_of(sensor: Sensor) -> Spec:
    """What the record of a classifier says its input is (``ModelRecord.features``): z of this sensor."""
    return {"kind": _KIND, "sensor": fingerprint(sensor)}


def sensor_named_by(record: ModelRecord) -> str | None:
    """The fingerprint of the sensor a classifier's record belongs to, or None when it names none."""
    named = record.features.get("sensor") if record.features.get("kind") == _KIND else None
    return named if isinstance(named, str) else None
