"""All parties on this machine, each in a process of its own, started for one session."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sotto.api.costs import Costs, Step
from sotto.api.errors import ModelRefused, in_session, of_model
from sotto.api.session import Session
from sotto.bench.own_model import Given, adapter, as_shape, require_place
from sotto.bench.parties.parties import Parties
from sotto.link import SHAPES, Answer, BadValue
from sotto.serving import registry
from sotto.serving.adapters import LoweringOptions
from sotto.serving.reveal import REVEALS, Reveal

_IDLE_SECONDS = 86_400.0  # a notebook may rest for a night


def local(
    paradigm: str,
    model: Any,
    *,
    mode: str = "",
    input_shape: int | Sequence[int] | None = None,
    reveal: Reveal = "class",
    key: Any = None,
    sensor: Any = None,
    calibration: npt.ArrayLike | None = None,
    classes: Sequence[str] = (),
    activation_error: float | None = None,
    output: str | int | tuple[str | int, ...] | None = None,
    weights: Literal["secret", "public"] = "secret",
    features_at: Literal["alice", "circuit"] = "alice",
    net: str = "loopback",
    timeout: float = 60.0,
) -> Session:
    """Start Alice, Bob and, where ``mpc`` has one, a dealer on this machine, and open a session.

    Each is an operating-system process of its own that is handed only what it may hold, and they speak over real links:
    Bob and the dealer are those of ``sotto bob`` and ``sotto dealer``.  The calling process plays everybody's owner: it
    knows the model, the key and the features.

    Parameters
    ----------
    paradigm
        ``"mpc"``, ``"he"``, ``"hashing"``, ``"keyed"`` or ``"adversarial"``.
    model
        for ``mpc``, ``he`` and ``keyed`` a ``torch.nn.Module``, of which a copy is used in evaluation mode, or
        the path of a model file; ``he`` takes affine steps and polynomials only, ``keyed`` networks whose first
        convolution reads blocks.  For ``hashing`` a fitted :class:`sotto.hashing.HammingSVC` or its file, for
        ``adversarial`` a :class:`sotto.adversarial.Classifier` or its file.
    mode
        the paradigm's first by default: ``malicious``, ``semi-honest``, ``two-party`` or ``crypten``; ``packed``,
        ``batched`` or ``tenseal``; ``smh``; ``rom``, ``shuffling`` or ``flipping``; ``representation``.
    input_shape
        of one example, without its batch axis.  Needed for a module with ``mpc`` and ``keyed``; the
        others know it.
    reveal
        ``"class"``: Alice learns labels alone; ``"logits"``: scores too; ``"values"``, of ``mpc``: what a network
        without classes gives, as scores, with :attr:`sotto.api.session.Session.error_bound`.
    key
        ``hashing``: the :class:`sotto.hashing.HashKey` of the training hashes, or its file.  ``keyed``: a
        :class:`sotto.keyed.Key` or its file; one is made where none is given.
    sensor
        ``adversarial``: the :class:`sotto.adversarial.Sensor` that the classifier belongs to, or its file.
    calibration
        ``he``: features (n, inputs) in [-1, 1] like those to come, usually the training set's; needed
        where no bound can be proved.
    classes
        names of the outputs; those that the model's file has by default.
    activation_error, output, weights
        ``mpc``: the largest error of each function that is approximated (1e-3); which of a network's results is
        meant, by key or index, or a tuple of several; ``"public"`` tells Alice the weights, which is cheaper.
    features_at
        ``mpc``: ``"circuit"`` puts its analysis before the network of a model file, so that examples are samples
        (:func:`sotto.models.from_samples`, :class:`sotto.audio.features.MFCCSamples`).
    net
        ``"loopback"``, or ``"lan"`` (1 ms, 1 Gbit/s) or ``"wan"`` (40 ms, 100 Mbit/s) laid over the links.
    timeout
        seconds that any single wait may take.

    Returns
    -------
    An open :class:`sotto.api.session.Session`; use it in a ``with`` statement.

    Raises
    ------
    ModelRefused
        the paradigm cannot run this model, or something it needs is missing.
    SessionError
        a party did not start.
    """
    if net not in SHAPES:
        raise BadValue("unknown-net", f"net is one of {', '.join(SHAPES)}, not '{str(net)[:40]}'")
    if reveal not in REVEALS:
        raise BadValue("unknown-reveal", f"reveal is one of {', '.join(REVEALS)}, not '{str(reveal)[:40]}'")
    if weights not in ("secret", "public"):
        raise BadValue("unknown-weights", f"weights are 'secret' or 'public', not '{str(weights)[:40]}'")
    require_place(features_at)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sotto-")))
        with of_model(paradigm):
            lowering = LoweringOptions(activation_error, output, weights, features_at)
            given = Given(folder, mode, as_shape(input_shape), key, sensor, calibration, _IDLE_SECONDS, lowering)
            registry.paradigm(paradigm).require_reveal(reveal)
            registry.paradigm(paradigm).require_lowering(lowering)
            own = adapter(paradigm).own(model, given)
        if classes and own.classes and len(classes) != len(own.classes):
            raise ModelRefused(
                "class-count", f"{paradigm}: the model has {len(own.classes)} classes, and {len(classes)} are named"
            )
        parties = Parties([own.parts(reveal)], SHAPES[net], timeout, idle_seconds=_IDLE_SECONDS)
        with in_session():
            stack.enter_context(parties)
            setup = parties.prepare()
        bound = own.error_bound() if reveal == "values" else None
        named = tuple(classes) or own.classes
        costs = Costs(Step.of(setup), peak_rss_mb=_peaks(setup.counts))
        return _Local(parties, paradigm, own.mode, own.input_shape, named, bound, costs, stack.pop_all())


class _Local(Session):
    def __init__(self, parties: Parties, *about: Any) -> None:
        super().__init__(*about)
        self._parties = parties

    def _ask(self, values: npt.NDArray[np.float32]) -> Answer:
        asked = self._parties.ask(values)
        offline = Step.of(asked.offline) if asked.offline else None
        self._book(len(values), Step.of(asked.online), offline, peak_rss_mb=_peaks(asked.online.counts))
        return Answer(asked.labels, asked.scores)

    def _provision(self, n: int) -> None:
        if phase := self._parties.provision(n):
            self._ready[n].append(Step.of(phase))


def _peaks(counts: Mapping[str, Any]) -> dict[str, float]:
    return {role: round(count.peak_rss_mb, 1) for role, count in counts.items()}
