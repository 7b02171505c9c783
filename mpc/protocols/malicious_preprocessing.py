"""The correlated randomness of one query in mode ``malicious``: authenticated shares, keys with tags, an output mask.

As in :mod:`sotto.mpc.protocols.semi_honest_preprocessing` Alice's part is a seed and the keys' correction words (and
the two masks she must know in clear); Bob's holds the corrections that make his shares fit to hers.  The dealer draws
and the parties read in one order, which :class:`DealerStream` and :class:`PartyStream` share: a *random* value is the
sum of both parties' streams, so that only its tag needs a correction; a *derived* one has its low half corrected too.

    input         lambda, in clear to Alice
    product       lambda of its input, unless that is the masked input itself;  lambda_W * lambda
    comparison    r; the words of :func:`sotto.mpc.fss.comparison.correlated`; e as bits with tags; keys' corrections
    truncation    r; its words
    two secrets   both masks; their product
    output        lambda_a in clear to Alice, lambda_b in clear to Bob with a one-time authenticator for Alice
    winner        instead of an output: r; e; keys' corrections; two labels of each comparison to Bob, and to Alice the
                  hashes of :mod:`sotto.mpc.protocols.winner`
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.poly1305 import Poly1305

from sotto.link import FrameError
from sotto.mpc.fss import comparison, dcf
from sotto.mpc.graph.program import Compare, Product, Program, SecretProduct, Step, Truncate, Winner
from sotto.mpc.protocols import pieces, secret_product, winner
from sotto.mpc.protocols.semi_honest_preprocessing import (
    KEY_BYTES,
    SEED_BYTES,
    Stream,
    bias_shape,
    weight_shape,
)
from sotto.mpc.sharing import ring, uint128
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.ring import WORD_BYTES, Words
from sotto.mpc.sharing.uint128 import Planes

TAG_BYTES = 16
_MAC_KEY_BYTES = 32
_HEAD = WORD_BYTES + SEED_BYTES + KEY_BYTES


class DealerStream:
    """The dealer's stream in the making: both parties' streams, and what must be sent beside the seeds."""

    def __init__(self, alpha: int, seeds: tuple[bytes, bytes], purpose: str) -> None:
        self.alice, self.bob = (Stream(seed, purpose) for seed in seeds)
        self._alpha = uint128.of_integer(alpha)
        self.for_both = pieces.Boxes()
        self.for_alice, self.for_bob = self.for_both.each

    def random(self, *shape: int) -> Words:
        """A uniform value of which nobody else knows more than his share; its words."""
        first, second = self.alice.words(4, *shape), self.bob.words(2, *shape)
        value = uint128.add(first[:2], second)
        self._tag(value, first[2:])
        return value[0]

    def derived(self, words: Words) -> None:
        """Shares of ``words``; what stands above them in the sum is random."""
        first, above = self.alice.words(4, *words.shape), self.bob.words(*words.shape)
        self.for_bob.append(words - first[0])
        self._tag(uint128.add(first[:2], np.stack([self.for_bob[-1], above])), first[2:])

    def _tag(self, value: Planes, first: Planes) -> None:
        alpha = np.broadcast_to(self._alpha.reshape(2, *(1,) * (value.ndim - 1)), value.shape)
        tag = uint128.scale(value, alpha[0])
        tag[1:] += value[:1] * alpha[1:]  # alpha has up to 65 bits
        self.for_bob.append(uint128.subtract(tag, first))


class PartyStream:
    """One party's side of a :class:`DealerStream`: its stream, and for Bob the corrections in order."""

    def __init__(self, party: int, seed: bytes, purpose: str, corrections: pieces.Reader) -> None:
        self.party = party
        self.keystream = Stream(seed, purpose)
        self._corrections = corrections

    def random(self, *shape: int) -> Authenticated:
        if self.party == 0:
            return Authenticated(self.keystream.words(4, *shape))
        return Authenticated(np.concatenate([self.keystream.words(2, *shape), self._corrections.take(2, *shape)]))

    def derived(self, *shape: int) -> Authenticated:
        if self.party == 0:
            return Authenticated(self.keystream.words(4, *shape))
        above, value, tag = (
            self.keystream.words(1, *shape),
            self._corrections.take(1, *shape),
            self._corrections.take(2, *shape),
        )
        return Authenticated(np.concatenate([value, above, tag]))


@dataclass(frozen=True, repr=False)
class SessionSecret:
    """What the dealer holds for a session: keys of both parties, and the seeds of the shares of the weights' masks."""

    keys: tuple[Keys, Keys]
    seeds: tuple[bytes, bytes]

    @classmethod
    def of(cls, secret: bytes) -> SessionSecret:
        stream = Stream(secret, "malicious session")
        alphas, deltas = stream.words(2), stream.words(2, 2)
        deltas = deltas.copy()
        deltas[1, 0] = deltas[1, 0] & ~np.uint64(1) | (~deltas[0, 0] & np.uint64(1))  # the key's lowest bit is 1
        keys = (Keys(0, int(alphas[0]), deltas[0]), Keys(1, int(alphas[1]), deltas[1]))
        seeds = tuple(stream.words(SEED_BYTES // WORD_BYTES).tobytes() for _ in range(2))
        return cls(keys, (seeds[0], seeds[1]))

    @property
    def alpha(self) -> int:
        return self.keys[0].alpha + self.keys[1].alpha

    @property
    def deltas(self) -> Words:
        """Both halves (2, 2)."""
        return np.stack([each.delta for each in self.keys])

    @property
    def delta(self) -> Words:
        return self.keys[0].delta ^ self.keys[1].delta


@dataclass(frozen=True, repr=False)
class WeightShares:
    """A party's shares of the masks of weights and biases by register; Bob also has them in ``clear``."""

    weights: Mapping[int, Authenticated]
    biases: Mapping[int, Authenticated]
    clear: tuple[dict[int, Words], dict[int, Words]] | None


def session_bytes(program: Program, party: int) -> int:
    """Size of what a party is sent once per session."""
    words = sum(math.prod(weight_shape(step)) + math.prod(bias_shape(step)) for step in program.owned)
    return SEED_BYTES + 3 * WORD_BYTES + (words * 3 * WORD_BYTES if party else 0)


def deal_session(program: Program, secret: SessionSecret) -> tuple[tuple[bytes, bytes], dict[int, Words]]:
    """What Alice and Bob are sent, and the masks of the weights by register."""
    stream = DealerStream(secret.alpha, secret.seeds, "weights")
    masks, clear = {}, []
    for step in program.owned:
        masks[step.out] = stream.random(*weight_shape(step))
        clear += [masks[step.out], stream.random(*bias_shape(step))]
    heads = [
        seed + keys.alpha.to_bytes(WORD_BYTES, "little") + keys.delta.tobytes()
        for seed, keys in zip(secret.seeds, secret.keys, strict=True)
    ]
    return (heads[0], b"".join([heads[1], *(array.data for array in (*stream.for_bob, *clear))])), masks


def read_session(program: Program, party: int, data: bytes | bytearray) -> tuple[Keys, WeightShares]:
    """A party's keys and shares out of what the dealer sent.  Raises :class:`FrameError` for another size."""
    if len(data) != session_bytes(program, party):
        raise FrameError(
            "wrong-length", "the dealer's keys do not fit the network: start all three with one model and release"
        )
    body = memoryview(data)
    alpha = int.from_bytes(body[SEED_BYTES : SEED_BYTES + WORD_BYTES], "little")
    reader = pieces.Reader(body[SEED_BYTES + WORD_BYTES :])
    keys = Keys(party, alpha, reader.take(2))
    stream = PartyStream(party, bytes(body[:SEED_BYTES]), "weights", reader)
    weights, biases = {}, {}
    for step in program.owned:
        weights[step.out] = stream.random(*weight_shape(step))
        biases[step.out] = stream.random(*bias_shape(step))
    if not party:
        return keys, WeightShares(weights, biases, None)
    clear: tuple[dict[int, Words], dict[int, Words]] = ({}, {})
    for step in program.owned:
        clear[0][step.out], clear[1][step.out] = reader.take(*weight_shape(step)), reader.take(*bias_shape(step))
    return keys, WeightShares(weights, biases, clear)


@dataclass(frozen=True, repr=False)
class ProductShare:
    """``mask`` of the product's input and ``output``, lambda_W times it."""

    mask: Authenticated
    output: Authenticated


@dataclass(frozen=True, repr=False)
class GateShare:
    """``r`` (N,), ``words`` (rows, N) and, to compare with K thresholds, ``e`` (K · N, 2) with tags and the key's
    ``corrections``."""

    r: Authenticated
    words: Authenticated
    e: Words | None = None
    corrections: Words | None = None


@dataclass(frozen=True, repr=False)
class SecretProductShare:
    """Of a product of two secrets: the factors' ``masks`` (n, *shape) and the masks' ``product`` (n, *out)."""

    masks: tuple[Authenticated, Authenticated]
    product: Authenticated


@dataclass(frozen=True, repr=False)
class OutputShare:
    """The output's two masks; ``clear`` is the own one; Bob's ``tag`` proves his to Alice, who has the ``key``."""

    masks: tuple[Authenticated, Authenticated]
    clear: Words
    key: bytes
    tag: bytes


@dataclass(frozen=True, repr=False)
class WinnerShare:
    """Bob's ``labels`` (n, pairs, 2, 2), or the hashes of each that Alice has and her ``targets``."""

    labels: Words | None
    label_hashes: bytes
    targets: bytes


@dataclass(frozen=True, repr=False)
class Bundle:
    """One party's part of the randomness of one query.  ``input_clear`` is Alice's."""

    number: int
    examples: int
    key: bytes
    input: Authenticated
    input_clear: Words | None
    products: Mapping[int, ProductShare]
    gates: Mapping[int, GateShare]
    pairs: Mapping[int, SecretProductShare]
    output: OutputShare | None
    winner: WinnerShare | None

    @property
    def place(self) -> bytes:
        """Names the bundle in what is hashed; the key is drawn anew for each."""
        return place_of(self.number, self.key)


def place_of(number: int, key: bytes) -> bytes:
    """Names bundle ``number`` in what is hashed."""
    return number.to_bytes(WORD_BYTES, "little") + key


def bundle_bytes(program: Program, examples: int, party: int) -> int:
    """Exact size of a bundle on the wire."""
    public, corrections = 0, 0
    inputs, outputs = examples * math.prod(program.plan.input_shape), examples * math.prod(program.output_shape)
    for step in program.steps:
        count = _count(step, examples)
        if isinstance(step, Product):
            fresh = step.sources[0] not in program.masked
            corrections += 3 * count + (2 * examples * math.prod(step.input_shape) if fresh else 0)
        elif isinstance(step, SecretProduct):
            corrections += 3 * count + 2 * examples * sum(math.prod(shape) for shape in step.opened)
        elif isinstance(step, Compare | Truncate):
            corrections += 2 * count + 3 * comparison.rows(step) * count
        if isinstance(step, Compare):
            public += dcf.tag_planes(step.depth) * count * 2
            corrections += 2 * count * len(step.thresholds)
    tag = 0 if program.winner else TAG_BYTES
    if party:
        private = (corrections + 2 * inputs + 4 * outputs + outputs) * WORD_BYTES + tag
    else:
        private = (inputs + outputs) * WORD_BYTES
        if program.winner:
            hashes = 2 * _count(program.winner, examples) + program.winner.classes * examples
            private += hashes * winner.HASH_BYTES
    return _HEAD + public * WORD_BYTES + private


def make_bundle(
    program: Program, examples: int, number: int, secret: SessionSecret, masks: Mapping[int, Words]
) -> tuple[bytes, bytes]:
    """A fresh bundle as bytes for Alice and for Bob; ``masks`` are the weights' of :func:`deal_session`."""
    return pieces.whole(make_pieces(program, examples, number, secret, masks))


def make_pieces(
    program: Program, examples: int, number: int, secret: SessionSecret, masks: Mapping[int, Words]
) -> Iterator[tuple[int, bytes]]:
    """The same (party, piece) by piece: no more is held than a step needs, and what waits for a piece to be full."""
    seeds = (secrets.token_bytes(SEED_BYTES), secrets.token_bytes(SEED_BYTES))
    key = secrets.token_bytes(KEY_BYTES)
    own = Stream(secrets.token_bytes(SEED_BYTES), "dealer")
    stream = DealerStream(secret.alpha, seeds, f"bundle {number}")
    public = stream.for_both
    for box, seed in zip(public.each, seeds, strict=True):
        box.append(np.frombuffer(number.to_bytes(WORD_BYTES, "little") + seed + key, np.uint64))
    given = stream.random(examples, *program.plan.input_shape)
    stream.for_alice.append(given)
    for step in program.steps:
        yield from public.full()
        count = _count(step, examples)
        if isinstance(step, Product):
            fresh = step.sources[0] not in program.masked
            mask = stream.random(examples, *step.input_shape) if fresh else given.reshape(examples, *step.input_shape)
            stream.derived(ring.product(step.layer, masks[step.out], mask))
        elif isinstance(step, SecretProduct):
            pair = [stream.random(examples, *shape) for shape in step.opened]
            stream.derived(secret_product.product(step.layer, pair[0], pair[-1]))
        elif isinstance(step, Truncate):
            stream.derived(comparison.correlated(step, stream.random(count)))
        elif isinstance(step, Winner):
            r, e = stream.random(count), own.bits(count)
            public.append(_compare_bits(step, stream, r, e, secret, key))
            labels = stream.bob.words(examples, *step.shape, 2, winner.LABEL_WORDS)
            d, place = e ^ comparison.sign_bits(step, r) ^ np.uint8(1), place_of(number, key)
            targets = winner.label_targets(step.classes, place, labels, d.reshape(examples, *step.shape))
            stream.for_alice.append(np.frombuffer(winner.label_hashes(place, labels) + targets, np.uint64))
        elif isinstance(step, Compare):
            lanes = count * len(step.thresholds)
            r, e = stream.random(count), own.bits(lanes)
            stream.derived(comparison.correlated(step, r, e))
            public.append(_compare_bits(step, stream, r, e, secret, key))
    if not program.winner:
        _mask_output(stream, examples, program.output_shape)
    yield from public.full()
    yield from public.rest()


def _compare_bits(
    step: Compare, stream: DealerStream, r: Words, e: comparison.Bits, secret: SessionSecret, key: bytes
) -> Words:
    """Share the bits ``e`` with tags; the keys' corrections."""
    tags = e.astype(np.uint64)[:, None] * secret.delta
    stream.for_bob.append(tags ^ stream.alice.words(len(e), 2))
    return dcf.generate_tags(comparison.compared(step, r), step.depth, secret.deltas, key, step.out)


def _mask_output(stream: DealerStream, examples: int, shape: tuple[int, ...]) -> None:
    """Both masks; Bob's with the proof of it, as he is to send them."""
    stream.for_alice.append(stream.random(examples, *shape))
    bobs = stream.random(examples, *shape).tobytes()
    authenticator = stream.alice.words(_MAC_KEY_BYTES // WORD_BYTES).tobytes()
    stream.for_bob.append(np.frombuffer(bobs + Poly1305.generate_tag(authenticator, bobs), np.uint64))


def read_bundle(
    program: Program, examples: int, party: int, data: bytes | bytearray | Iterable[bytes | bytearray]
) -> Bundle:
    """A party's shares out of what the dealer sent, in one or in pieces.  Raises :class:`FrameError` for another
    size."""
    reader = pieces.Reader(data)
    number = int(reader.take(1)[0])
    seed, key = (reader.take(size // WORD_BYTES).tobytes() for size in (SEED_BYTES, KEY_BYTES))
    shape = (examples, *program.plan.input_shape)
    input_clear = None if party else reader.take(*shape)
    stream = PartyStream(party, seed, f"bundle {number}", reader)
    given = stream.random(*shape)
    products, gates, pairs, told = {}, {}, {}, None
    for step in program.steps:
        count = _count(step, examples)
        if isinstance(step, Product):
            products[step.out] = _product_share(program, step, examples, stream, given)
        elif isinstance(step, SecretProduct):
            masks = [stream.random(examples, *shape) for shape in step.opened]
            pairs[step.out] = SecretProductShare((masks[0], masks[-1]), stream.derived(examples, *step.shape))
        elif isinstance(step, Truncate):
            r = stream.random(count)
            gates[step.out] = GateShare(r, stream.derived(comparison.rows(step), count))
        elif isinstance(step, Winner):
            r = stream.random(count)
            e = reader.take(count, 2) if party else stream.keystream.words(count, 2)
            corrections = reader.take(dcf.tag_planes(step.depth), count, 2)
            gates[step.out] = GateShare(r, Authenticated(np.empty((4, 0, count), np.uint64)), e, corrections)
            told = _winner_share(step, examples, stream, reader)
        elif isinstance(step, Compare):
            r, words = stream.random(count), stream.derived(comparison.rows(step), count)
            lanes = count * len(step.thresholds)
            e = reader.take(lanes, 2) if party else stream.keystream.words(lanes, 2)
            gates[step.out] = GateShare(r, words, e, reader.take(dcf.tag_planes(step.depth), count, 2))
    output = None if told else _output_share(stream, examples, program.output_shape, reader)
    reader.end()
    return Bundle(number, examples, key, given, input_clear, products, gates, pairs, output, told)


def _output_share(stream: PartyStream, examples: int, shape: tuple[int, ...], reader: pieces.Reader) -> OutputShare:
    masks = stream.random(examples, *shape), stream.random(examples, *shape)
    authenticator = b"" if stream.party else stream.keystream.words(_MAC_KEY_BYTES // WORD_BYTES).tobytes()
    clear = reader.take(examples, *shape)
    tag = reader.take(TAG_BYTES // WORD_BYTES).tobytes() if stream.party else b""
    return OutputShare(masks, clear, authenticator, tag)


def _winner_share(step: Winner, examples: int, stream: PartyStream, reader: pieces.Reader) -> WinnerShare:
    if stream.party:
        return WinnerShare(stream.keystream.words(examples, *step.shape, 2, winner.LABEL_WORDS), b"", b"")
    words = winner.HASH_BYTES // WORD_BYTES
    hashes = reader.take(examples, *step.shape, 2, words).tobytes()
    return WinnerShare(None, hashes, reader.take(examples, step.classes, words).tobytes())


def _product_share(
    program: Program, step: Product, examples: int, stream: PartyStream, given: Authenticated
) -> ProductShare:
    shape = (examples, *step.input_shape)
    masked = step.sources[0] in program.masked
    mask = Authenticated(given.planes.reshape(4, *shape)) if masked else stream.random(*shape)
    return ProductShare(mask, stream.derived(examples, *step.shape))


def _count(step: Step, examples: int) -> int:
    return examples * math.prod(step.shape)
