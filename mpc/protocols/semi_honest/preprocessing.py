"""The correlated randomness of one query in mode ``semi-honest``: how the dealer makes it and a party reads it.

A *bundle* belongs to a program and a number of examples and serves one query, once.  Alice is sent a 32-byte seed and
the comparison keys' correction words; everything else of hers comes out of the seed.  Bob is sent a seed of his own,
the same correction words, and the corrections that make his words fit to hers.  The layout follows from the program
alone, so a bundle of any other size is refused.

    product       lambda (Alice), lambda_W * lambda = s_0 + s_1          lambda_W: Bob's, once per session
    masking one   s_0 and s_1 out of the streams: s_0 + s_1 - lambda_W * lambda is the mask r of the gate that reads it
    comparison    r = r_0 + r_1; shares of the words of :func:`sotto.mpc.fss.comparison_gate.correlated`; the bits e;
                  two keys; where :mod:`sotto.mpc.fss.digits` suits, its words, its shorter keys, and tables
    truncation    r = r_0 + r_1; shares of its words
    two secrets   both masks as sums of both streams; shares of their product
    winner        r = r_0 + r_1; halves of delta; shares of delta where the sign bit of r is 0; keys with tags
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sotto.link.secret_stream import SecretStream
from sotto.mpc.fss import comparison_gate, dcf, digits
from sotto.mpc.fss.comparison_gate import Bits
from sotto.mpc.graph.layers import Constant, Shape
from sotto.mpc.graph.program import (
    Compare,
    Product,
    Program,
    PublicProduct,
    SecretProduct,
    SecretTensor,
    Step,
    Truncate,
    Winner,
)
from sotto.mpc.protocols import pieces, secret_product
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import WORD_BYTES, Words

SEED_BYTES = 32
KEY_BYTES = 16


class Stream:
    """Uniform words and bits from a seed, in the order in which they are asked for."""

    def __init__(self, seed: bytes, purpose: str) -> None:
        self._stream = SecretStream(f"mpc {purpose}", seed)

    def words(self, *shape: int) -> Words:
        return np.frombuffer(self._stream.bytes(WORD_BYTES * math.prod(shape)), np.uint64).reshape(shape)

    def bits(self, count: int) -> Bits:
        return self._stream.bits(count)


@dataclass(frozen=True, repr=False)
class ProductShare:
    """Of a product: ``output`` (n, *out) is the share of lambda_W * lambda; ``mask`` (n, *in) is lambda, Alice's."""

    output: Words
    mask: Words | None


@dataclass(frozen=True, repr=False)
class GateShare:
    """Of a gate over N elements: ``words`` (rows, N), ``r`` (N,) unless its input is masked already
    (:attr:`sotto.mpc.graph.program.Program.masking`) and, to compare, ``e`` (N,) and the key.

    In digits ``e`` is (5 · N,), and there are ``tables`` (N, words), and no key where every digit has one.  For the
    winner ``words`` (N, 2) is the share of delta where the sign bit of r is 0, ``root`` (2,) the half of delta.
    """

    r: Words | None
    words: Words
    e: Bits | None = None
    root: Words | None = None
    corrections: Words | None = None
    tables: Words | None = None


@dataclass(frozen=True, repr=False)
class SecretProductShare:
    """Of a product of two secrets: the factors' ``masks`` (n, *shape) and the masks' ``product`` (n, *out)."""

    masks: tuple[Words, Words]
    product: Words


@dataclass(frozen=True, repr=False)
class Bundle:
    """One party's part: shares by the register that a step writes.  ``key``: the public key of the comparisons' AES."""

    number: int
    examples: int
    key: bytes
    products: Mapping[int, ProductShare]
    gates: Mapping[int, GateShare]
    pairs: Mapping[int, SecretProductShare]


def weight_masks(program: Program, seed: bytes) -> dict[int, Words]:
    """lambda_W of every product, by its register; Bob and the dealer draw them from the session's seed."""
    stream = Stream(seed, "weight masks")
    return {step.out: stream.words(*weight_shape(step)) for step in program.products}


def bundle_bytes(program: Program, examples: int, party: int) -> int:
    """Exact size of a bundle on the wire."""
    public, private = KEY_BYTES, 0
    for step in program.steps:
        count = _count(step, examples)
        if isinstance(step, Product | SecretProduct) and step.out not in program.masking:
            private += count * WORD_BYTES
        elif isinstance(step, Compare | Truncate):
            private += _rows(step) * count * WORD_BYTES
        if isinstance(step, Compare):
            public += _planes(step) * count * 2 * WORD_BYTES
        if isinstance(step, Winner):
            private += count * 2 * WORD_BYTES
        if isinstance(step, Compare) and digits.suits(step):
            private += count * digits.table_words(step) * WORD_BYTES
    return WORD_BYTES + SEED_BYTES + public + (private if party else 0)


def make_bundle(program: Program, examples: int, number: int, masks: Mapping[int, Words]) -> tuple[bytes, bytes]:
    """A fresh bundle as bytes for Alice and for Bob; ``masks`` are the session's :func:`weight_masks`."""
    return pieces.whole(make_pieces(program, examples, number, masks))


def make_pieces(
    program: Program, examples: int, number: int, masks: Mapping[int, Words]
) -> Iterator[tuple[int, bytes]]:
    """The same (party, piece) by piece: no more is held than a step needs, and what waits for a piece to be full."""
    seeds = [secrets.token_bytes(SEED_BYTES) for _ in range(2)]
    alice, bob = (Stream(seed, f"bundle {number}") for seed in seeds)
    key = secrets.token_bytes(KEY_BYTES)
    public = pieces.Boxes()
    private = public.each[1]
    for box, seed in zip(public.each, seeds, strict=True):
        box.append(np.frombuffer(number.to_bytes(WORD_BYTES, "little") + seed + key, np.uint64))
    masking: dict[int, Words] = {}  # r of the gate that reads a product

    def mask_of(step: Compare | Truncate) -> Words:
        if step.sources[0] in program.masking:
            return masking.pop(step.sources[0])
        count = _count(step, examples)
        return alice.words(count) + bob.words(count)

    for step in program.steps:
        yield from public.full()
        count = _count(step, examples)
        if isinstance(step, Product):
            mask = alice.words(examples, *step.input_shape)
            product, share = ring.product(step.layer, masks[step.out], mask), alice.words(examples, *step.shape)
            if step.out in program.masking:
                masking[step.out] = (share + bob.words(*share.shape) - product).ravel()
            else:
                private.append(product - share)
        elif isinstance(step, SecretProduct):
            pair = [alice.words(examples, *shape) + bob.words(examples, *shape) for shape in step.opened]
            masked = secret_product.product(step.layer, pair[0], pair[-1])
            private.append(masked - alice.words(examples, *step.shape))
        elif isinstance(step, Truncate):
            private.append(
                comparison_gate.correlated(step, mask_of(step)) - alice.words(comparison_gate.rows(step), count)
            )
        elif isinstance(step, Winner):
            r, deltas = mask_of(step), np.stack([_half_of_delta(alice, 0), _half_of_delta(bob, 1)])
            not_negative = (comparison_gate.sign_bits(step, r) ^ np.uint8(1)).astype(np.uint64)
            private.append(not_negative[:, None] * (deltas[0] ^ deltas[1]) ^ alice.words(count, 2))
            public.append(dcf.generate_tags(comparison_gate.compared(step, r), step.depth, deltas, key, step.out))
        elif isinstance(step, Compare) and digits.suits(step):
            r, (words, e, roots) = mask_of(step), _compare_secret(step, count, alice, bob)
            private.append(digits.correlated(step, r, e, words))
            private.append(digits.tables(step, r, alice.words(count, digits.table_words(step))))
            if digits.keyed(step):
                public.append(dcf.generate_bits(digits.high(step, r), digits.high_bits(step), roots, key, step.out))
        elif isinstance(step, Compare):
            r, (words, e, roots) = mask_of(step), _compare_secret(step, count, alice, bob)
            private.append(comparison_gate.correlated(step, r, e) - words)
            public.append(dcf.generate_bits(comparison_gate.compared(step, r), step.depth, roots, key, step.out))
    yield from public.full()
    yield from public.rest()


def _compare_secret(step: Compare, count: int, alice: Stream, bob: Stream) -> tuple[Words, Bits, Words]:
    """Alice's words, e and both roots, drawn as the parties draw them."""
    lanes, roots = _bits(step, count), (count if _planes(step) else 0, 2)
    e0, root0, words = alice.bits(lanes), alice.words(*roots), alice.words(_rows(step), count)
    e1, root1 = bob.bits(lanes), bob.words(*roots)
    return words, e0 ^ e1, np.stack([root0, root1])


def read_bundle(
    program: Program, examples: int, party: int, data: bytes | bytearray | Iterable[bytes | bytearray]
) -> Bundle:
    """A party's shares out of what the dealer sent, in one or in pieces.  Raises :class:`sotto.link.FrameError` for
    another size."""
    reader = pieces.Reader(data)
    number = int(reader.take(1)[0])
    own = Stream(reader.take(SEED_BYTES // WORD_BYTES).tobytes(), f"bundle {number}")
    key = reader.take(KEY_BYTES // WORD_BYTES).tobytes()
    private = reader  # what is no key is Bob's alone
    products: dict[int, ProductShare] = {}
    gates: dict[int, GateShare] = {}
    pairs: dict[int, SecretProductShare] = {}
    for step in program.steps:
        count = _count(step, examples)
        if isinstance(step, Product):
            mask = None if party else own.words(examples, *step.input_shape)
            drawn = not party or step.out in program.masking
            output = (own.words if drawn else private.take)(examples, *step.shape)
            products[step.out] = ProductShare(output, mask)
        elif isinstance(step, SecretProduct):
            masks = [own.words(examples, *shape) for shape in step.opened]
            masked = (private.take if party else own.words)(examples, *step.shape)
            pairs[step.out] = SecretProductShare((masks[0], masks[-1]), masked)
        elif isinstance(step, Truncate):
            r = None if step.sources[0] in program.masking else own.words(count)
            gates[step.out] = GateShare(r, (private.take if party else own.words)(comparison_gate.rows(step), count))
        elif isinstance(step, Winner):
            r, delta = own.words(count), _half_of_delta(own, party)
            words = (private.take if party else own.words)(count, 2)
            gates[step.out] = GateShare(r, words, None, delta, reader.take(_planes(step), count, 2))
        elif isinstance(step, Compare):
            r = None if step.sources[0] in program.masking else own.words(count)
            e, planes = own.bits(_bits(step, count)), _planes(step)
            root = own.words(count if planes else 0, 2)
            draw = private.take if party else own.words
            words = draw(_rows(step), count)
            tables = draw(count, digits.table_words(step)) if digits.suits(step) else None
            gates[step.out] = GateShare(r, words, e, root, reader.take(planes, count, 2), tables)
    reader.end()
    return Bundle(number, examples, key, products, gates, pairs)


def _planes(step: Compare) -> int:
    if isinstance(step, Winner):
        return dcf.tag_planes(step.depth)
    if digits.suits(step):
        return dcf.bit_planes(digits.high_bits(step)) if digits.keyed(step) else 0
    return dcf.bit_planes(step.depth)


def _rows(step: Compare | Truncate) -> int:
    return digits.rows(step) if isinstance(step, Compare) and digits.suits(step) else comparison_gate.rows(step)


def _bits(step: Compare, count: int) -> int:
    """How many bits are opened."""
    return count * (digits.OPENED if digits.suits(step) else len(step.thresholds))


def _half_of_delta(stream: Stream, party: int) -> Words:
    """A uniform block (2,) but for its lowest bit, by which both halves differ."""
    half = stream.words(2).copy()
    half[0] = half[0] & ~np.uint64(1) | np.uint64(party)
    return half


def _count(step: Step, examples: int) -> int:
    return examples * math.prod(step.shape)


def weight_shape(step: Product | SecretTensor | PublicProduct) -> Shape:
    """Shape of a step's multiplier; a tensor that stands alone multiplies nothing."""
    if isinstance(step.layer, Constant):
        return (0,)
    parameters = step.layer.parameters
    return parameters["weight"] if "weight" in parameters else parameters["scale"]


def bias_shape(step: Product | SecretTensor | PublicProduct) -> Shape:
    """Shape of what a step adds; a tensor that stands alone is added to nothing."""
    parameters = step.layer.parameters
    return parameters.get("value", parameters.get("bias", parameters.get("shift", ())))
