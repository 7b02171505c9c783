"""`keyed` with a user's own network: any whose first convolution reads blocks, encrypted here for a key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sotto import keyed
from sotto.bench.own_model import Given, NotRunnable, OwnModel, Shape, chosen_mode, example_shape, network
from sotto.bench.parties.party import PartySpec
from sotto.keyed import parties
from sotto.keyed.experiment import SECURITY
from sotto.link import Link
from sotto.models.learning.training import predict
from sotto.models.shipped import Shipped
from sotto.serving.folders import KEY_FILE
from sotto.serving.reveal import Reveal
from sotto.serving.terms import Terms

MODES = ("rom", "shuffling", "flipping")


def own(model: Any, given: Given) -> OwnModel:
    """Encrypt the network here; Bob's process gets the encrypted one, Alice's the key's file.

    Without a key one is made: of the kind that ``mode`` names, for the blocks of the first convolution.
    """
    module, record = network(model)
    shape = example_shape(given, record)
    key = given.key
    if isinstance(key, str | Path):
        key = keyed.load_key(key)
    if record is not None and record.encrypted_for:
        raise NotRunnable(
            "encrypted-already",
            "this model file is encrypted already: give the plain one, it is encrypted here for the key",
        )
    if key is None:
        key = _new_key(module, chosen_mode(MODES, given.mode))
    elif not isinstance(key, keyed.Key):
        raise NotRunnable("wrong-key", f"key= is a sotto.keyed.Key or its file, not a {type(key).__name__}")
    elif given.mode not in ("", key.kind):
        raise NotRunnable(
            "mode-mismatch", f"the key is a {key.kind} key, and mode says '{given.mode[:40]}': leave mode out"
        )
    encrypted = Shipped.of(keyed.encrypt_model(module, key, example=_typical(shape)))
    key_file = given.folder / KEY_FILE
    keyed.save_key(key_file, key)

    def parts(reveal: Reveal) -> Mapping[str, PartySpec]:
        return {
            "alice": PartySpec(parties.alice, {"key": str(key_file), "reveal": reveal}),
            "bob": PartySpec(_bob, {"model": encrypted, "fingerprint": key.fingerprint, "reveal": reveal}),
        }

    return OwnModel(
        mode=key.kind,
        input_shape=shape,
        parts=parts,
        plain=lambda x: ((scores := predict(module, x)).argmax(1), scores),
        security=SECURITY,
        classes=record.classes if record else (),
        batch=32,
        key_bytes=key_file.stat().st_size,
    )


def asked_shape(terms: Terms) -> Shape:
    """The network's."""
    return terms.input_shape


def _new_key(module: nn.Module, kind: str) -> keyed.Key:
    layer = cast(nn.Conv1d | nn.Conv2d, module.get_submodule(keyed.find_first_convolution(module)))
    return keyed.generate_key(cast(keyed.KeyType, kind), layer.kernel_size[0], len(layer.kernel_size))


def _typical(shape: tuple[int, ...]) -> Tensor:
    """A chirp in the shape of one example, with a batch axis: what the encrypted model is compared on."""
    time = torch.arange(math.prod(shape), dtype=torch.float32)
    return torch.sin(0.1 * time + 1e-3 * time * time).reshape(1, *shape)


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> keyed.Bob:
    return keyed.Bob(job["model"].module(), fingerprint=job["fingerprint"], reveal=job["reveal"])
