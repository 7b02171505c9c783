"""`hashing` with a user's own classifier: a fitted :class:`sotto.hashing.HammingSVC`, and the key of its hashes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto import hashing
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode, require_shape
from sotto.bench.parties.party import PartySpec
from sotto.hashing import parties
from sotto.hashing.experiment import SECURITY
from sotto.serving import registry
from sotto.serving.folders import KEY_FILE, MODEL_FILE
from sotto.serving.reveal import Reveal
from sotto.serving.terms import Terms

MODES = registry.paradigm("hashing").modes


def own(model: Any, given: Given) -> OwnModel:
    """Bob's process gets the classifier's file, Alice's the key's."""
    mode = chosen_mode(MODES, given.mode)
    if not isinstance(model, str | Path | hashing.HammingSVC):
        raise NotRunnable(
            "wrong-model",
            "Bob answers from hashes, with a fitted sotto.hashing.HammingSVC or its file: "
            f"{type(model).__name__} cannot read them",
        )
    if given.key is None:
        raise NotRunnable(
            "key-needed", "give key=, the sotto.hashing.HashKey (or its file) that the training hashes were made with"
        )
    key = given.key if isinstance(given.key, hashing.HashKey) else hashing.HashKey.load(given.key)
    classifier = model if isinstance(model, hashing.HammingSVC) else hashing.HammingSVC.load(model)
    if not getattr(classifier, "fingerprint_", None):
        raise NotRunnable("not-fitted", "the classifier is not fitted: train it with sotto.hashing.train_hamming_svc")
    if classifier.fingerprint_ != key.fingerprint:
        raise NotRunnable("other-key", "the classifier was trained on hashes made with another key: give that key")
    require_shape(given, (key.parameters.inputs,))
    key_file, classifier_file = given.folder / KEY_FILE, given.folder / MODEL_FILE
    key.save(key_file)
    classifier.save(classifier_file)

    def parts(reveal: Reveal) -> Mapping[str, PartySpec]:
        return {
            "alice": PartySpec(parties.alice, {"key": str(key_file), "reveal": reveal}),
            "bob": PartySpec(parties.bob, {"classifier": str(classifier_file), "reveal": reveal}),
        }

    def plain(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        return classifier.answer(hashing.pack(hashing.modular_hash(x, key), key.parameters.k))

    return OwnModel(
        mode=mode,
        input_shape=(key.parameters.inputs,),
        parts=parts,
        plain=plain,
        security=SECURITY,
        classes=tuple(str(label) for label in classifier.classes_),
        batch=64,
        key_bytes=key_file.stat().st_size,
    )


def asked_shape(terms: Terms) -> Shape:
    """Features, of which Alice's key says how many it takes; Bob's terms are about hashes."""
    return (None,)
