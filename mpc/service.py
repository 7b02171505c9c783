"""`mpc` as a service: Bob needs a model file, Alice nothing of her own, both a dealer in all modes but one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sotto import models, mpc
from sotto.link import Link
from sotto.mpc import modes
from sotto.mpc.graph.fixed_point import FRACTION_BITS, input_limit_of
from sotto.mpc.graph.program import WORD_BITS
from sotto.serving.adapters import ClientCredentials, Hosted, ModelSource, published_front
from sotto.serving.errors import AdapterError
from sotto.serving.folders import model_file
from sotto.serving.terms import FrontEnd, Terms

if TYPE_CHECKING:
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore


class _Hosted:
    def __init__(self, source: ModelSource) -> None:
        mode = modes.require_mode(source.mode)
        self.needs_dealer = modes.needs_dealer(mode)
        module, record = models.load(model_file(source.model))
        front = FrontEnd.of(record)
        shape = tuple(int(length or 0) for length in front.spec().shape)
        self._bob = mpc.Bob(
            module,
            None,
            input_shape=shape,
            input_limit=input_limit_of(record),
            mode=mode,
            reveal=source.reveal,
            idle_timeout=source.idle_seconds,
            store=_store(source.store),
        )
        agreement = self._bob.agreement
        modes.warm_up(mode)  # once for all sessions
        self.terms = Terms(
            paradigm="mpc",
            mode=mode,
            reveal=source.reveal,
            model=record.architecture,
            input_shape=shape,
            classes=record.classes,
            front=front,
            parameters={
                "word bits": WORD_BITS,
                "fraction bits": FRACTION_BITS,
                "input limit": agreement.input_limit,
                "plan": agreement.digest,
            },
        )

    def make(self, links: Mapping[str, Link]) -> mpc.Bob:
        return self._bob.with_dealer(links.get("dealer"))


def host(source: ModelSource) -> Hosted:
    """Trace and check the network."""
    return _Hosted(source)


def front(own: ClientCredentials, terms: Terms | None) -> FrontEnd | None:
    """Bob's: he sees nothing of what it makes."""
    return published_front(terms) if terms and terms.front else None


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> mpc.Alice:
    """Alice, who holds Bob to what his terms say of his network; :class:`AdapterError` where they do not say it."""
    told = terms.parameters
    limit, digest = told.get("input limit"), told.get("plan")
    if not isinstance(limit, float) or not isinstance(digest, str):
        raise AdapterError("bob's terms do not say which plan he will use: both sides need the same release")
    if (told.get("word bits"), told.get("fraction bits")) != (WORD_BITS, FRACTION_BITS):
        raise AdapterError("bob's terms name another fixed point than this release's: both sides need the same release")
    return mpc.Alice(
        links.get("dealer"),
        mode=cast(mpc.Mode, terms.mode),
        reveal=own.reveal,
        agreed=mpc.Agreement(terms.input_shape, limit, len(terms.classes) or None, digest),
        store=_store(own.store),
    )


def _store(folder: Path | None) -> PreprocessingStore | None:
    if not folder:
        return None
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore  # brings SEAL and a compiler

    return PreprocessingStore(folder)
