"""`he` with a user's own network: affine steps and polynomials, or a :class:`sotto.models.networks.mlp.MLP` of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sotto import he
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode, network, require_shape
from sotto.bench.parties.party import PartySpec
from sotto.he import parties
from sotto.he.experiment import security
from sotto.he.messages import Mode
from sotto.serving import registry
from sotto.serving.folders import calibration_beside
from sotto.serving.reveal import Reveal
from sotto.serving.terms import Terms

MODES = registry.paradigm("he").modes
_BATCH = 4096


def own(model: Any, given: Given) -> OwnModel:
    """Fold the network and choose parameters here; Bob's process gets the folded network and the calibration."""
    mode = cast(Mode, chosen_mode(MODES, given.mode))
    module, record = network(model)
    calibration: npt.ArrayLike | None = given.calibration
    if calibration is None and record is not None:
        calibration = calibration_beside(Path(model))
    if calibration is not None:
        calibration = np.clip(np.asarray(calibration, np.float32), -1, 1)  # as Alice clips what she asks
    try:
        folded = he.network_of(module, calibration, given.input_shape)
    except he.ModelRefused as error:
        raise NotRunnable("model-refused", str(error)) from None
    try:
        shape = folded.shape if isinstance(folded, he.TensorNetwork) else (folded.inputs,)
        require_shape(given, shape)
        bob = he.Bob(folded, calibration=calibration, mode=mode, threads=1)
    except he.ModelRefused as error:
        hint = "" if calibration is not None else " (calibration=: features (n, *shape) like those to come)"
        raise NotRunnable("model-refused", f"{error}{hint}") from None

    def parts(reveal: Reveal) -> Mapping[str, PartySpec]:
        return {"alice": PartySpec(parties.alice, {"reveal": reveal}), "bob": PartySpec(parties.bob, {"bob": bob})}

    def plain(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        scores = folded.logits(np.clip(x, -1, 1)).astype(np.float32)
        return scores.argmax(1), scores

    return OwnModel(
        mode=mode,
        input_shape=shape,
        parts=parts,
        plain=plain,
        security=security(),
        classes=record.classes if record else (),
        batch=_BATCH if mode == "batched" else 0,
        keys_are_sent=True,
    )


def asked_shape(terms: Terms) -> Shape:
    """The network's."""
    return terms.input_shape
