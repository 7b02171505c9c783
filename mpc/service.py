"""`mpc` as a service: Bob needs a model file, Alice nothing of her own, both a dealer in all modes but one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sotto import models, mpc
from sotto.link import Link
from sotto.mpc import modes
from sotto.mpc.graph.fixed_point import FRACTION_BITS, input_limit_of
from sotto.mpc.graph.program import WORD_BITS
from sotto.serving.adapters import ClientCredentials, Hosted, LoweringOptions, ModelSource, published_front
from sotto.serving.errors import AdapterError
from sotto.serving.folders import LOWERED_FILE, model_file
from sotto.serving.terms import FrontEnd, Scalar, Terms

if TYPE_CHECKING:  # Alice needs neither
    from torch import nn

    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore


class _Hosted:
    def __init__(self, source: ModelSource) -> None:
        mode = modes.require_mode(source.mode)
        self.needs_dealer = modes.needs_dealer(mode)
        module, record = models.load(model_file(source.model))
        lowered = _lowered_beside(model_file(source.model)) or _lowered(module, record, LoweringOptions())
        shape = lowered.plan.input_shape
        if shape != FrontEnd.of(record).spec().shape:  # it was made ready behind its front end
            record = models.from_samples(module, record)[1]
        self._bob = mpc.Bob(
            lowered,
            None,
            mode=mode,
            reveal=source.reveal,
            idle_timeout=source.idle_seconds,
            store=_store(source.store),
        )
        agreement = self._bob.agreement
        parameters: dict[str, Scalar] = {
            "word bits": WORD_BITS,
            "fraction bits": FRACTION_BITS,
            "input limit": agreement.input_limit,
            "plan": agreement.digest,
            "weights": "public" if lowered.plan.public else "secret",
        }
        if source.reveal == "values":
            parameters["error bound"] = agreement.error_bound or f"none is proven: {lowered.unproven}"
        modes.warm_up(mode)  # once for all sessions
        self.terms = Terms(
            paradigm="mpc",
            mode=mode,
            reveal=source.reveal,
            model=record.architecture,
            input_shape=shape,
            classes=record.classes,
            front=FrontEnd.of(record),
            parameters=parameters,
        )

    def make(self, links: Mapping[str, Link]) -> mpc.Bob:
        return self._bob.with_dealer(links.get("dealer"))


def host(source: ModelSource) -> Hosted:
    """Read and check the network, tracing it where that was not done before."""
    return _Hosted(source)


def lower(folder: Path, options: LoweringOptions) -> None:
    """Trace the network in Bob's folder once, for all services that start from it."""
    path = model_file(folder)
    module, record = models.load(path)
    _lowered(module, record, options, _digest(path)).save(path.parent / LOWERED_FILE)


def _lowered(
    module: nn.Module, record: models.ModelRecord, options: LoweringOptions, source: str = ""
) -> mpc.LoweredModel:
    from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR

    if options.features_at == "circuit":
        module, record = models.from_samples(module, record)
    shape = FrontEnd.of(record).spec().fixed_shape
    lowered = mpc.LoweredModel.of(
        module,
        shape,
        input_limit=input_limit_of(record),
        activation_error=options.tolerance(DEFAULT_ACTIVATION_ERROR),
        output=options.output,
        source=source,
    )
    return lowered.with_public_weights() if options.weights == "public" else lowered


def _lowered_beside(path: Path) -> mpc.LoweredModel | None:
    """What :func:`lower` left beside a model file; None where it left nothing.

    Raises :class:`AdapterError` where it was made of another file.
    """
    if not (path.parent / LOWERED_FILE).is_file():
        return None
    lowered = mpc.LoweredModel.load(path.parent / LOWERED_FILE)
    if lowered.source != _digest(path):
        raise AdapterError(
            "other-model",
            f"{path.parent / LOWERED_FILE}: belongs to another {path.name}: prepare it again or delete it",
        )
    return lowered


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def front(own: ClientCredentials, terms: Terms | None) -> FrontEnd | None:
    """Bob's: he sees nothing of what it makes."""
    return published_front(terms) if terms and terms.front else None


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> mpc.Alice:
    """Alice, who holds Bob to what his terms say of his network; :class:`AdapterError` where they do not say it."""
    told = terms.parameters
    limit, digest = told.get("input limit"), told.get("plan")
    if not isinstance(limit, float) or not isinstance(digest, str):
        raise AdapterError("no-plan", "bob's terms do not say which plan it will use: both sides need the same release")
    if (told.get("word bits"), told.get("fraction bits")) != (WORD_BITS, FRACTION_BITS):
        raise AdapterError(
            "other-fixed-point",
            "bob's terms name another fixed point than this release's: both sides need the same release",
        )
    bound = told.get("error bound")
    agreed = mpc.Agreement(
        terms.input_shape, limit, len(terms.classes) or None, digest, bound if isinstance(bound, float) else None
    )
    return mpc.Alice(
        links.get("dealer"),
        mode=cast(mpc.Mode, terms.mode),
        reveal=own.reveal,
        agreed=agreed,
        store=_store(own.store),
    )


def _store(folder: Path | None) -> PreprocessingStore | None:
    if not folder:
        return None
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore  # brings SEAL and a compiler

    return PreprocessingStore(folder)
