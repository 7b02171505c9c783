"""Folders of small untrained models, so that services start without any training."""

from __future__ import annotations

import torch

from sotto.models import ModelRecord, save
from sotto.models.architectures import build
from sotto.models.learning.recipes import DEPINTO

CLASSES = ("calm", "angry", "sad")
FEATURES = (40,)
ARGUMENTS = {"inputs": FEATURES[0], "hidden": (24,), "classes": len(CLASSES)}  # a query costs little to deal for


def mpc_folders(folder):
    """Bob's and Alice's folders for `mpc`."""
    bob, alice = folder / "bob", folder / "alice"
    alice.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build("mlp", ARGUMENTS)
    record = ModelRecord(
        architecture="mlp", arguments=ARGUMENTS, classes=CLASSES, features=DEPINTO.features.to_record()
    )
    save(bob / "model.safetensors", module.eval(), record)
    return bob, alice
