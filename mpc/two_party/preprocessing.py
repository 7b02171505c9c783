"""What both parties make ahead of one query, without Alice's features: data alone, to be run once or kept for later.

Alice -> Bob    <product>.mask       her random masks a, encrypted        (:mod:`sotto.mpc.two_party.linear`)
Bob -> Alice    <product>.masked     W · a, under his mask
both            ot.extend            random transfers                      (:mod:`sotto.mpc.ot`)
both            mpc.corrections      Alice's choices in the gates whose inputs she knows her shares of already;
                                     Bob's words for selections
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sotto.link import Link
from sotto.mpc.exact_messages import exchange_exactly
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.program import Compare, Product, Program, Truncate
from sotto.mpc.ot import Transfers
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.correlations import AliceGate, BobGate, Reader, alice_gate, bob_gate
from sotto.mpc.two_party.gates import alice_choices, choices_bytes
from sotto.mpc.two_party.linear import AliceLinear, BobLinear
from sotto.mpc.two_party.ring_sizes import Gate, RingSizes


@dataclass(frozen=True)
class Query:
    """What is computed, for how many examples; the same at both parties."""

    program: Program
    sizes: RingSizes
    examples: int

    def gates(self) -> Iterator[tuple[Compare | Truncate, Gate, int]]:
        """Each gate, its sizes and its number of elements."""
        for step in self.program.steps:
            if isinstance(step, Compare | Truncate):
                yield step, self.sizes.gates[step.out], self.examples * math.prod(step.shape)

    def is_static(self, step: Compare | Truncate) -> bool:
        """Whether Alice's share of the gate's input is known ahead of the query."""
        return step.sources[0] in self.program.static

    def transfers(self) -> tuple[int, int]:
        """How many transfers are taken in which Alice chooses, and in which Bob does."""
        gates = list(self.gates())
        return sum(g.alice_chooses * n for _, g, n in gates), sum(g.bob_chooses * n for _, g, n in gates)

    def corrections_bytes(self) -> tuple[int, int]:
        """Sizes of Alice's and of Bob's part of the corrections."""
        alice = sum(choices_bytes(gate, count) for step, gate, count in self.gates() if self.is_static(step))
        return alice, sum(packed_bytes(count, gate.modulus) for _, gate, count in self.gates() if gate.compares)

    def static_shares(self, products: Mapping[int, Words]) -> dict[int, Words]:
        """Alice's shares of all static registers, from those of the products."""
        shares = dict(products)
        for step in self.program.steps:
            if step.out in self.program.static and not isinstance(step, Product):
                shares[step.out] = linear_steps.apply(step, [shares[source] for source in step.sources])
        return shares


@dataclass(frozen=True, repr=False)
class AlicePrepared:
    """Alice's part: masks and shares by product, correlated randomness by gate; registers name both."""

    masks: Mapping[int, Words]
    products: Mapping[int, Words]
    gates: Mapping[int, AliceGate]


@dataclass(frozen=True, repr=False)
class BobPrepared:
    """Bob's part: his shares by product, correlated randomness by gate, and Alice's choices in static gates."""

    products: Mapping[int, Words]
    gates: Mapping[int, BobGate]
    choices: bytes


def prepare_alice(query: Query, link: Link, linear: AliceLinear, transfers: Transfers) -> AlicePrepared:
    """Alice's side of a preparation."""
    own, peers = query.transfers()
    masks = linear.send_masks(query.examples)
    transfers.begin(own, peers)  # while Bob multiplies
    products = linear.receive_shares(query.examples)
    reader = Reader(transfers.finish())
    gates = {step.out: alice_gate(gate, count, reader) for step, gate, count in query.gates()}
    shares = query.static_shares(products)
    chosen = [
        alice_choices(gate, gates[step.out], shares[step.sources[0]])[0]
        for step, gate, _ in query.gates()
        if query.is_static(step)
    ]
    corrections = memoryview(
        exchange_exactly(link, "mpc.corrections", b"".join(chosen), query.corrections_bytes()[1])
    )  # fmt: skip
    for step, gate, count in query.gates():
        selection = gates[step.out].selection
        if selection is not None:
            size = packed_bytes(count, gate.modulus)
            completed = selection.complete(unpack(corrections[:size], count, gate.modulus))
            gates[step.out] = replace(gates[step.out], selection=completed)
            corrections = corrections[size:]
    return AlicePrepared(masks, products, gates)


def prepare_bob(query: Query, link: Link, linear: BobLinear, transfers: Transfers) -> BobPrepared:
    """Bob's side."""
    products = linear.prepare(query.examples)
    peers, own = query.transfers()
    reader = Reader(transfers.supply(own, peers))
    gates, corrections = {}, []
    for step, gate, count in query.gates():
        gates[step.out], correction = bob_gate(gate, count, reader)
        if correction is not None:
            corrections.append(pack(correction, gate.modulus))
    choices = exchange_exactly(link, "mpc.corrections", b"".join(corrections), query.corrections_bytes()[0])
    return BobPrepared(products, gates, bytes(choices))
