"""Decoders of :mod:`sotto.hashing`: messages, key files, classifier files and training hashes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from sotto import hashing
from sotto.hashing.classification.hash_set import HashSet
from sotto.hashing.errors import HashingError
from sotto.hashing.messages import Hello, Query, Ready, Reply
from sotto.hashing.smh.packing import PackedHashes
from sotto.link import Array, Link, LinkError, encode
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target, file_target, one_of
from tests.fuzz.decoders.scripts import Party, session_decoders

_INPUTS = 6
_MESSAGES = (Hello, Ready, Query, Reply)


@cache
def _made() -> tuple[hashing.HashKey, HashSet, hashing.HammingSVC]:
    random = np.random.default_rng(0)
    key = hashing.HashKey.generate(hashing.HashParameters(_INPUTS, k=3, delta=2.0, measurements_per_coefficient=8))
    labels = np.repeat([0, 1], 12)
    features = random.normal(size=(24, _INPUTS)) + 3 * labels[:, None]
    training = hashing.training_hashes(key, features, labels, classes=("calm", "angry"), speakers=["a", "b", "c"] * 8)
    classifier = hashing.HammingSVC().fit(training.hashes, training.labels, fingerprint=training.fingerprint)
    return key, training, classifier


def _messages() -> Target:
    key, _, classifier = _made()
    hashes = hashing.pack(hashing.modular_hash(np.zeros((2, _INPUTS)), key), 3)
    labels, scores = classifier.answer(hashes)
    seeds = [
        encode(Hello(1, 3, key.parameters.symbols, key.fingerprint, "class")), encode(Ready(1, ("calm", "angry"), 64)),
        encode(Query(1, 2, hashes.to_bytes())), encode(Reply(1, Array.of(labels), Array.of(scores))),
    ]  # fmt: skip

    def read(data: bytes) -> None:
        found = one_of(data, _MESSAGES)
        if isinstance(found, Query):
            PackedHashes.from_bytes(found.hashes, count=found.count, k=3, symbols=key.parameters.symbols)
        elif isinstance(found, Reply):
            found.labels.numpy(dtype=np.int64, shape=(2,))

    return Target(seeds, read, (LinkError, HashingError), _MESSAGES)


def _parties() -> Mapping[str, Party]:
    key, _, classifier = _made()
    features = np.random.default_rng(1).normal(size=(3, _INPUTS))

    def alice(links: Mapping[str, Link]) -> None:
        hashing.Alice(key, reveal="logits").ask(features, links["bob"])

    def bob(links: Mapping[str, Link]) -> None:
        hashing.Bob(classifier, reveal="logits").serve(links["alice"])

    return {"alice": alice, "bob": bob}


DECODERS: Decoders = {
    "hashing.messages": Decoder("alice or bob", _messages),
    "hashing.key_file": Decoder("a key file", lambda: file_target(_made()[0].save, hashing.HashKey.load, HashingError)),
    "hashing.classifier_file": Decoder(
        "a classifier file", lambda: file_target(_made()[2].save, hashing.HammingSVC.load, HashingError)
    ),
    "hashing.training_file": Decoder(
        "a file of training hashes", lambda: file_target(_made()[1].save, HashSet.load, HashingError)
    ),
    **session_decoders("hashing", _parties, HashingError),
}
