"""What both parties make ahead of one query, without Alice's features: data alone, to be run once or kept for later.

Alice -> Bob    <product>.mask       her random masks a, encrypted
(:mod:`sotto.mpc.two_party.linear_layers.linear`) Bob -> Alice    <product>.masked     W · a, under his mask both
ot.extend, ot.trees  random transfers                      (:mod:`sotto.mpc.ot`) both            mpc.corrections
Alice's choices in the gates whose inputs she knows her shares of already, Bob's words for selections, and both parties'
for triples of words
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sotto.link import Link
from sotto.link.secret_stream import SecretStream
from sotto.mpc.graph.program import Product, Program, SecretTensor
from sotto.mpc.ot import Transfers
from sotto.mpc.protocols.exact_messages import exchange_exactly
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.argmax import local
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates.correlations import AliceGate, BobGate, Reader, alice_gate, bob_gate
from sotto.mpc.two_party.gates.gate_sizes import Gate, Multiplication, Size
from sotto.mpc.two_party.gates.gates import alice_choices, choices_bytes
from sotto.mpc.two_party.gates.knots import inputs_of
from sotto.mpc.two_party.gates.multiplication import TripleMaker, WordTriples, message_bytes
from sotto.mpc.two_party.linear_layers.linear import AliceLinear, BobLinear
from sotto.mpc.two_party.ring_sizes import Gated, RingSizes, elements, gated


@dataclass(frozen=True)
class Query:
    """What is computed, for how many examples; the same at both parties."""

    program: Program
    sizes: RingSizes
    examples: int

    def gates(self) -> Iterator[tuple[Gated, Size, int]]:
        """Each step that both do together, its sizes and its number of elements."""
        for step in gated(self.program):
            yield step, self.sizes.gates[step.out], self.examples * elements(step)

    def is_static(self, step: Gated) -> bool:
        """Whether Alice's share of a gate's input is known ahead of the query."""
        return isinstance(self.sizes.gates[step.out], Gate) and step.sources[0] in self.program.static

    def transfers(self) -> tuple[int, int]:
        """How many transfers are taken in which Alice chooses, and in which Bob does."""
        gates = list(self.gates())
        return sum(g.alice_chooses * n for _, g, n in gates), sum(g.bob_chooses * n for _, g, n in gates)

    def corrections_bytes(self) -> tuple[int, int]:
        """Sizes of Alice's and of Bob's part of the corrections."""
        alice = bob = 0
        for step, size, count in self.gates():
            if isinstance(size, Multiplication):
                alice += message_bytes(size, count, True)
                bob += message_bytes(size, count, False)
            if isinstance(size, Gate) and self.is_static(step):
                alice += choices_bytes(size, count)
            if size.selects:
                bob += packed_bytes(count, size.modulus)
        return alice, bob

    def static_shares(self, products: Mapping[int, Words]) -> dict[int, Words]:
        """Alice's shares of all static registers, from those of the products."""
        shares = dict(products)
        for step in self.program.steps:
            if isinstance(step, SecretTensor):
                shares[step.out] = np.zeros((self.examples, *step.shape), np.uint64)
            elif step.out in self.program.static and not isinstance(step, Product):
                shares[step.out] = local(step, [shares[source] for source in step.sources])
        return shares


@dataclass(frozen=True, repr=False)
class AlicePrepared:
    """Alice's part: masks and shares by product, correlated randomness by gate; registers name both."""

    masks: Mapping[int, Words]
    products: Mapping[int, Words]
    gates: Mapping[int, AliceGate]
    triples: Mapping[int, WordTriples]


@dataclass(frozen=True, repr=False)
class BobPrepared:
    """Bob's part: his shares by product, correlated randomness by gate, and Alice's choices in static gates."""

    products: Mapping[int, Words]
    gates: Mapping[int, BobGate]
    triples: Mapping[int, WordTriples]
    choices: bytes


def prepare_alice(query: Query, link: Link, linear: AliceLinear, transfers: Transfers) -> AlicePrepared:
    """Alice's side of a preparation."""
    own, peers = query.transfers()
    masks = linear.send_masks(query.examples)
    transfers.begin(own, peers)  # while Bob multiplies
    products = linear.receive_shares(query.examples)
    reader, stream = Reader(transfers.finish()), SecretStream("mpc two-party factors")
    shares = query.static_shares(products)
    gates, makers, sent = {}, {}, []
    for step, size, count in query.gates():
        if isinstance(size, Multiplication):
            makers[step.out] = TripleMaker(size, count, True, reader, stream)
            sent.append(makers[step.out].message)
            continue
        gates[step.out] = alice_gate(size, count, reader)
        if isinstance(size, Gate) and query.is_static(step):
            share = inputs_of(step, shares[step.sources[0]], True)
            sent.append(alice_choices(size, gates[step.out], share)[0])
    told = memoryview(exchange_exactly(link, "mpc.corrections", b"".join(sent), query.corrections_bytes()[1]))
    triples = {}
    for step, size, count in query.gates():
        if isinstance(size, Multiplication):
            length = message_bytes(size, count, False)
            triples[step.out] = makers[step.out].finish(told[:length])
            told = told[length:]
        elif (selection := gates[step.out].selection) is not None:
            length = packed_bytes(count, size.modulus)
            completed = selection.complete(unpack(told[:length], count, size.modulus))
            gates[step.out] = replace(gates[step.out], selection=completed)
            told = told[length:]
    return AlicePrepared(masks, products, gates, triples)


def prepare_bob(query: Query, link: Link, linear: BobLinear, transfers: Transfers) -> BobPrepared:
    """Bob's side."""
    products = linear.prepare(query.examples)
    peers, own = query.transfers()
    reader, stream = Reader(transfers.supply(own, peers)), SecretStream("mpc two-party factors")
    gates, makers, sent = {}, {}, []
    for step, size, count in query.gates():
        if isinstance(size, Multiplication):
            makers[step.out] = TripleMaker(size, count, False, reader, stream)
            sent.append(makers[step.out].message)
            continue
        gates[step.out], correction = bob_gate(size, count, reader)
        if correction is not None:
            sent.append(pack(correction, size.modulus))
    told = memoryview(exchange_exactly(link, "mpc.corrections", b"".join(sent), query.corrections_bytes()[0]))
    triples, choices = {}, []
    for step, size, count in query.gates():
        if isinstance(size, Multiplication):
            length = message_bytes(size, count, True)
            triples[step.out] = makers[step.out].finish(told[:length])
            told = told[length:]
        elif isinstance(size, Gate) and query.is_static(step):
            length = choices_bytes(size, count)
            choices.append(told[:length])
            told = told[length:]
    return BobPrepared(products, gates, triples, b"".join(choices))
