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

from sotto.adversarial.messages import QUERY_LIMIT, TRIP, VERSION, Hello, Query, Ready
from sotto.adversarial.model_file import load_classifier
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.fingerprint import sensor_named_by
from sotto.link import FrameError, Reply, Reveal, RoundTripBob, require_revealed


class Bob(RoundTripBob[Hello, Ready, Query, Reply]):
    """The side that names the event.

    Parameters
    ----------
    classifier
        z to event logits, or the path of its file.
    sensor
        fingerprint of the sensor it belongs to; Alice is told before she sends anything when hers is another
        one.  None takes representations of any sensor (and makes nothing of them).  A file brings its own.
    reveal
        the most he gives: "class" for labels alone, "logits" for scores to an Alice who asks for them, which
        tell her more about the classifier.
    """

    def __init__(
        self, classifier: Classifier | str | Path, *, sensor: str | None = None, reveal: Reveal = "class"
    ) -> None:
        super().__init__(TRIP, reveal, QUERY_LIMIT)
        if not isinstance(classifier, Classifier):
            classifier, record = load_classifier(classifier)
            sensor = sensor_named_by(record)
        self._classifier = classifier.eval()
        self._dimension, self._classes = classifier.linear.in_features, classifier.linear.out_features
        self._sensor = sensor

    def __repr__(self) -> str:
        return f"<Bob with a classifier of {self._classes} events>"

    def _greet(self, hello: Hello) -> Ready:
        if hello.dimension != self._dimension:
            raise FrameError(
                "wrong-dimension",
                f"this classifier takes representations of {self._dimension} numbers: use its own sensor",
            )
        if self._sensor is not None and hello.sensor != self._sensor:
            raise FrameError(
                "other-sensor", "this classifier is for another sensor: ask its owner for the sensor that belongs to it"
            )
        return Ready(VERSION, self._classes)

    def _reply(self, query: Query, hello: Hello) -> Reply:
        require_revealed(query.reveal, self._reveal)
        z = query.z.numpy(dtype=np.float16, shape=(None, self._dimension))
        if not len(z) or not np.isfinite(z).all():
            raise FrameError("bad-query", "a query is a batch of finite representations with at least one of them")
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self._classifier(torch.from_numpy(z.astype(np.float32))).numpy()
        return Reply.of(logits, query.reveal)
