"""Decoders of :mod:`sotto.mpc`: messages, correlated randomness, the dealer's stock on disk, and whole sessions."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sotto import mpc
from sotto.link import FrameError, Link, LinkError, decode, encode, pair
from sotto.mpc.dealing.stock import Stock
from sotto.mpc.errors import MpcError, PlanError
from sotto.mpc.fss.comparison_gate import unpack
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import VERSION, Hello, Join, Mode, Query, RangesMessage, Terms, require_party, require_same
from sotto.mpc.ot.extension import receiver_of, sender_of
from sotto.mpc.ot.ferret import SilentReceiver, SilentSender, Size
from sotto.mpc.ot.sparse_code import Noise
from sotto.mpc.protocols import pieces
from sotto.mpc.protocols.malicious import preprocessing as malicious_preprocessing
from sotto.mpc.protocols.semi_honest import preprocessing as semi_honest_preprocessing
from sotto.mpc.two_party.gates import bit_packing
from sotto.mpc.two_party.linear_layers.bfv import DEGREE, AliceKey, BobEvaluator, Parameters, Scheme
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target
from tests.fuzz.decoders.scripts import Party, honest, target_of

OURS: tuple[Mode, ...] = ("semi-honest", "malicious")
WITHOUT_DEALER: tuple[Mode, ...] = ("two-party",)
_SHAPE = (3, 6)
_MOST_ELEMENTS = 1 << 16  # of networks that are compiled and dealt for here: larger ones are legal and only slow


def network() -> nn.Module:
    """A small network with every kind of step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 2, 1), nn.AvgPool1d(3),
            nn.Flatten(), nn.Linear(2, 3), nn.Tanh(), nn.LayerNorm(3),
        ).eval()  # fmt: skip


@cache
def _encrypted() -> tuple[AliceKey, BobEvaluator]:
    """Both sides of an encrypted product; what they hold may be used for any number of inputs."""
    scheme = Scheme(Parameters(46, False))
    key = AliceKey(scheme)
    return key, BobEvaluator(scheme, key.encrypt_zero())


def _fresh_ciphertexts() -> Target:
    """Alice's ciphertexts, as Bob loads them into SEAL."""
    key, evaluator = _encrypted()
    seeds = [key.encrypt_zero(), key.encrypt(np.arange(DEGREE, dtype=np.uint64))]
    return Target(seeds, evaluator.load)


def _answers() -> Target:
    """Bob's answers, as Alice decrypts them."""
    key, evaluator = _encrypted()
    places = np.arange(0, DEGREE, 64)
    seeds = [evaluator.answer([], places)[0] for _ in range(2)]
    return Target(seeds, lambda data: key.decrypt(data, places))


def _trees() -> Target:
    """What the sender of a silent extension sends, as the receiver takes it; each input meets a fresh state."""
    size = Size(Noise(96, 10))
    blocks = np.frombuffer(secrets.token_bytes(16 * size.base), np.uint64).reshape(-1, 2)
    choices = np.zeros(size.base, np.uint8)
    message, _ = SilentSender.of(blocks[0], blocks, b"", size).extend()
    return Target([message], lambda data: SilentReceiver.of(choices, blocks, b"", size).extend(data))


def _transfers() -> Target:
    """What the receiver of an extension sends, as the sender takes it; each input meets a fresh state."""
    keys = np.frombuffer(secrets.token_bytes(32 * 128), np.uint8).reshape(128, 2, 16)
    choices = np.unpackbits(np.frombuffer(secrets.token_bytes(16), np.uint8))
    receiver, message = receiver_of(keys, 8, bytes(16))

    def read(data: bytes) -> None:
        sender_of(choices, keys[np.arange(128), choices], 8, message, bytes(16)).extend(512, data)

    return Target([receiver.extend(512)[0], message], read)


def _packed_words() -> Target:
    return Target([bytes(24), b"\xff" * 24, b""], lambda data: bit_packing.unpack(data, 4, 46))


@cache
def _bob(mode: Mode) -> mpc.Bob:
    return mpc.Bob(network(), pair()[0], input_shape=_SHAPE, mode=mode, reveal="logits")


@cache
def _terms() -> Terms:
    return _bob("malicious").terms()


@cache
def _program() -> Program:
    return compile_program(_terms().plan, _terms().ranges, "class")


def _small_messages() -> Target:
    """Greetings and announcements, whose fields are checked as their receivers do."""
    seeds = [
        encode(Hello(VERSION, "malicious", "class")), encode(Query(3)), encode(Join(VERSION, "malicious", 1)),
        encode(RangesMessage(_terms().ranges)),
    ]  # fmt: skip

    def read(data: bytes) -> None:
        found: list[Any] = []
        for kind in (Hello, Query, Join, RangesMessage):
            try:
                found.append(decode(data, kind))
            except FrameError as error:
                refused = error
        if not found:
            raise refused
        for message in found:
            if isinstance(message, Hello):
                require_same(message.version, message.mode, "malicious", "alice")
            elif isinstance(message, Query):
                _terms().plan.require_batch(message.examples)
            elif isinstance(message, RangesMessage):
                compile_program(_terms().plan, message.bits, "class")
        require_party(bytearray(data), 1, "malicious")

    return Target(seeds, read, (LinkError, PlanError), (Hello, Query, Join, RangesMessage))


def _terms_message() -> Target:
    """What a party tells the dealer, compiled as he does; and the plan alone, as Alice gets it."""

    def read(data: bytes) -> None:
        try:
            plan, terms = decode(data, ModelPlan), None
        except FrameError:
            terms = decode(data, Terms)
            plan = terms.plan
        plan.shapes()
        plan.require_batch(1)
        if terms is not None:
            compile_program(terms.plan, terms.ranges, terms.reveal)

    return Target([encode(_terms()), encode(_terms().plan)], read, (LinkError, PlanError), (Terms, ModelPlan))


def _bundle(mode: Mode, party: int) -> Target:
    program = _program()
    if mode == "semi-honest":
        masks = semi_honest_preprocessing.weight_masks(
            program, secrets.token_bytes(semi_honest_preprocessing.SEED_BYTES)
        )
        pairs = [semi_honest_preprocessing.make_bundle(program, examples, 0, masks) for examples in (1, 2)]
        read = semi_honest_preprocessing.read_bundle
        return Target([each[party] for each in pairs], lambda data: read(program, 1, party, data))
    secret = malicious_preprocessing.SessionSecret.of(secrets.token_bytes(32))
    masks = malicious_preprocessing.weight_masks(program, secret)
    opening = pieces.whole(malicious_preprocessing.session_pieces(program, secret))
    bundles = [malicious_preprocessing.make_bundle(program, examples, 0, secret, masks)[party] for examples in (1, 2)]

    def read_either(data: bytes) -> None:
        try:
            malicious_preprocessing.read_bundle(program, 1, party, data)
        except FrameError:
            list(malicious_preprocessing.read_session(program, party, data)[1])

    return Target([*bundles, opening[party]], read_either)


def _bits() -> Target:
    return Target([bytes(2), b"\xff\xe0", b""], lambda data: unpack(data, 11))


def _stock_files() -> Target:
    """The files of a dealing in the dealer's stock, changed by somebody who may write to the disk."""
    folder = Path(tempfile.mkdtemp(prefix="sotto-fuzz-")) / "stock"
    Stock(folder).fill(_terms(), "malicious")
    (dealing,) = folder.glob("*.ready")
    files = {path.name: path.read_bytes() for path in dealing.iterdir()}

    def read(data: bytes) -> None:
        dealing.mkdir(exist_ok=True, mode=0o700)
        for name, content in files.items():
            (dealing / name).write_bytes(content)
        (dealing / ("session" if len(data) % 2 else "0")).write_bytes(data)
        stock = Stock(folder)
        claimed = stock.claim(_terms(), "malicious")
        if claimed:
            try:
                claimed.take(1)
            finally:
                claimed.close()

    return Target(list(files.values()), read, (MpcError,))


def _parties(mode: Mode) -> Mapping[str, Party]:
    """Each party as a function of its links."""
    features = np.random.default_rng(0).uniform(-1, 1, (2, *_SHAPE)).astype(np.float32)

    def alice(links: Mapping[str, Link]) -> None:
        asker = mpc.Alice(links.get("dealer"), mode=mode)
        plan = asker.plan
        asker.prepare(links["bob"])
        plan = asker.plan
        # A peer may describe any network within the limits; what it costs is then Alice's choice.
        if plan is not None and max(np.prod(shape) for shape in plan.shapes()) <= _MOST_ELEMENTS:
            shape = plan.input_shape
            asker.ask(features if shape == _SHAPE else np.zeros((1, *shape), np.float32), links["bob"])

    def bob(links: Mapping[str, Link]) -> None:
        mpc.Bob(network(), links.get("dealer"), input_shape=_SHAPE, mode=mode, reveal="logits").serve(links["alice"])

    def dealer(links: Mapping[str, Link]) -> None:
        mpc.Dealer(mode=mode).serve(links["alice"], links["bob"])

    return {"alice": alice, "bob": bob} | ({} if mode in WITHOUT_DEALER else {"dealer": dealer})


@cache
def _recorded(mode: Mode) -> dict[str, bytes]:
    return honest(_parties(mode))


def _session(mode: Mode, role: str) -> Target:
    return target_of(role, _parties(mode), _recorded(mode), (LinkError, MpcError))


DECODERS: Decoders = {
    "mpc.small": Decoder("alice, bob or the dealer", _small_messages),
    "mpc.terms": Decoder("bob; alice or bob to the dealer", _terms_message),
    "mpc.bits": Decoder("alice or bob", _bits),
    "mpc.stock": Decoder("whoever may write to the dealer's disk", _stock_files),
    **{
        f"mpc.bundle.{mode}.{role}": Decoder("the dealer", partial(_bundle, mode, party))
        for mode in OURS
        for party, role in enumerate(("alice", "bob"))
    },
    **{
        f"mpc.session.{mode}.{role}": Decoder(
            "both other parties",
            partial(_session, mode, role),
            growth_mb=256,
        )
        for mode in OURS
        for role in ("alice", "bob", "dealer")
    },
    "mpc.ciphertexts": Decoder("alice", _fresh_ciphertexts),
    "mpc.answers": Decoder("bob", _answers),
    "mpc.transfers": Decoder("alice or bob", _transfers),
    "mpc.trees": Decoder("alice or bob", _trees),
    "mpc.packed": Decoder("alice or bob", _packed_words),
    **{
        f"mpc.session.{mode}.{role}": Decoder("the other party", partial(_session, mode, role), growth_mb=256)
        for mode in WITHOUT_DEALER
        for role in ("alice", "bob")
    },
}
