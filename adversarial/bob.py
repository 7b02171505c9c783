"""Bob has the classifier, and answers what event a representation is of.

He is trusted to run the classifier, and with the representation itself, which he sees in the clear: he is the attacker
of :mod:`sotto.adversarial.attacks`.  He is given neither the sound nor its spectrogram, and does not need the sensor;
where he has it all the same, he can train his attackers on any recordings of his own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sotto.adversarial.messages import (
    HELLO,
    MOST_HELLO,
    MOST_QUERY,
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
from sotto.adversarial.model_file import load_classifier
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.fingerprint import sensor_named_by
from sotto.link import Array, FrameError, Link, RoundTrip, decode, encode


class Bob:
    """The side that names the event.

    Args:
        classifier: z to event logits, or the path of its file.
        sensor: fingerprint of the sensor it belongs to; Alice is told before she sends anything when hers is another
            one.  None takes representations of any sensor (and makes nothing of them).  A file brings its own.
        reveal: the most he gives: "class" for labels alone, "logits" for scores to an Alice who asks for them, which
            tell her more about the classifier.
    """

    def __init__(
        self, classifier: Classifier | str | Path, *, sensor: str | None = None, reveal: Reveal = "class"
    ) -> None:
        if reveal not in ("class", "logits"):
            raise ValueError(f"reveal is 'class' or 'logits', not {reveal!r}")
        if not isinstance(classifier, Classifier):
            classifier, record = load_classifier(classifier)
            sensor = sensor_named_by(record)
        self._classifier = classifier.eval()
        self._dimension, self._classes = classifier.linear.in_features, classifier.linear.out_features
        self._sensor = sensor
        self._reveal: Reveal = reveal
        self._trip = RoundTrip(
            hello=(HELLO, MOST_HELLO),
            ready=READY,
            query=(QUERY, MOST_QUERY),
            reply=REPLY,
            greet=lambda payload: encode(self._greet(decode(payload, Hello))),
            answer=lambda payload: encode(self._reply(decode(payload, Query))),
        )

    def __repr__(self) -> str:
        return f"<Bob with a classifier of {self._classes} events>"

    def answer(self, link: Link) -> bool:
        """Greet Alice if she has not been greeted, and answer one query; False when she closed before a query.

        Raises:
            FrameError: she sent something that is no query for this classifier; she has been told.
        """
        return self._trip.serve_one(link)

    def serve(self, link: Link) -> None:
        """Answer until Alice closes."""
        while self.answer(link):
            pass

    def _greet(self, hello: Hello) -> Ready:
        if hello.dimension != self._dimension:
            raise FrameError(f"this classifier takes representations of {self._dimension} numbers: use its own sensor")
        if self._sensor is not None and hello.sensor != self._sensor:
            raise FrameError("this classifier is for another sensor: ask its owner for the sensor that belongs to it")
        return Ready(VERSION, self._classes)

    def _reply(self, query: Query) -> Reply:
        if query.reveal == "logits" and self._reveal == "class":
            raise FrameError("this peer reveals classes only: ask with reveal='class'")
        z = query.z.numpy(dtype=np.float16, shape=(None, self._dimension))
        if not len(z) or not np.isfinite(z).all():
            raise FrameError("a query is a batch of finite representations with at least one of them")
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self._classifier(torch.from_numpy(z.astype(np.float32))).numpy()
        labels = Array.of(logits.argmax(1).astype(np.int64))
        return Reply(labels, Array.of(logits) if query.reveal == "logits" else None)
