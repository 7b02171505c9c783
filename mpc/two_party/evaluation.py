"""One query in mode ``two-party``, prepared before (:mod:`sotto.mpc.two_party.preprocessing`): run once.

A register is held as two words that add up to it (:mod:`sotto.mpc.two_party.ring_sizes` says modulo what):

    Alice -> Bob    <product>.input      x_A - a
                    <gate>.…             (:mod:`sotto.mpc.two_party.gates`)
    Bob -> Alice    output               his share of the answer, the index's bits only

Alice's share of a product is known ahead of the query, so are those of registers made from products by local steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sotto.link import Link
from sotto.link.secret_stream import SecretStream
from sotto.mpc.exact_messages import receive_exactly
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.program import WORD_BITS, Compare, Product, Step, Truncate
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates import AliceInput, AliceSide, BobSide, alice_choices, choices_bytes
from sotto.mpc.two_party.preprocessing import AlicePrepared, BobPrepared, Query


class _Evaluation:
    """What both sides of a prepared query have.  ``name``: under what it is kept where it is not run."""

    def __init__(self, query: Query, link: Link, name: tuple[str, bytes]) -> None:
        self.name = name
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
            raise RuntimeError("this query was run already: what is prepared serves once")
        self._begun = True
        self._shares[0] = inputs

    def _local(self, step: Step) -> Words:
        words: Words = linear_steps.apply(step, [self._shares[source] for source in step.sources])
        return words

    def _opened_bits(self) -> int:
        """Bits of each word of the output that are opened."""
        return self._program.index_bits or self._sizes.moduli[self._program.output]


class AliceEvaluation(_Evaluation):
    """Alice's side."""

    def __init__(self, query: Query, link: Link, prepared: AlicePrepared, name: tuple[str, bytes] = ("", b"")) -> None:
        super().__init__(query, link, name)
        self.prepared = prepared
        self._masks = prepared.masks
        self._shares = query.static_shares(prepared.products)
        self._sides: dict[int, AliceSide] = {}
        self._chosen: dict[int, AliceInput] = {}
        for step, gate, _ in query.gates():
            own = prepared.gates[step.out]
            self._sides[step.out] = AliceSide(step.name, gate, own, link)
            if query.is_static(step):
                self._chosen[step.out] = alice_choices(gate, own, self._shares[step.sources[0]])[1]

    def run(self, inputs: Words | None) -> Words:
        """The online phase: inputs (n, *input_shape) to the output register (n, *shape), opened to Alice."""
        if inputs is None:
            raise TypeError("Alice asks with her inputs")
        self._begin(inputs)
        for step in self._program.steps:
            if isinstance(step, Product):
                masked = self._shares[step.sources[0]] - self._masks[step.out]
                self._link.send(f"{step.name}.input", pack(masked, self._sizes.ring))
            elif isinstance(step, Compare | Truncate):
                self._shares[step.out] = self._gate(step).reshape(-1, *step.shape)
            elif step.out not in self._shares:
                self._shares[step.out] = self._local(step)
        return self._open(self._shares[self._program.output])

    def _gate(self, step: Compare | Truncate) -> Words:
        side = self._sides[step.out]
        chosen = self._chosen.get(step.out)
        return side.run(chosen or side.choose(self._shares[step.sources[0]]))

    def _open(self, own: Words) -> Words:
        """The output, the index's bits at the top or sign-extended."""
        bits = self._opened_bits()
        received = self._link.receive("output", limit=packed_bytes(own.size, bits))
        top = np.uint64(WORD_BITS - bits)
        output = own + unpack(received, own.size, bits).reshape(own.shape) << top
        return output if self._program.index_bits else (output.view(np.int64) >> top.astype(np.int64)).view(np.uint64)


class BobEvaluation(_Evaluation):
    """Bob's side.  ``weights`` are his products' words by register, ``biases`` what they add."""

    def __init__(
        self,
        query: Query,
        link: Link,
        prepared: BobPrepared,
        weights: Mapping[int, Words],
        biases: Mapping[int, Words | None],
        name: tuple[str, bytes] = ("", b""),
    ) -> None:
        super().__init__(query, link, name)
        self.prepared = prepared
        self._weights = weights
        self._added = dict(prepared.products)
        for out, bias in biases.items():
            if bias is not None:
                self._added[out] = self._added[out] + bias
        stream = SecretStream("mpc two-party leaves")
        choices = memoryview(prepared.choices)
        self._sides: dict[int, BobSide] = {}
        for step, gate, count in query.gates():
            self._sides[step.out] = BobSide(step.name, gate, prepared.gates[step.out], link, stream)
            if query.is_static(step):
                size = choices_bytes(gate, count)
                self._sides[step.out].hear(choices[:size], count)
                choices = choices[size:]

    def run(self, inputs: Words | None = None) -> None:
        """The online phase; Bob has no inputs and learns nothing."""
        self._begin(np.zeros((self._query.examples, *self._program.plan.input_shape), np.uint64))
        for step in self._program.steps:
            source = self._shares[step.sources[0]]
            if isinstance(step, Product):
                self._shares[step.out] = self._product(step, source)
            elif isinstance(step, Compare | Truncate):
                self._shares[step.out] = self._gate(step, source).reshape(-1, *step.shape)
            else:
                share, constant = self._local(step), linear_steps.constant(step)
                self._shares[step.out] = share if constant is None else share + constant
        self._link.send("output", pack(self._shares[self._program.output], self._opened_bits()))

    def _product(self, step: Product, share: Words) -> Words:
        received = self._link.receive(f"{step.name}.input", limit=packed_bytes(share.size, self._sizes.ring))
        opened = share + unpack(received, share.size, self._sizes.ring).reshape(share.shape)
        return ring.product(step.layer, self._weights[step.out], opened) + self._added[step.out]

    def _gate(self, step: Compare | Truncate, share: Words) -> Words:
        side = self._sides[step.out]
        if not self._query.is_static(step):
            size = choices_bytes(self._sizes.gates[step.out], share.size)
            side.hear(memoryview(receive_exactly(self._link, f"{step.name}.choices", size)), share.size)
        return side.run(share)
