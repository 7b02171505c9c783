"""`mpc` with a user's own network: anything that :class:`sotto.mpc.Bob` can trace."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn

from sotto import mpc
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode, example_shape, network
from sotto.bench.parties.party import PartySpec
from sotto.link import Link
from sotto.models.learning.training import predict
from sotto.mpc import modes, parties
from sotto.mpc.experiment import SECURITY
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT, input_limit_of
from sotto.serving import registry
from sotto.serving.terms import Reveal, Terms

MODES = registry.paradigm("mpc").modes


def own(model: Any, given: Given) -> OwnModel:
    """Trace and check the network here; its shapes and weights go to Bob's process."""
    module, record = network(model)
    try:
        mode = modes.require_mode(chosen_mode(MODES, given.mode))
    except mpc.CryptenMissing as error:
        raise NotRunnable(str(error)) from None
    shape = example_shape(given, record)
    limit = DEFAULT_INPUT_LIMIT if record is None else input_limit_of(record)
    parts = functools.partial(_parts, module, shape, limit, mode, given.idle_seconds)
    parts("class")  # refuses what cannot be run

    return OwnModel(
        mode=mode,
        input_shape=shape,
        parts=parts,
        plain=lambda x: ((scores := predict(module, x)).argmax(1), scores),
        security=SECURITY[mode],
        classes=record.classes if record else (),
    )


def _parts(
    module: nn.Module, shape: Shape, limit: float, mode: mpc.Mode, idle: float, reveal: Reveal
) -> Mapping[str, PartySpec]:
    whole = tuple(int(length or 0) for length in shape)
    bob = mpc.Bob(module, None, input_shape=whole, input_limit=limit, mode=mode, reveal=reveal, idle_timeout=idle)
    parts = {"alice": PartySpec(parties.alice, {"mode": mode, "reveal": reveal}), "bob": PartySpec(_bob, {"bob": bob})}
    dealer = {"dealer": PartySpec(parties.dealer, {"mode": mode, "idle_timeout": idle})}
    return parts | (dealer if modes.needs_dealer(mode) else {})


def asked_shape(terms: Terms) -> Shape:
    """The network's."""
    return terms.input_shape


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Bob:
    bob: mpc.Bob = job["bob"]
    return bob.with_dealer(links.get("dealer"))
