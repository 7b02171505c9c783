"""The row without privacy: Alice sends her features as they are, and Bob answers, over the same links.

It is what the price of a paradigm is compared with: the same model, clips, processes and network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.bench.experiment import Configuration, Experiment
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.link import (
    MOST_CLASSES,
    Answer,
    Array,
    BadValue,
    Link,
    Reply,
    RoundTrip,
    RoundTripAlice,
    RoundTripBob,
    as_numbers,
)

if TYPE_CHECKING:
    from sotto.models.shipped import Shipped

PARADIGM = "plaintext"
_MOST_BYTES = 1 << 28
_SECURITY = Security(
    adversary="nobody", trusted="Bob, with everything", computational_bits=None, statistical_bits=None,
    leaks="to Bob the features and the class",
)  # fmt: skip


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either side's first message."""

    version: Literal[1] = 1


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features (n, …) float32."""

    features: Array


_TRIP = RoundTrip(
    ("plain.hello", Greeting, 64), ("plain.ready", Greeting, 64), ("plain.query", Query), ("plain.reply", Reply)
)


class Alice(RoundTripAlice[Greeting, Greeting, Query, Reply]):
    """Sends what she has."""

    def __init__(self) -> None:
        super().__init__(_TRIP, "class")

    def _hello(self) -> Greeting:
        return Greeting()

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Labels of ``features`` (n, …).  Raises ``LinkError``."""
        values, warnings = as_numbers(features)
        self._greeted(link)
        limit = 4096 + 8 * len(values)
        return self._answer(
            Query(Array.of(values)), link, count=len(values), classes=MOST_CLASSES, limit=limit, warnings=warnings
        )


class Bob(RoundTripBob[Greeting, Greeting, Query, Reply]):
    """Answers with the model, one thread, a batch at a time."""

    def __init__(self, shipped: Shipped) -> None:
        super().__init__(_TRIP, "class", _MOST_BYTES)
        self._module = shipped.module().eval()

    def _greet(self, hello: Greeting) -> Greeting:
        return Greeting()

    def _reply(self, query: Query, hello: Greeting) -> Reply:
        from sotto.models.learning.training import predict  # and torch, which Alice does without

        axes = len(query.features.shape)
        features = query.features.numpy(dtype=np.float32, shape=(None,) * axes)
        return Reply.of(predict(self._module, features.copy()), "class")


def baseline(experiment: Experiment) -> Experiment:
    """The same model on the same clips without privacy.  Raises ``ValueError`` for an experiment without a network."""
    if experiment.network is None:
        raise BadValue("not-alone", f"{experiment.cell}: its plaintext model does not stand alone")
    from sotto.models.shipped import Shipped

    parts = {
        "alice": PartySpec(_alice, {}),
        "bob": PartySpec(_bob, {"model": Shipped.of(experiment.network)}, modules=("torch",)),
    }
    plan = experiment.plan
    return Experiment(
        cell=Configuration(PARADIGM, "open", experiment.cell.model, {}),
        parts=parts,
        queries=experiment.queries,
        truth=experiment.truth,
        query=experiment.query,
        plain=experiment.plain,
        security=_SECURITY,
        plan=replace(plan, singles=30, clips=plan.table or plan.clips, batch=32, sessions=1),
        task=experiment.task,
        features_at="bob" if experiment.features_at == "circuit" else experiment.features_at,
    )


def _alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> Alice:
    return Alice()


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> Bob:
    return Bob(job["model"])
