"""One query in mode ``two-party``, prepared before (:mod:`sotto.mpc.two_party.preprocessing`): run once.

A register is held as two words that add up to it (:mod:`sotto.mpc.two_party.ring_sizes` says modulo what):

    Alice -> Bob    <product>.input      x_A - a
                    <gate>.…             (:mod:`sotto.mpc.two_party.gates.gates`)
    Bob -> Alice    output               his share of the answer, the index's bits only

Alice's share of a product is known ahead of the query, so are those of registers made from products by local steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sotto.link import BadType, Link, WrongState
from sotto.link.secret_stream import SecretStream
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.program import WORD_BITS, Compare, Product, SecretProduct, SecretTensor, Step, Truncate
from sotto.mpc.protocols.exact_messages import exchange_exactly, receive_exactly
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates import millionaires
from sotto.mpc.two_party.gates.argmax import Chosen, Index, Signs, Wins, local, rows_of
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates.correlations import packed, unpacked
from sotto.mpc.two_party.gates.gate_sizes import Gate
from sotto.mpc.two_party.gates.gates import AliceInput, AliceSide, BobSide, Selector, alice_choices, choices_bytes
from sotto.mpc.two_party.gates.knots import inputs_of, output_of
from sotto.mpc.two_party.gates.multiplication import factors, summed
from sotto.mpc.two_party.preprocessing import AlicePrepared, BobPrepared, Query


class _Evaluation:
    """What both sides of a prepared query have.  ``name``: under what it is kept where it is not run."""

    first: bool  # Alice adds what is public in products of two secrets, Bob everything else

    def __init__(
        self,
        query: Query,
        link: Link,
        prepared: AlicePrepared | BobPrepared,
        name: tuple[str, bytes],
    ) -> None:
        self.name = name
        self.prepared = prepared
        self._query = query
        self._program = query.program
        self._sizes = query.sizes
        self._link = link
        self._shares: dict[int, Words] = {}
        self._begun = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._query.examples} examples>"

    def _begin(self, inputs: Words) -> None:
        if self._begun:
            raise WrongState("used-already", "this query was run already: what is prepared serves once")
        self._begun = True
        self._shares[0] = inputs

    def _both(self, step: Step) -> Words:
        """A step that is the same at both parties: joint ones without comparisons, and local ones."""
        sources = [self._shares[source] for source in step.sources]
        match step:
            case Wins():
                return self._wins(step, sources[0])
            case Chosen():
                bits = packed(sources[0].astype(np.uint8).ravel())
                size, prepared = self._sizes.gates[step.out], self.prepared.gates[step.out].selection
                selector = Selector(step.name, size, self.first, prepared, self._link)
                return selector.of(sources[1].ravel(), bits).reshape(sources[1].shape)
            case SecretProduct():
                return self._secret_product(step, sources)
        return local(step, sources)

    def _wins(self, step: Wins, signs: Words) -> Words:
        rows = rows_of(step, self.first, signs)
        levels, triples = self._sizes.gates[step.out].levels, self.prepared.gates[step.out].triples
        bits = millionaires.all_set(levels, self.first, packed(rows.astype(np.uint8)), triples, self._exchange(step))
        return unpacked(bits, rows.shape[1]).astype(np.uint64).reshape(-1, *step.shape)

    def _secret_product(self, step: SecretProduct, shares: list[Words]) -> Words:
        triples, modulus = self.prepared.triples[step.out], self._sizes.moduli[step.out]
        own = [each.ravel() - mask for each, mask in zip(factors(step, shares), (triples.a, triples.b), strict=False)]
        sent = np.concatenate(own)
        received = self._exchange(step)("masked", pack(sent, modulus))
        opened = np.split(sent + unpack(received, len(sent), modulus), len(own))
        x, y = opened[0], opened[-1]  # without a and b
        products = x * triples.b + y * triples.a + triples.c
        return summed(step, products + x * y if self.first else products, self._query.examples)

    def _exchange(self, step: Step) -> millionaires.Exchange:
        return lambda message, payload: exchange_exactly(self._link, f"{step.name}.{message}", payload)

    def _opened_bits(self) -> int:
        """Bits of each word of the output that are opened; those of an index alone are shared by XOR."""
        return self._program.index_bits or self._sizes.moduli[self._program.output]


class AliceEvaluation(_Evaluation):
    """Alice's side."""

    first = True

    def __init__(self, query: Query, link: Link, prepared: AlicePrepared, name: tuple[str, bytes] = ("", b"")) -> None:
        super().__init__(query, link, prepared, name)
        self._masks = prepared.masks
        self._shares = query.static_shares(prepared.products)
        self._sides: dict[int, AliceSide] = {}
        self._chosen: dict[int, AliceInput] = {}
        for step, gate, _ in query.gates():
            if isinstance(gate, Gate):
                own = prepared.gates[step.out]
                self._sides[step.out] = AliceSide(step.name, gate, own, link)
                if query.is_static(step):
                    share = inputs_of(step, self._shares[step.sources[0]], True)
                    self._chosen[step.out] = alice_choices(gate, own, share)[1]

    def run(self, inputs: Words | None) -> Words:
        """The online phase: inputs (n, *input_shape) to the output register (n, *shape), opened to Alice."""
        if inputs is None:
            raise BadType("no-inputs", "Alice asks with her inputs")
        self._begin(inputs)
        for step in self._program.steps:
            if isinstance(step, Product):
                masked = self._shares[step.sources[0]] - self._masks[step.out]
                self._link.send(f"{step.name}.input", pack(masked, self._sizes.ring))
            elif isinstance(step, Compare | Truncate | Signs):
                self._shares[step.out] = self._gate(step).reshape(-1, *step.shape)
            elif step.out not in self._shares:
                self._shares[step.out] = self._both(step)
        return self._open(self._shares[self._program.output])

    def _gate(self, step: Compare | Truncate | Signs) -> Words:
        side = self._sides[step.out]
        chosen = self._chosen.get(step.out)
        share = self._shares[step.sources[0]]
        output = side.run(chosen or side.choose(inputs_of(step, share, True)))
        return output_of(step, output, side.chosen, True)

    def _open(self, own: Words) -> Words:
        """The output, the index's bits at the top or sign-extended."""
        bits = self._opened_bits()
        received = self._link.receive("output", limit=packed_bytes(own.size, bits))
        top = np.uint64(WORD_BITS - bits)
        theirs = unpack(received, own.size, bits).reshape(own.shape)
        if isinstance(self._program.steps[-1], Index):
            return (own ^ theirs) << top
        output = own + theirs << top
        return output if self._program.index_bits else (output.view(np.int64) >> top.astype(np.int64)).view(np.uint64)


class BobEvaluation(_Evaluation):
    """Bob's side.  ``weights`` are his products' words by register, ``biases`` what they add, and tensors of his."""

    first = False

    def __init__(
        self,
        query: Query,
        link: Link,
        prepared: BobPrepared,
        weights: Mapping[int, Words],
        biases: Mapping[int, Words | None],
        name: tuple[str, bytes] = ("", b""),
    ) -> None:
        super().__init__(query, link, prepared, name)
        self._weights = weights
        self._biases = biases
        self._added = dict(prepared.products)
        for out, bias in biases.items():
            if bias is not None and out in self._added:
                self._added[out] = self._added[out] + bias
        stream = SecretStream("mpc two-party leaves")
        choices = memoryview(prepared.choices)
        self._sides: dict[int, BobSide] = {}
        for step, gate, count in query.gates():
            if not isinstance(gate, Gate):
                continue
            self._sides[step.out] = BobSide(step.name, gate, prepared.gates[step.out], link, stream)
            if query.is_static(step):
                size = choices_bytes(gate, count)
                self._sides[step.out].hear(choices[:size], count)
                choices = choices[size:]

    def run(self, inputs: Words | None = None) -> None:
        """The online phase; Bob has no inputs and learns nothing."""
        self._begin(np.zeros((self._query.examples, *self._program.plan.input_shape), np.uint64))
        for step in self._program.steps:
            if isinstance(step, Product):
                self._shares[step.out] = self._product(step, self._shares[step.sources[0]])
            elif isinstance(step, Compare | Truncate | Signs):
                self._shares[step.out] = self._gate(step, self._shares[step.sources[0]]).reshape(-1, *step.shape)
            elif isinstance(step, SecretTensor):
                shape = (self._query.examples, *step.shape)
                self._shares[step.out] = np.broadcast_to(np.asarray(self._biases[step.out]), shape)
            else:
                share, constant = self._both(step), linear_steps.constant(step)
                self._shares[step.out] = share if constant is None else share + constant
        self._link.send("output", pack(self._shares[self._program.output], self._opened_bits()))

    def _product(self, step: Product, share: Words) -> Words:
        received = self._link.receive(f"{step.name}.input", limit=packed_bytes(share.size, self._sizes.ring))
        opened = share + unpack(received, share.size, self._sizes.ring).reshape(share.shape)
        return ring.product(step.layer, self._weights[step.out], opened) + self._added[step.out]

    def _gate(self, step: Compare | Truncate | Signs, share: Words) -> Words:
        side = self._sides[step.out]
        share = inputs_of(step, share, False)
        if not self._query.is_static(step):
            size = choices_bytes(side.gate, share.size)
            choices = receive_exactly(self._link, f"{step.name}.choices", size) if size else b""
            side.hear(memoryview(choices), share.size)
        return output_of(step, side.run(share), side.chosen, False)
