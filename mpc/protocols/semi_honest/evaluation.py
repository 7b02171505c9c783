"""One query in mode ``semi-honest``: a program run on masked words, by Alice and by Bob.

A register is held as two words that add up to it modulo 2^64, one with Alice, one with Bob.  A product W x needs no
triple, because Bob knows W: Alice sends x_0 + lambda, her own mask; Bob multiplies Delta = x + lambda by W; and of
W lambda both hold shares since the offline phase (Delta_W = W + lambda_W is opened to Alice once per session, so
W lambda = Delta_W lambda - lambda_W lambda is hers to compute, up to shares of the last term, the dealer's).  Alice's
share of a product therefore does not depend on the query.  What follows from such *static* shares she tells Bob
offline, and a gate that reads a product costs one message from Bob, one exchange of bits, and her next masked word.

What crosses the link during a query, every word uniform and used once:

    Alice -> Bob    <product>.input      x_0 + lambda
    Bob -> Alice    <gate>.masked        c = y + r              (both ways, a share each, where y is not static)
    both            <gate>.sign          shares of one bit per comparison
    both            <times>.masked       x + lambda_x and y + lambda_y of a product of two secrets, a share each
    Bob -> Alice    output               his share of the logits, or of the index's bits only; of up to 16 classes
                                         the targets of :mod:`sotto.mpc.protocols.winner`, right behind its c
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np

from sotto.link import BadType, FrameError, Link, WrongState
from sotto.mpc.fss import comparison_gate, dcf, digits, spline
from sotto.mpc.fss.comparison_gate import Bits
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.layers import Constant, Linear
from sotto.mpc.graph.plan import Weights
from sotto.mpc.graph.program import (
    WORD_BITS,
    Compare,
    Product,
    Program,
    PublicProduct,
    SecretProduct,
    SecretTensor,
    Spline,
    Step,
    Truncate,
    Winner,
)
from sotto.mpc.protocols import secret_product, winner
from sotto.mpc.protocols.exact_messages import exchange_exactly, exchange_words, receive_words
from sotto.mpc.protocols.semi_honest.preprocessing import Bundle
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import WORD_BYTES, Words

_NUMBER_BYTES = 8


#: Multiplier and addend by the register of a step whose tensors everybody knows.
PublicTensors: TypeAlias = Mapping[int, tuple[Words, Words | None]]


class Evaluation(ABC):
    """One party's side of one query: made offline from a bundle, run once."""

    party: int

    def __init__(self, program: Program, bundle: Bundle, link: Link, tensors: PublicTensors) -> None:
        self._program = program
        self._tensors = tensors
        self._bundle = bundle
        self._link = link
        self._shares: dict[int, Words] = {}
        self._used = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._bundle.examples} examples>"

    def _run(self, inputs: Words) -> Words:
        """All steps; this party's share of the output register (n, *shape), the index's bits at the top, or its targets
        of the winner as words."""
        if self._used:
            raise WrongState("used-already", "this bundle was used already: one bundle serves one query")
        self._used = True
        shares = self._shares
        shares[0] = inputs
        for step in self._program.steps:
            if isinstance(step, Product):
                self._product(step, shares[step.sources[0]])
            elif isinstance(step, Winner):
                shares[step.out] = self._targets(step)
            elif isinstance(step, Compare):
                shares[step.out] = self._compare(step).reshape(-1, *step.shape)
            elif isinstance(step, Truncate):
                shares[step.out] = self._truncate(step).reshape(-1, *step.shape)
            elif isinstance(step, SecretProduct):
                shares[step.out] = self._secret_product(step)
            elif isinstance(step, PublicProduct):
                shares[step.out] = self._public_product(step)
            elif isinstance(step, SecretTensor):
                shares[step.out] = self._secret_tensor(step)
            elif step.out not in shares:
                shares[step.out] = self._local(step)
            for register in self._program.spent.get(step.out, ()):
                shares.pop(register, None)
        output = shares[self._program.output]
        bits = self._program.index_bits
        return output if bits is None else output << np.uint64(WORD_BITS - bits)

    def _local(self, step: Step) -> Words:
        return linear_steps.apply(step, [self._shares[source] for source in step.sources])

    def _secret_product(self, step: SecretProduct) -> Words:
        share = self._bundle.pairs[step.out]
        own = [self._shares[source] + mask for source, mask in zip(step.sources, share.masks, strict=True)]
        own = own[: len(step.opened)]
        sent = np.concatenate([words.ravel() for words in own])
        sums = sent + exchange_words(self._link, f"{step.name}.masked", sent)
        parts = np.split(sums, np.cumsum([words.size for words in own])[:-1])
        opened = [part.reshape(words.shape) for part, words in zip(parts, own, strict=True)]
        factors = (opened[0], opened[-1])
        return secret_product.combined(step, self.party, factors, share.masks, share.product)

    def _public_product(self, step: PublicProduct) -> Words:
        """The layer applied to the own share; what it adds is added by Bob."""
        multiplier, added = self._tensors[step.out]
        shape = (self._bundle.examples, *step.shape)
        if isinstance(step.layer, Constant):
            share = np.zeros(shape, np.uint64)
        else:
            share = ring.product(step.layer, multiplier, self._shares[step.sources[0]])
        return share if added is None or self.party == 0 else share + added

    def _compare(self, step: Compare) -> Words:
        share = self._bundle.gates[step.out]
        opened = self._open(step)
        if digits.suits(step):
            bits = self._opened_bits(step, self._digit_bits(step, opened))
            return digits.selected(step, self.party, opened, bits, share.r, share.words)
        bits = self._signs(step, opened)
        gate = spline if isinstance(step, Spline) else comparison_gate
        last = comparison_gate.last_row(step, share.r)
        return ring.weighted_sum(gate.factors(step, opened, bits), share.words, last, 1 - self.party)

    def _masked(self, step: Compare | Truncate, share: Words) -> Words:
        """A gate's input (N,) with the own share of its mask."""
        r = self._bundle.gates[step.out].r
        return share if r is None else share + r

    def _targets(self, step: Winner) -> Words:
        share, bundle, opened = self._bundle.gates[step.out], self._bundle, self._open(step)
        root, corrections = self._key(step)
        points = comparison_gate.compared(step, opened)
        beats = dcf.evaluate_tags(points, step.depth, root, corrections, bundle.key, step.out) ^ share.words
        beats ^= comparison_gate.sign_bits(step, opened).astype(np.uint64)[:, None] * root
        place = bundle.number.to_bytes(_NUMBER_BYTES, "little") + bundle.key
        hashes = winner.targets(step.classes, place, beats.reshape(bundle.examples, -1, 2), root)
        return np.frombuffer(hashes, np.uint64)

    def _truncate(self, step: Truncate) -> Words:
        factors = comparison_gate.factors(step, self._open(step))
        return ring.weighted_sum(factors, self._bundle.gates[step.out].words, None, 1 - self.party)

    def _signs(self, step: Compare, opened: Words) -> Bits:
        """The opened bits v of a comparison at the opened words, (N,) for each threshold in turn."""
        points = [comparison_gate.compared(step, opened, threshold) for threshold in step.thresholds]
        own, e = self._key_bits(step, points, step.depth)
        return self._opened_bits(step, (own[0] if len(own) == 1 else np.concatenate([e[:0], *own])) ^ e)

    def _digit_bits(self, step: Compare, opened: Words) -> Bits:
        """This party's shares of the five bits of each comparison."""
        tables, high = self._bundle.gates[step.out].tables, digits.high(step, opened)
        if tables is None:
            raise BadType("wrong-bundle", "the bundle holds no tables for this comparison")
        points = [high, high - np.uint64(1)] if digits.keyed(step) else []
        own, e = self._key_bits(step, points, digits.high_bits(step))
        return digits.shares_of_bits(step, self.party, opened, own, tables, e)

    def _key_bits(self, step: Compare, points: list[Words], depth: int) -> tuple[list[Bits], Bits]:
        """This party's shares of what a gate's key says of ``points``, and of the bits e that mask it."""
        (root, corrections), e = self._key(step), self._bundle.gates[step.out].e
        if e is None:
            raise BadType("wrong-bundle", "the bundle masks no bits of this comparison")
        key = self._bundle.key
        return [dcf.evaluate_bits(self.party, at, depth, root, corrections, key, step.out) for at in points], e

    def _key(self, step: Compare) -> tuple[Words, Words]:
        """A gate's root and corrections."""
        share = self._bundle.gates[step.out]
        if share.root is None or share.corrections is None:
            raise BadType("wrong-bundle", "the bundle holds no key for this comparison")
        return share.root, share.corrections

    def _opened_bits(self, step: Compare, bits: Bits) -> Bits:
        received = exchange_exactly(self._link, f"{step.name}.sign", comparison_gate.pack(bits))
        return bits ^ comparison_gate.unpack(received, len(bits))

    @abstractmethod
    def _product(self, step: Product, share: Words) -> None:
        """Open the input of ``step`` to Bob; its output's share."""

    @abstractmethod
    def _secret_tensor(self, step: SecretTensor) -> Words:
        """The share (n, *shape) of a tensor of Bob's."""

    @abstractmethod
    def _open(self, step: Compare | Truncate) -> Words:
        """c = y + r (N,) of a gate."""


class AliceEvaluation(Evaluation):
    """Alice's side.  ``opened_weights``: Delta_W of each product by register."""

    party = 0

    def __init__(
        self,
        program: Program,
        bundle: Bundle,
        link: Link,
        opened_weights: Mapping[int, Words],
        tensors: PublicTensors | None = None,
    ) -> None:
        super().__init__(program, bundle, link, tensors or {})
        masked = []
        for step in program.steps:
            if isinstance(step, Product):
                share = bundle.products[step.out]
                if share.mask is None:
                    raise BadType("wrong-bundle", "Alice's bundle holds no masks: is it Bob's?")
                self._shares[step.out] = share.output - ring.product(step.layer, opened_weights[step.out], share.mask)
            elif isinstance(step, SecretTensor):
                self._shares[step.out] = self._secret_tensor(step)
            elif isinstance(step, Compare | Truncate):
                if step.sources[0] in program.static:
                    masked.append(self._masked(step, self._shares[step.sources[0]].ravel()))
            elif step.out in program.static:
                self._shares[step.out] = self._local(step)
        words = np.concatenate(masked) if masked else np.empty(0, np.uint64)
        link.send("mpc.masked", bundle.number.to_bytes(_NUMBER_BYTES, "little") + words.tobytes())

    def run(self, inputs: Words | None) -> Words:
        """The online phase: inputs (n, *input_shape) to the output register (n, *shape), opened to Alice."""
        if inputs is None:
            raise BadType("no-inputs", "Alice asks with her inputs")
        own = self._run(inputs)
        theirs, told = receive_words(self._link, "output", *own.shape), self._program.winner
        if told:
            return winner.found(told.classes, own.tobytes(), theirs.tobytes())
        return own + theirs

    def _secret_tensor(self, step: SecretTensor) -> Words:
        return np.zeros((self._bundle.examples, *step.shape), np.uint64)

    def _product(self, step: Product, share: Words) -> None:
        mask = self._bundle.products[step.out].mask
        self._link.send(f"{step.name}.input", (share + mask).data)  # type: ignore[operator]

    def _open(self, step: Compare | Truncate) -> Words:
        name, source = f"{step.name}.masked", step.sources[0]
        if source in self._program.static:
            return receive_words(self._link, name, self._shares[source].size)
        own = self._masked(step, self._shares[source].ravel())
        return own + exchange_words(self._link, name, own)


class BobEvaluation(Evaluation):
    """Bob's side.  ``weights`` are his products' words by register, ``biases`` what they add."""

    party = 1

    def __init__(
        self,
        program: Program,
        bundle: Bundle,
        link: Link,
        weights: Mapping[int, Words],
        biases: Mapping[int, Words | None],
    ) -> None:
        super().__init__(
            program, bundle, link, {step.out: (weights[step.out], biases[step.out]) for step in program.public}
        )
        self._weights = weights
        self._added: dict[int, Words] = {}  # what is added to a product, or to a gate's input, known offline
        self._biases = biases
        for step in program.products:
            bias, share = biases[step.out], bundle.products[step.out].output
            self._added[step.out] = share if bias is None else share + bias
        self._receive_masked()

    def _receive_masked(self) -> None:
        """Alice's shares of the gates' openings that do not depend on the query."""
        program, bundle = self._program, self._bundle
        gates = [step for step in _gates(program) if step.sources[0] in program.static]
        counts = [bundle.examples * math.prod(step.shape) for step in gates]
        size = _NUMBER_BYTES + WORD_BYTES * sum(counts)
        payload = self._link.receive("mpc.masked", limit=size)
        if len(payload) != size or int.from_bytes(payload[:_NUMBER_BYTES], "little") != bundle.number:
            raise FrameError(
                "other-bundle", "alice prepared another bundle than the dealer sent: open new links and prepare again"
            )
        words = np.frombuffer(memoryview(payload)[_NUMBER_BYTES:], np.uint64)
        for step, count, end in zip(gates, counts, np.cumsum(counts), strict=True):
            self._added[step.out] = self._masked(step, words[end - count : end])

    def run(self, inputs: Words | None = None) -> None:
        """The online phase; Bob has no inputs, and what he receives is masked."""
        inputs = np.zeros((self._bundle.examples, *self._program.plan.input_shape), np.uint64)
        self._link.send("output", self._run(inputs).tobytes())

    def _local(self, step: Step) -> Words:
        share = super()._local(step)
        constant = linear_steps.constant(step)
        return share if constant is None else share + constant

    def _secret_tensor(self, step: SecretTensor) -> Words:
        words = self._biases[step.out]
        if words is None:
            raise BadType("no-tensor", "a tensor of Bob's own is missing")
        return np.ascontiguousarray(np.broadcast_to(words, (self._bundle.examples, *step.shape)))

    def _product(self, step: Product, share: Words) -> None:
        opened = share + receive_words(self._link, f"{step.name}.input", *share.shape)
        self._shares[step.out] = ring.product(step.layer, self._weights[step.out], opened) + self._added[step.out]

    def _open(self, step: Compare | Truncate) -> Words:
        name, share = f"{step.name}.masked", self._shares[step.sources[0]].ravel()
        if step.sources[0] in self._program.static:
            opened = share + self._added[step.out]
            self._link.send(name, opened.data)
            return opened
        own = self._masked(step, share)
        return own + exchange_words(self._link, name, own)


def weight_words(program: Program, weights: Weights) -> tuple[dict[int, Words], dict[int, Words | None]]:
    """Bob's weights and biases as words, by the register of their product."""
    multipliers: dict[int, Words] = {}
    biases: dict[int, Words | None] = {}
    for step in (*program.owned, *program.public):
        multipliers[step.out], biases[step.out] = words_of(program, step, weights)
    return multipliers, biases


def words_of(
    program: Program, step: Product | SecretTensor | PublicProduct, weights: Weights
) -> tuple[Words, Words | None]:
    """Multiplier and bias of one step as words; a tensor that stands alone is a bias."""
    own, fraction = weights[step.number], program.formats[step.out].fraction
    if isinstance(step.layer, Constant):
        return np.empty(0, np.uint64), ring.encode(own["value"], fraction)[None]
    multiplier = ring.weight_of(own, step.fraction, step.divisor)
    return multiplier, ring.bias_of(step.layer, own, fraction, len(step.shape) + 1)


def per_channel(step: PublicProduct, added: Words) -> Words:
    """What a step adds, from the shape of its tensor to one that broadcasts over (n, *out)."""
    if isinstance(step.layer, Constant):
        return added[None]
    if added.ndim == 0 or isinstance(step.layer, Linear):
        return added
    return added.reshape(1, -1, *(1,) * (len(step.shape) - 1))


def _gates(program: Program) -> Iterable[Compare | Truncate]:
    return (step for step in program.steps if isinstance(step, Compare | Truncate))
