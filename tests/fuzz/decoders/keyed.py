"""Decoders of :mod:`sotto.keyed` and of the model files that every paradigm loads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sotto import keyed
from sotto.keyed.encryption.key_file import load_key
from sotto.keyed.encryption.keys import KeyType
from sotto.keyed.encryption.model_file import load_encrypted_model
from sotto.keyed.errors import KeyedError
from sotto.keyed.messages import VERSION, Hello, Query, Ready, Reply
from sotto.link import Array, Link, encode
from sotto.models import ModelError, ModelRecord, load, save
from sotto.models.networks.mlp import MLP
from sotto.models.networks.patch_cnn import WavePatchCNN
from sotto.models.normalisation import Normalisation
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target, file_target, one_of
from tests.fuzz.decoders.scripts import Party, session_decoders

_ARGUMENTS: dict[str, Any] = {"classes": 4, "channels": 4, "width": 6, "block_size": 10}
_CLASSES = ("a", "b", "c", "d")
_MESSAGES = (Hello, Ready, Query, Reply)


@cache
def _key(kind: KeyType = "rom") -> keyed.Key:
    return keyed.generate_key(kind, 10, 1)


@cache
def _module() -> WavePatchCNN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WavePatchCNN(**_ARGUMENTS).eval()


def _features() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(2, 400)).astype(np.float32)


def _messages() -> Target:
    speech, labels = np.zeros((1, 100), np.float32), np.zeros(1, np.int64)
    seeds = [
        encode(Hello(VERSION, _key().fingerprint)), encode(Ready(VERSION)), encode(Query(Array.of(speech), "logits")),
        encode(Reply(Array.of(labels), Array.of(np.zeros((1, 4), np.float32)))),
    ]  # fmt: skip

    return Target(seeds, lambda data: one_of(data, _MESSAGES), messages=_MESSAGES)


def _key_file(kind: KeyType) -> Target:
    return file_target(lambda path: keyed.save_key(path, _key(kind)), load_key, KeyedError)


def _encrypted_model() -> Target:
    record = ModelRecord(architecture="wave-patch-cnn", arguments=_ARGUMENTS, classes=_CLASSES)

    def write(path: Path) -> None:
        keyed.save_encrypted_model(path, _module(), _key(), record, example=torch.from_numpy(_features()))

    return file_target(write, load_encrypted_model, KeyedError, ModelError)


def _plain_model() -> Target:
    statistics = Normalisation(np.zeros(6, np.float32), np.ones(6, np.float32), "standard", None)
    arguments: dict[str, Any] = {"inputs": 6, "hidden": (5,), "classes": 4, "activation": "poly2"}
    record = ModelRecord(
        architecture="mlp", arguments=arguments, classes=_CLASSES, normalisation=statistics, scores={"accuracy": 0.5}
    )
    return file_target(lambda path: save(path, MLP(**arguments), record), load, ModelError)


def _parties() -> Mapping[str, Party]:
    features = _features()
    encrypted = keyed.encrypt_model(_module(), _key(), example=torch.from_numpy(features))

    def alice(links: Mapping[str, Link]) -> None:
        keyed.Alice(_key(), reveal="logits").ask(features, links["bob"])

    def bob(links: Mapping[str, Link]) -> None:
        keyed.Bob(encrypted, fingerprint=_key().fingerprint, reveal="logits").serve(links["alice"])

    return {"alice": alice, "bob": bob}


_KINDS: tuple[KeyType, ...] = ("shuffling", "flipping", "rom")

DECODERS: Decoders = {
    "keyed.messages": Decoder("alice or bob", _messages),
    **{f"keyed.key_file.{kind}": Decoder("a key file", partial(_key_file, kind)) for kind in _KINDS},
    "keyed.model_file": Decoder("a file of an encrypted model", _encrypted_model),
    "models.model_file": Decoder("a model file", _plain_model),
    **session_decoders("keyed", _parties),
}
