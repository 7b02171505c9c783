"""Decoders of :mod:`sotto.he`: messages, and the C++ libraries' ciphertexts and keys.

Keys are megabytes and are checked by SEAL coefficient by coefficient, so fewer of them are tried in a second.  Beside
bent valid inputs there are valid ones of the wrong kind: of other parameters, or with a secret key inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Literal, get_args

import msgspec
import numpy as np
import tenseal as ts
import torch
from torch import nn

from sotto import he
from sotto.he.evaluation.contexts import load_vector, public_context, public_material, secret_context
from sotto.he.evaluation.evaluation_keys import SecretKeys, load_keys
from sotto.he.messages import (
    VERSION,
    AnyDescription,
    Description,
    Hello,
    Keys,
    Mode,
    Published,
    Query,
    Ready,
    Reply,
    TensorDescription,
    open_query,
)
from sotto.he.network.parameters import Parameters
from sotto.he.network.schedule import Modulus, seal_context
from sotto.he.sealing import load_ciphertext
from sotto.he.session_secrets import make_secrets
from sotto.link import FrameError, Link, LinkError, decode, encode
from sotto.models.networks.mlp import MLP
from sotto.models.networks.polynomial import PolynomialReLU
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target, one_of
from tests.fuzz.decoders.scripts import Party, honest, target_of

Kind = Mode | Literal["tensor"]  # mode packed with a convolution
_KINDS: tuple[Kind, ...] = (*get_args(Mode), "tensor")
_SMALL = Modulus(8192, (40, 40))
_TENSEAL = Parameters(8192, (60,), 1, 40, 60)
_STEPS = (1, 2)


@cache
def _bob(mode: Kind) -> he.Bob:
    """A Bob with a small network, its model loaded; sessions are begun anew."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if mode == "tensor":
            layers = nn.Conv1d(1, 2, 3, padding=1), PolynomialReLU(2), nn.Flatten(), nn.Linear(12, 3)
            return he.Bob(nn.Sequential(*layers), input_shape=(1, 6), timeout=20)
        module = MLP(6, (5, 4), 3, "poly2")
        module.train()
        for _ in range(10):
            module(torch.rand(64, 6) * 2 - 1)
    return he.Bob(module.eval(), mode=mode, timeout=20, threads=1)


def _small_messages() -> Target:
    seeds = [
        encode(Hello(VERSION)), encode(Keys(VERSION, 1 << 20)), encode(Ready(VERSION)),
        encode(Reply(VERSION, bytes(100))), encode(Query(VERSION, True, (bytes(100), bytes(50)))),
    ]  # fmt: skip

    def read(data: bytes) -> None:
        try:
            one_of(data, (Hello, Keys, Ready, Reply))
        except FrameError:
            open_query(data, 80)
            raise

    return Target(seeds, read, messages=(Hello, Keys, Ready, Reply, Query))


def _descriptions() -> Target:
    """What Bob publishes, checked as Alice does before she makes keys; no keys are made here."""

    def read(data: bytes) -> None:
        described: AnyDescription = decode(data, Published).model
        if isinstance(described, Description):
            _ = described.parameters().parms_id
        else:
            seal_context(described.modulus())
            if isinstance(described, TensorDescription):
                described.layout.layout()
        _ = described.key_bytes

    return Target([encode(Published(_bob(mode).description)) for mode in _KINDS], read, messages=(Published,))


def _seal_keys() -> Target:
    """Public material of the hand-packed modes, with all that can be in it and with what one program needs."""
    keys = SecretKeys(_SMALL)
    seeds = [keys.public_material(_STEPS, public_key=True), keys.public_material((), public_key=False)]
    seeds.append(SecretKeys(Modulus(8192, (40, 30, 40))).public_material(_STEPS, public_key=True))

    def read(data: bytes) -> None:
        try:
            load_keys(_SMALL, data, _STEPS, public_key=True)
        except FrameError:
            load_keys(_SMALL, data, (), public_key=False)

    return Target(seeds, read)


def _seal_ciphertexts() -> Target:
    import tenseal.sealapi as seal

    context = seal_context(_SMALL)
    keys, encoder, plaintext = SecretKeys(_SMALL), seal.CKKSEncoder(context), seal.Plaintext()
    encoder.encode([0.5, 0.25], 2.0**30, plaintext)
    other = Modulus(8192, (40, 30, 40))
    theirs = seal.Plaintext()
    seal.CKKSEncoder(seal_context(other)).encode([0.5], 2.0**30, theirs)
    seeds = [keys.encrypt(plaintext), SecretKeys(other).encrypt(theirs)]

    def read(data: bytes) -> None:
        keys.decrypt(load_ciphertext(context, data, level=_SMALL.top, scale=2.0**30))

    return Target(seeds, read)


def _tenseal_keys() -> Target:
    own = secret_context(_TENSEAL, threads=1)
    other = secret_context(Parameters(16384, (60,), 2, 40, 60), threads=1)
    integers = ts.context(ts.SCHEME_TYPE.BFV, 4096, plain_modulus=1032193)
    seeds = [
        public_material(own), public_material(other), own.serialize(save_secret_key=True),
        own.serialize(save_galois_keys=False), own.serialize(save_galois_keys=False, save_relin_keys=False),
        integers.serialize(save_secret_key=False),
    ]  # fmt: skip
    return Target(seeds, lambda data: public_context(data, _TENSEAL, threads=1))


def _tenseal_vectors() -> Target:
    context = secret_context(_TENSEAL, threads=1)
    seeds = [ts.ckks_vector(context, [0.5] * size).serialize() for size in (6, 5)]

    def read(data: bytes) -> None:
        load_vector(context, data, size=6, primes=2, scale=2.0**40).decrypt()

    return Target(seeds, read)


def _evaluated(mode: Kind) -> Target:
    """A ciphertext that Bob loads and computes with."""
    bob = _bob(mode)
    secrets = make_secrets(bob.description, 1)
    evaluator = bob.open(secrets.public_material())
    vectors = np.random.default_rng(0).uniform(-1, 1, (2, 6))
    seeds = [ciphertext for _, ciphertext in zip(range(3), secrets.encrypt(vectors), strict=False)]

    def read(data: bytes) -> None:
        evaluator.take(data)

    return Target(seeds, read)


def _decrypted(mode: Kind) -> Target:
    """Answers that Alice loads and decrypts."""
    bob = _bob(mode)
    secrets = make_secrets(bob.description, 1)
    evaluator = bob.open(secrets.public_material())
    vectors = np.random.default_rng(0).uniform(-1, 1, (1, 6))
    replies = [reply for ciphertext in secrets.encrypt(vectors) for reply in evaluator.take(ciphertext)]

    def read(data: bytes) -> None:
        try:
            found = msgspec.msgpack.decode(data, type=list[bytes])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found = [data]
        if len(found) != len(replies):
            found = [*found, *replies][: len(replies)]
        secrets.decrypt(found, 1)

    return Target([msgspec.msgpack.encode(replies), *replies], read)


def _parties(mode: Kind) -> Mapping[str, Party]:
    features = np.random.default_rng(0).uniform(-1, 1, (2, 6)).astype(np.float32)

    def alice(links: Mapping[str, Link]) -> None:
        he.Alice(timeout=20, threads=1, key_limit=1 << 27).ask(features, links["bob"])

    def bob(links: Mapping[str, Link]) -> None:
        _bob(mode).serve(links["alice"])

    return {"alice": alice, "bob": bob}


@cache
def _recorded(mode: Kind) -> dict[str, bytes]:
    return honest(_parties(mode))


def _session(mode: Kind, role: str) -> Target:
    target = target_of(role, _parties(mode), _recorded(mode), (LinkError,))

    def read(data: bytes) -> None:
        try:
            target.decode(data)
        except ValueError as error:
            if "features are" not in str(error):  # a description with other inputs: Alice sees it before she asks
                raise

    return replace(target, decode=read)


_SESSIONS: tuple[Kind, ...] = ("packed", "batched", "tensor")

DECODERS: Decoders = {
    "he.small": Decoder("alice or bob", _small_messages),
    "he.description": Decoder("bob", _descriptions, growth_mb=512),
    "he.keys.seal": Decoder("alice", _seal_keys, growth_mb=256),
    "he.ciphertext.seal": Decoder("alice or bob", _seal_ciphertexts, growth_mb=128),
    "he.keys.tenseal": Decoder("alice", _tenseal_keys, growth_mb=512),
    "he.ciphertext.tenseal": Decoder("alice or bob", _tenseal_vectors, growth_mb=128),
    **{f"he.query.{mode}": Decoder("alice", partial(_evaluated, mode), growth_mb=256) for mode in _KINDS},
    **{f"he.answer.{mode}": Decoder("bob", partial(_decrypted, mode), growth_mb=128) for mode in _KINDS},
    **{
        f"he.session.{mode}.{role}": Decoder(
            "the other party",
            partial(_session, mode, role),
            growth_mb=768,
        )
        for mode in _SESSIONS
        for role in ("alice", "bob")
    },
}
