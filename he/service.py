"""`he` as a service: Bob needs a polynomial network and calibration features, Alice nothing of her own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from sotto import he, models
from sotto.he.messages import Mode, TensorDescription
from sotto.link import Link
from sotto.serving.adapters import ClientCredentials, Hosted, ModelSource, published_front
from sotto.serving.folders import calibration_beside, model_file
from sotto.serving.terms import FrontEnd, Terms, class_or_logits


class _Hosted:
    needs_dealer = False

    def __init__(self, source: ModelSource) -> None:
        mode = cast(Mode, source.mode)
        path = model_file(source.model)
        module, record = models.load(path)
        self._bob = he.Bob(module, calibration=calibration_beside(path), mode=mode, threads=1)
        description = self._bob.description
        shape = description.shape if isinstance(description, TensorDescription) else (description.inputs,)
        self.terms = Terms(
            paradigm="he",
            mode=mode,
            reveal="logits",  # Alice decrypts them
            model=record.architecture,
            input_shape=shape,
            classes=record.classes,
            front=FrontEnd.of(record),
            parameters={"ring degree": description.ring_degree, "overflow ruled out": description.proved},
        )

    def make(self, links: Mapping[str, Link]) -> he.Bob:
        return self._bob  # keys and ciphertexts come with a session; each session is a process


def host(source: ModelSource) -> Hosted:
    """Choose parameters and fold the network."""
    return _Hosted(source)


def front(own: ClientCredentials, terms: Terms | None) -> FrontEnd | None:
    """Bob's: he sees nothing of what it makes."""
    return published_front(terms) if terms and terms.front else None


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> he.Alice:
    """Alice, who holds Bob to the size of the model that his terms name."""
    inputs, classes = math.prod(terms.input_shape), len(terms.classes) or None
    return he.Alice(reveal=class_or_logits(own.reveal), threads=1, inputs=inputs, classes=classes)
