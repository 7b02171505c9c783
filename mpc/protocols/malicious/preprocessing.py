"""The correlated randomness of one query in mode ``malicious``: authenticated shares, keys with tags, an output mask.

As in :mod:`sotto.mpc.protocols.semi_honest.preprocessing` Alice's part is a seed and the keys' correction words (and
the two masks she must know in clear); Bob's holds the corrections that make his shares fit to hers.  The dealer draws
and the parties read in one order, which :class:`DealerStream` and :class:`PartyStream` share: a *random* value is the
sum of both parties' streams, so that only its tag needs a correction; a *derived* one has its low half corrected too;
an *owned* one, of which there are the masks of the weights, is Bob's stream alone.

    input         lambda, in clear to Alice
    product       lambda of its input, unless that is the masked input itself;  lambda_W * lambda
    masking one   instead of that product a random value, which less the product is the mask r of the gate that reads it
    comparison    r; the words of :func:`sotto.mpc.fss.comparison_gate.correlated`; e as bits with tags; keys'
                  corrections
    truncation    r; its words
    two secrets   both masks; their product
    output        lambda_a in clear to Alice, lambda_b in clear to Bob with a one-time authenticator for Alice
    winner        instead of an output: r; e; keys' corrections; two labels of each comparison to Bob, and to Alice the
                  hashes of :mod:`sotto.mpc.protocols.winner`

A long bundle is dealt and read in segments (:mod:`sotto.mpc.protocols.malicious.segments`).
"""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.poly1305 import Poly1305

from sotto.mpc.fss import comparison_gate, dcf
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.program import Compare, Product, Program, SecretProduct, Step, Truncate, Winner
from sotto.mpc.protocols import pieces, secret_product, winner
from sotto.mpc.protocols.dealing import Piece
from sotto.mpc.protocols.malicious.segments import ALICE, BOB, TAG_BYTES, count_of, segments
from sotto.mpc.protocols.semi_honest.preprocessing import (
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

_MAC_KEY_BYTES = 32


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

    def owned(self, *shape: int) -> Words:
        """A uniform value that is Bob's alone to know: his share is the value, Alice's is zero; its words."""
        first, value = self.alice.words(2, *shape), self.bob.words(2, *shape)
        self._tag(value, first)
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
        self.corrections = corrections

    def random(self, *shape: int) -> Authenticated:
        if self.party == 0:
            return Authenticated(self.keystream.words(4, *shape))
        return Authenticated(np.concatenate([self.keystream.words(2, *shape), self.corrections.take(2, *shape)]))

    def owned(self, *shape: int) -> Authenticated:
        own = self.keystream.words(2, *shape)
        return Authenticated(
            np.concatenate([np.zeros_like(own), own] if self.party == 0 else [own, self.corrections.take(2, *shape)])
        )

    def derived(self, *shape: int) -> Authenticated:
        if self.party == 0:
            return Authenticated(self.keystream.words(4, *shape))
        above, value, tag = (
            self.keystream.words(1, *shape),
            self.corrections.take(1, *shape),
            self.corrections.take(2, *shape),
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
class TensorShare:
    """A party's share of the mask of a tensor of Bob's: zero at Alice; at Bob the mask itself, of which he needs the
    words in ``clear``."""

    mask: Authenticated
    clear: Words | None


def tensor_shapes(program: Program) -> list[Shape]:
    """Of Bob's tensors: of each step that owns some the multiplier's, then the bias's."""
    return [shape for step in program.owned for shape in (weight_shape(step), bias_shape(step))]


def session_bytes(program: Program, party: int) -> int:
    """Size of what a party is sent once per session."""
    words = sum(map(math.prod, tensor_shapes(program)))
    return SEED_BYTES + 3 * WORD_BYTES + (words * 2 * WORD_BYTES if party else 0)


def weight_masks(program: Program, secret: SessionSecret) -> dict[int, Words]:
    """The masks of the weights by register, drawn as :func:`session_pieces` draws them."""
    bob = Stream(secret.seeds[BOB], "weights")
    drawn = [bob.words(2, *shape)[0] for shape in tensor_shapes(program)]
    return {step.out: mask for step, mask in zip(program.owned, drawn[::2], strict=True)}


def session_pieces(program: Program, secret: SessionSecret) -> Iterator[Piece]:
    """What Alice and Bob are sent; Alice's comes first, as she needs it while Bob, reading his, opens his weights."""
    stream = DealerStream(secret.alpha, secret.seeds, "weights")
    for box, seed, keys in zip(stream.for_both.each, secret.seeds, secret.keys, strict=True):
        head = seed + keys.alpha.to_bytes(WORD_BYTES, "little") + keys.delta.tobytes()
        box.append(np.frombuffer(head, np.uint64))
    yield ALICE, stream.for_alice.taken()
    for shape in tensor_shapes(program):
        stream.owned(*shape)
        if stream.for_bob.size >= pieces.PIECE_BYTES:
            yield BOB, stream.for_bob.taken()
    if stream.for_bob.size:
        yield BOB, stream.for_bob.taken()


def read_session(
    program: Program, party: int, data: pieces.Buffer | Iterable[pieces.Buffer]
) -> tuple[Keys, Iterator[TensorShare]]:
    """A party's keys, and its shares tensor by tensor, out of what the dealer sent.

    Raises :class:`sotto.link.FrameError` for another size, at the latest at the last tensor's end.
    """
    reader = pieces.Reader(data)
    seed = reader.take(SEED_BYTES // WORD_BYTES).tobytes()
    alpha = int(reader.take(1)[0])
    keys = Keys(party, alpha, reader.take(2))

    def tensors() -> Iterator[TensorShare]:
        stream = PartyStream(party, seed, "weights", reader)
        for shape in tensor_shapes(program):
            mask = stream.owned(*shape)
            yield TensorShare(mask, mask.words if party else None)
        reader.end()

    return keys, tensors()


@dataclass(frozen=True, repr=False)
class ProductShare:
    """``mask`` of the product's input and ``output``, lambda_W times it or, of a masking one, a random value."""

    mask: Authenticated
    output: Authenticated


@dataclass(frozen=True, repr=False)
class GateShare:
    """``words`` (rows, N), ``r`` (N,) unless the gate's input is masked already and, to compare with K thresholds,
    ``e`` (K · N, 2) with tags and the key's ``corrections``."""

    r: Authenticated | None
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


@dataclass(repr=False)
class Bundle:
    """One party's part of the randomness of one query, of a long one what came last.  ``input_clear`` is Alice's."""

    number: int
    examples: int
    key: bytes
    input: Authenticated
    input_clear: Words | None
    products: Mapping[int, ProductShare] = field(default_factory=dict)
    gates: Mapping[int, GateShare] = field(default_factory=dict)
    pairs: Mapping[int, SecretProductShare] = field(default_factory=dict)
    output: OutputShare | None = None
    winner: WinnerShare | None = None

    @property
    def place(self) -> bytes:
        """Names the bundle in what is hashed; the key is drawn anew for each."""
        return place_of(self.number, self.key)


def place_of(number: int, key: bytes) -> bytes:
    """Names bundle ``number`` in what is hashed."""
    return number.to_bytes(WORD_BYTES, "little") + key


def make_bundle(
    program: Program, examples: int, number: int, secret: SessionSecret, masks: Mapping[int, Words]
) -> tuple[bytes, bytes]:
    """A fresh bundle as bytes for Alice and for Bob; ``masks`` are :func:`weight_masks`'s."""
    return pieces.whole(itertools.chain.from_iterable(make_segments(program, examples, number, secret, masks)))


def make_segments(
    program: Program, examples: int, number: int, secret: SessionSecret, masks: Mapping[int, Words]
) -> Iterator[Iterator[Piece]]:
    """The same by segment and (party, piece), each segment to be exhausted before the next: no more is held than a step
    needs, and what waits for a piece to be full."""
    seeds = (secrets.token_bytes(SEED_BYTES), secrets.token_bytes(SEED_BYTES))
    key = secrets.token_bytes(KEY_BYTES)
    own = Stream(secrets.token_bytes(SEED_BYTES), "dealer")
    stream = DealerStream(secret.alpha, seeds, f"bundle {number}")
    for box, seed in zip(stream.for_both.each, seeds, strict=True):
        box.append(np.frombuffer(number.to_bytes(WORD_BYTES, "little") + seed + key, np.uint64))
    given = stream.random(examples, *program.plan.input_shape)
    stream.for_alice.append(given)

    masking: dict[int, Words] = {}  # r of the gate that reads a product

    def segment(steps: tuple[Step, ...], last: bool) -> Iterator[Piece]:
        for step in steps:
            yield from stream.for_both.full()
            if isinstance(step, Product):
                fresh = step.sources[0] not in program.masked
                shape = (examples, *step.input_shape)
                mask = stream.random(*shape) if fresh else given.reshape(shape)
                product = ring.product(step.layer, masks[step.out], mask)
                if step.out in program.masking:
                    masking[step.out] = (stream.random(*product.shape) - product).ravel()
                else:
                    stream.derived(product)
            else:
                _deal(step, examples, number, stream, own, secret, key, masking)
        if last and not program.winner:
            _mask_output(stream, examples, program.output_shape)
        yield from stream.for_both.full()
        yield from stream.for_both.rest()

    every = segments(program, examples)
    for place, steps in enumerate(every, 1):
        yield segment(steps, place == len(every))


def _deal(
    step: Step, examples: int, number: int, stream: DealerStream, own: Stream, secret: SessionSecret, key: bytes,
    masking: dict[int, Words],
) -> None:  # fmt: skip
    """What a step takes that is no product with weights; ``masking`` has the masks that are dealt already, by the
    register they mask."""
    public, count = stream.for_both, count_of(step, examples)

    def mask() -> Words:
        return masking.pop(step.sources[0]) if step.sources[0] in masking else stream.random(count)

    if isinstance(step, SecretProduct):
        pair = [stream.random(examples, *shape) for shape in step.opened]
        stream.derived(secret_product.product(step.layer, pair[0], pair[-1]))
    elif isinstance(step, Truncate):
        stream.derived(comparison_gate.correlated(step, mask()))
    elif isinstance(step, Winner):
        r, e = mask(), own.bits(count)
        public.append(_compare_bits(step, stream, r, e, secret, key))
        labels = stream.bob.words(examples, *step.shape, 2, winner.LABEL_WORDS)
        d, place = e ^ comparison_gate.sign_bits(step, r) ^ np.uint8(1), place_of(number, key)
        targets = winner.label_targets(step.classes, place, labels, d.reshape(examples, *step.shape))
        stream.for_alice.append(np.frombuffer(winner.label_hashes(place, labels) + targets, np.uint64))
    elif isinstance(step, Compare):
        r, e = mask(), own.bits(count * len(step.thresholds))
        stream.derived(comparison_gate.correlated(step, r, e))
        public.append(_compare_bits(step, stream, r, e, secret, key))


def _compare_bits(
    step: Compare, stream: DealerStream, r: Words, e: comparison_gate.Bits, secret: SessionSecret, key: bytes
) -> Words:
    """Share the bits ``e`` with tags; the keys' corrections."""
    tags = e.astype(np.uint64)[:, None] * secret.delta
    stream.for_bob.append(tags ^ stream.alice.words(len(e), 2))
    return dcf.generate_tags(comparison_gate.compared(step, r), step.depth, secret.deltas, key, step.out)


def _mask_output(stream: DealerStream, examples: int, shape: tuple[int, ...]) -> None:
    """Both masks; Bob's with the proof of it, as he is to send them."""
    stream.for_alice.append(stream.random(examples, *shape))
    bobs = stream.random(examples, *shape).tobytes()
    authenticator = stream.alice.words(_MAC_KEY_BYTES // WORD_BYTES).tobytes()
    stream.for_bob.append(np.frombuffer(bobs + Poly1305.generate_tag(authenticator, bobs), np.uint64))


def read_bundle(program: Program, examples: int, party: int, data: pieces.Buffer | Iterable[pieces.Buffer]) -> Bundle:
    """A party's shares out of what the dealer sent, in one segment.

    Raises :class:`sotto.link.FrameError` for another size.
    """
    (bundle,) = read_segments(program, examples, party, [data])
    return bundle


def read_segments(
    program: Program, examples: int, party: int, sent: Iterable[pieces.Buffer | Iterable[pieces.Buffer]]
) -> Iterator[Bundle]:
    """The bundle with what its first segment brought, then the same with each further one's instead."""
    bundle, stream = None, None
    every = segments(program, examples)
    for place, (steps, data) in enumerate(zip(every, sent, strict=True), 1):
        reader = pieces.Reader(data)
        if bundle is None or stream is None:
            bundle, stream = _read_head(program, examples, party, reader)
        stream.corrections = reader
        bundle.products, bundle.gates, bundle.pairs = {}, {}, {}  # first: both segments need not be held at once
        _read_steps(program, steps, bundle, stream)
        if place == len(every) and not program.winner:
            bundle.output = _output_share(stream, examples, program.output_shape, reader)
        reader.end()
        yield bundle


def _read_head(program: Program, examples: int, party: int, reader: pieces.Reader) -> tuple[Bundle, PartyStream]:
    number = int(reader.take(1)[0])
    seed, key = (reader.take(size // WORD_BYTES).tobytes() for size in (SEED_BYTES, KEY_BYTES))
    shape = (examples, *program.plan.input_shape)
    input_clear = None if party else reader.take(*shape)
    stream = PartyStream(party, seed, f"bundle {number}", reader)
    return Bundle(number, examples, key, stream.random(*shape), input_clear), stream


def _read_steps(program: Program, steps: tuple[Step, ...], bundle: Bundle, stream: PartyStream) -> None:
    party, examples, reader = stream.party, bundle.examples, stream.corrections
    products: dict[int, ProductShare] = {}
    gates: dict[int, GateShare] = {}
    pairs: dict[int, SecretProductShare] = {}
    for step in steps:
        count = count_of(step, examples)
        if isinstance(step, Product):
            products[step.out] = _product_share(program, step, examples, stream, bundle.input)
        elif isinstance(step, SecretProduct):
            masks = [stream.random(examples, *shape) for shape in step.opened]
            pairs[step.out] = SecretProductShare((masks[0], masks[-1]), stream.derived(examples, *step.shape))
        elif isinstance(step, Truncate):
            r = None if step.sources[0] in program.masking else stream.random(count)
            gates[step.out] = GateShare(r, stream.derived(comparison_gate.rows(step), count))
        elif isinstance(step, Winner):
            r = stream.random(count)
            e = reader.take(count, 2) if party else stream.keystream.words(count, 2)
            corrections = reader.take(dcf.tag_planes(step.depth), count, 2)
            gates[step.out] = GateShare(r, Authenticated(np.empty((4, 0, count), np.uint64)), e, corrections)
            bundle.winner = _winner_share(step, examples, stream, reader)
        elif isinstance(step, Compare):
            r = None if step.sources[0] in program.masking else stream.random(count)
            words = stream.derived(comparison_gate.rows(step), count)
            lanes = count * len(step.thresholds)
            e = reader.take(lanes, 2) if party else stream.keystream.words(lanes, 2)
            gates[step.out] = GateShare(r, words, e, reader.take(dcf.tag_planes(step.depth), count, 2))
    bundle.products, bundle.gates, bundle.pairs = products, gates, pairs


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
    draw = stream.random if step.out in program.masking else stream.derived
    return ProductShare(mask, draw(examples, *step.shape))
