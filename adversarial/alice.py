"""Alice has the sound and the sensor; she sends what the sensor makes of it, and gets the event.

She trusts whoever trained the sensor: mask and extractor decide alone what leaves, and she cannot tell by looking at
the weights whether they hide anything.  Bob learns the representation, in the clear, and with it the answer and
whatever else an attacker can read in it (:mod:`sotto.adversarial.attacks`).
"""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sotto.adversarial.errors import WrongShapeError
from sotto.adversarial.messages import (
    HELLO,
    MOST_CLASSES,
    MOST_HELLO,
    QUERY,
    READY,
    REPLY,
    VERSION,
    Hello,
    Query,
    Ready,
    Reply,
    Reveal,
)
from sotto.adversarial.model_file import load_sensor
from sotto.adversarial.sensor.fingerprint import fingerprint
from sotto.adversarial.sensor.sensor import Sensor
from sotto.link import Answer, Array, FrameError, Link, as_numbers, decode, encode, transaction


class Alice:
    """The side that hears.

    Args:
        sensor: mask and extractor, or the path of their file.
        reveal: "class" for labels alone, "logits" for the scores as well.  Bob computes both either way.
        batch: how many segments go through the sensor at a time.
    """

    def __init__(self, sensor: Sensor | str | Path, *, reveal: Reveal = "class", batch: int = 32) -> None:
        if reveal not in ("class", "logits"):
            raise ValueError(f"reveal is 'class' or 'logits', not {reveal!r}")
        if batch < 1:
            raise ValueError("a batch holds at least one segment")
        self._sensor = (sensor if isinstance(sensor, Sensor) else load_sensor(sensor)[0]).eval()
        self._fingerprint = fingerprint(self._sensor)
        self._reveal: Reveal = reveal
        self._batch = batch
        self._prepared: weakref.WeakKeyDictionary[Link, Ready] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<Alice with sensor {self._fingerprint[:16]}>"

    def prepare(self, link: Link) -> None:
        """Once per link: make sure that Bob's classifier is for this sensor, before anything of the sound leaves.

        Raises:
            PeerError: Bob's classifier is for another sensor.
        """
        if link in self._prepared:
            return
        with transaction(link):
            link.send(HELLO, encode(Hello(VERSION, self._fingerprint, self._sensor.dimensions)))
            received = link.receive(READY, limit=MOST_HELLO)
        ready = decode(received, Ready)
        if not 1 <= ready.classes <= MOST_CLASSES:
            raise FrameError("the peer's classifier has an impossible number of classes")
        self._prepared[link] = ready

    def represent(self, features: npt.ArrayLike) -> npt.NDArray[np.float16]:
        """What leaves: representations (n, dimension) float16 of segments (n, samples), finite in any case.

        Raises:
            WrongShapeError: segments the sensor does not take.
        """
        return self._represented(features)[0]

    def _represented(self, features: npt.ArrayLike) -> tuple[npt.NDArray[np.float16], tuple[str, ...]]:
        """The same, and warnings about values that are not finite or do not fit float16, which were replaced."""
        try:
            heard, warnings = as_numbers(features)
        except ValueError as error:
            raise WrongShapeError(str(error)) from None
        if heard.ndim != 2 or not len(heard):
            raise WrongShapeError(f"features are a batch of segments (n, samples), not {heard.shape}")
        segments = torch.from_numpy(heard.copy())
        try:
            with torch.inference_mode():
                z = torch.cat([self._sensor(part) for part in segments.split(self._batch)])
        except (RuntimeError, ValueError, IndexError):
            raise WrongShapeError(f"this sensor does not take segments of {heard.shape[1]} samples") from None
        if z.ndim != 2 or len(z) != len(heard):
            raise WrongShapeError("the sensor gave something else than one representation per segment")
        fitting, odd = as_numbers(z.numpy(), limit=float(np.finfo(np.float16).max))
        return fitting.astype(np.float16), (*warnings, *(f"of the representation, {each}" for each in odd))

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Ask about a batch.

        Args:
            features: numbers (n, samples), segments prepared as the sensor expects them
                (:func:`sotto.adversarial.sounds.segments.most_energetic`).

        Raises:
            WrongShapeError: as :meth:`represent`; nothing has been sent then.
            FrameError: Bob's answer does not fit the question.  LinkError: the link failed.
        """
        z, warnings = self._represented(features)
        self.prepare(link)
        n, classes = len(z), self._prepared[link].classes
        with transaction(link):
            link.send(QUERY, encode(Query(Array.of(z), self._reveal)))
            reply = link.receive(REPLY, limit=4096 + n * (8 + 4 * classes))
        return self._checked(decode(reply, Reply), n, classes).warned(*warnings)

    def _checked(self, reply: Reply, n: int, classes: int) -> Answer:
        labels = reply.labels.numpy(dtype=np.int64, shape=(n,))
        if (reply.scores is None) != (self._reveal == "class"):
            raise FrameError("the peer's reply does not hold what was asked for: both sides need the same release")
        scores = None if reply.scores is None else reply.scores.numpy(dtype=np.float32, shape=(n, classes))
        if scores is not None and not np.isfinite(scores).all():
            raise FrameError("the peer's scores are not finite numbers")
        if labels.min() < 0 or labels.max() >= classes:
            raise FrameError("the peer's reply names classes that are none")
        return Answer(labels, scores)
