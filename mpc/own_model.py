"""`mpc` with a user's own network: anything that :class:`sotto.mpc.Bob` can trace."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto import mpc
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode, example_shape, network
from sotto.models.learning.training import predict
from sotto.models.sample_input import from_samples
from sotto.mpc import modes
from sotto.mpc.experiment import SECURITY, parts_of
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT, input_limit_of
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR
from sotto.serving import registry
from sotto.serving.terms import Terms

Floats = npt.NDArray[np.float32]

MODES = registry.paradigm("mpc").modes


def own(model: Any, given: Given) -> OwnModel:
    """Trace and check the network here; its shapes and weights go to Bob's process."""
    module, record = network(model)
    try:
        mode = modes.require_mode(chosen_mode(MODES, given.mode))
    except mpc.CryptenMissing as error:
        raise NotRunnable("model-refused", str(error)) from None
    options = given.lowering
    if options.features_at == "circuit":
        if record is None:
            raise NotRunnable(
                "no-features",
                "a module does not say which features it takes: give a model file, or put "
                "models.networks.front_end.CepstralFrontEnd before it yourself",
            )
        module, record = from_samples(module, record)
    shape = tuple(int(length or 0) for length in example_shape(given, record))
    limit = given.input_limit or (DEFAULT_INPUT_LIMIT if record is None else input_limit_of(record))
    lowered = mpc.LoweredModel.of(
        module,
        shape,
        input_limit=limit,
        activation_error=options.tolerance(DEFAULT_ACTIVATION_ERROR),
        output=options.output,
    )
    if options.weights == "public":
        lowered = lowered.with_public_weights()
    parts = functools.partial(parts_of, lowered, mode, idle_timeout=given.idle_seconds)
    parts("class")  # refuses what cannot be run

    return OwnModel(
        mode=mode,
        input_shape=shape,
        parts=parts,
        plain=functools.partial(_plain, lowered if options.output is not None else module),
        security=SECURITY[mode],
        classes=record.classes if record else (),
        error_bound=lambda: None if (bits := lowered.error_bits) is None else 2.0**bits,
    )


def _plain(model: nn.Module | mpc.LoweredModel, x: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """In the clear; of a network with several results what its plan says of the one that is meant."""
    scores = model.in_clear(x) if isinstance(model, mpc.LoweredModel) else predict(model, x)
    return scores.argmax(1), scores


def asked_shape(terms: Terms) -> Shape:
    """The network's."""
    return terms.input_shape
