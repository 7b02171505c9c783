"""Alice has the sound and the sensor; she sends what the sensor makes of it, and gets the event.

She trusts whoever trained the sensor: mask and extractor decide alone what leaves, and she cannot tell by looking at
the weights whether they hide anything.  Bob learns the representation, in the clear, and with it the answer and
whatever else an attacker can read in it (:mod:`sotto.adversarial.attacks`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sotto.adversarial.errors import WrongShapeError
from sotto.adversarial.messages import TRIP, VERSION, Hello, Query, Ready
from sotto.adversarial.model_file import load_sensor
from sotto.adversarial.sensor.fingerprint import fingerprint
from sotto.adversarial.sensor.sensor import Sensor
from sotto.link import (
    MOST_CLASSES,
    Answer,
    Array,
    BadValue,
    FrameError,
    Link,
    Reply,
    Reveal,
    RoundTripAlice,
    as_numbers,
)


class Alice(RoundTripAlice[Hello, Ready, Query, Reply]):
    """The side that hears.

    Parameters
    ----------
    sensor
        mask and extractor, or the path of their file.
    reveal
        "class" for labels alone, "logits" for the scores as well.  Bob computes both either way.
    batch
        how many segments go through the sensor at a time.
    """

    def __init__(self, sensor: Sensor | str | Path, *, reveal: Reveal = "class", batch: int = 32) -> None:
        super().__init__(TRIP, reveal)
        if batch < 1:
            raise BadValue("empty-batch", "a batch holds at least one segment")
        self._sensor = (sensor if isinstance(sensor, Sensor) else load_sensor(sensor)[0]).eval()
        self._fingerprint = fingerprint(self._sensor)
        self._batch = batch

    def __repr__(self) -> str:
        return f"<Alice with sensor {self._fingerprint[:16]}>"

    def _hello(self) -> Hello:
        return Hello(VERSION, self._fingerprint, self._sensor.dimensions)

    def _accept(self, ready: Ready) -> None:
        if not 1 <= ready.classes <= MOST_CLASSES:
            raise FrameError("bad-classes", "the peer's classifier has an impossible number of classes")

    def represent(self, features: npt.ArrayLike) -> npt.NDArray[np.float16]:
        """What leaves: representations (n, dimension) float16 of segments (n, samples), finite in any case.

        Raises
        ------
        WrongShapeError
            segments the sensor does not take.
        """
        return self._represented(features)[0]

    def _represented(self, features: npt.ArrayLike) -> tuple[npt.NDArray[np.float16], tuple[str, ...]]:
        """The same, and warnings about values that are not finite or do not fit float16, which were replaced."""
        heard, warnings = as_numbers(features, error=WrongShapeError)
        _require_query_size(heard.shape)
        segments = torch.from_numpy(heard.copy())
        try:
            with torch.inference_mode():
                z = torch.cat([self._sensor(part) for part in segments.split(self._batch)])
        except (RuntimeError, ValueError, IndexError):
            raise WrongShapeError(
                "wrong-length", f"this sensor does not take segments of {heard.shape[1]} samples"
            ) from None
        if z.ndim != 2 or len(z) != len(heard):
            raise WrongShapeError("wrong-output", "the sensor gave something else than one representation per segment")
        fitting, odd = as_numbers(z.numpy(), limit=float(np.finfo(np.float16).max))
        return fitting.astype(np.float16), (*warnings, *(f"of the representation, {each}" for each in odd))

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Ask about a batch.

        Parameters
        ----------
        features
            numbers (n, samples), segments prepared as the sensor expects them
            (:func:`sotto.adversarial.sounds.segments.most_energetic`).

        Raises
        ------
        WrongShapeError
            as :meth:`represent`; nothing has been sent then.
        FrameError
            Bob's answer does not fit the question.  LinkError: the link failed.
        """
        z, warnings = self._represented(features)
        classes = self._greeted(link).classes
        query, limit = Query(Array.of(z), self._reveal), 4096 + len(z) * (8 + 4 * classes)
        return self._answer(query, link, count=len(z), classes=classes, limit=limit, warnings=warnings)


def _require_query_size(shape: tuple[int, ...]) -> None:
    """Raises WrongShapeError for what is no batch of segments."""
    if len(shape) != 2 or not shape[0]:
        raise WrongShapeError("wrong-shape", f"features are a batch of segments (n, samples), not {shape}")
