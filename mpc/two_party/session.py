"""A session in mode ``two-party``: keys and base transfers once, then queries prepared and answered without a dealer.

    Alice -> Bob      mpc.set-up        whether what follows comes now, or when it is needed
    Bob -> Alice      he.parameters     which of two sets of encryption parameters hides his weights
    Alice -> Bob      he.zero           (:mod:`sotto.mpc.two_party.linear_layers.linear`)
    both              ot.…              (:mod:`sotto.mpc.ot.transfers`)

and for each part of a query, ahead of it

    Alice -> Bob      mpc.prepare       the number of what is prepared, and whether she has it on her disk
    Bob -> Alice      mpc.found         if so, whether he has it, too

A query takes what was prepared for it and nothing else does: what was made in this session lives in memory; what is
left at its end is destroyed, or kept by both (:mod:`sotto.mpc.two_party.preprocessing_store`).
"""

from __future__ import annotations

import logging
import math
import os
import secrets
from typing import cast

from sotto.link import FrameError, Link
from sotto.mpc.errors import StockError
from sotto.mpc.graph.plan import ModelPlan, Ranges, Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import Mode, RangesMessage, Reveal, Terms
from sotto.mpc.ot import Transfers, establish, warm_up
from sotto.mpc.protocols.exact_messages import receive_exactly
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.protocols.semi_honest.masked_session import ALICE, Evaluation, MaskedSession
from sotto.mpc.sharing.ring import WORD_BYTES, Words
from sotto.mpc.two_party.evaluation import AliceEvaluation, BobEvaluation
from sotto.mpc.two_party.linear_layers.bfv import Parameters, Scheme
from sotto.mpc.two_party.linear_layers.linear import AliceLinear, BobLinear, choose_parameters
from sotto.mpc.two_party.preprocessing import Query, prepare_alice, prepare_bob
from sotto.mpc.two_party.preprocessing_store import NUMBER_BYTES, PreprocessingStore, alice_of, bob_of, digest_of
from sotto.mpc.two_party.ring_sizes import elements, gated, two_party_program

log = logging.getLogger("sotto")

_SET = {b"\0": False, b"\1": True}  # he.parameters -> whether the large set
_NEW, _KEPT = b"\0", b"\1"  # what mpc.prepare begins with
_NO, _YES = b"\0", b"\1"


class TwoPartySession(MaskedSession):
    """One party's side of a session in this mode; there is no dealer.  ``store``: the party's preprocessing on disk."""

    mode: Mode = "two-party"

    def __init__(
        self,
        rank: int,
        peer: Link,
        plan: ModelPlan,
        weights: Weights | None,
        reveal: Reveal,
        store: PreprocessingStore | None = None,
        told: RangesMessage | None = None,
    ) -> None:
        self._store = store
        self._tools: tuple[AliceLinear | BobLinear, Transfers] | None = None
        self._weights: dict[int, Words] | None = None
        super().__init__(rank, peer, None, plan, weights, reveal, told)

    @staticmethod
    def warm_up() -> None:
        """Compile what is not compiled by being imported."""
        warm_up()

    def _warm_up(self) -> None:
        self.warm_up()

    def _compile(self, plan: ModelPlan, ranges: Ranges, reveal: Reveal) -> Program:
        program, self._sizes = two_party_program(plan, ranges, reveal)
        return program

    def _join(self, terms: Terms) -> None:
        self._terms = terms  # nobody else has to know

    def _request(self, examples: int) -> None:
        pass

    def _set_up(self, weights: Weights | None) -> None:
        if weights is not None:
            self._weights, self._biases = weight_words(self._program, weights)
        if self._rank == ALICE:
            later = bool(self._store and self._store.ready_at_all())
            self.peer.send("mpc.set-up", _NO if later else _YES)
        else:
            later = bytes(receive_exactly(self.peer, "mpc.set-up", 1)) == _NO
        if not later:
            self._made_tools()

    def _made_tools(self) -> tuple[AliceLinear | BobLinear, Transfers]:
        """The session's key and transfers, when first needed."""
        if self._tools is None:
            program, ring = self._program, self._sizes.ring
            linear: AliceLinear | BobLinear
            if self._weights is None:
                large = _SET.get(bytes(receive_exactly(self.peer, "he.parameters", 1)))
                if large is None:
                    raise FrameError(
                        "no-parameters", "bob named no set of encryption parameters: both sides need the same release"
                    )
                linear = AliceLinear(program, Scheme(Parameters(ring, large)), self.peer)
            else:
                parameters = choose_parameters(program, ring, self._weights)
                self.peer.send("he.parameters", b"\1" if parameters.large else b"\0")
                linear = BobLinear(program, Scheme(parameters), self.peer, self._weights)
            self._tools = linear, establish(self.peer, self._rank)
        return self._tools

    def _bundle_bytes(self, examples: int, rank: int) -> int:
        """About what a prepared part holds at Bob, whose share is the larger."""
        words = sum(math.prod(step.input_shape) + math.prod(step.shape) for step in self._program.products)
        gates = [(self._sizes.gates[step.out], elements(step)) for step in gated(self._program)]
        held = sum((8 * sum(gate.leaves) + 10 * WORD_BYTES) * count for gate, count in gates)
        return examples * (WORD_BYTES * words + held)

    def _prepare(self, examples: int) -> Evaluation:
        query = Query(self._program, self._sizes, examples)
        digest = digest_of(self._terms, examples, self._rank, self._weights) if self._store else ""
        return self._alice(query, digest) if self._rank == ALICE else self._bob(query, digest)

    def _alice(self, query: Query, digest: str) -> AliceEvaluation:
        for number in self._store.numbers(digest) if self._store else ():
            content = self._store.take(digest, number) if self._store else None
            if content is not None:
                self.peer.send("mpc.prepare", _KEPT + number)
                if bytes(receive_exactly(self.peer, "mpc.found", 1)) == _YES:
                    return AliceEvaluation(query, self.peer, alice_of(content), (digest, number))
        number = secrets.token_bytes(NUMBER_BYTES)
        self.peer.send("mpc.prepare", _NEW + number)
        linear, transfers = self._made_tools()
        prepared = prepare_alice(query, self.peer, cast(AliceLinear, linear), transfers)
        return AliceEvaluation(query, self.peer, prepared, (digest, number))

    def _bob(self, query: Query, digest: str) -> BobEvaluation:
        while True:
            message = bytes(receive_exactly(self.peer, "mpc.prepare", 1 + NUMBER_BYTES))
            kind, number = message[:1], message[1:]
            if kind == _NEW:
                linear, transfers = self._made_tools()
                prepared = prepare_bob(query, self.peer, cast(BobLinear, linear), transfers)
                break
            content = self._store.take(digest, number) if self._store else None
            self.peer.send("mpc.found", _NO if content is None else _YES)
            if content is not None:
                prepared = bob_of(content)
                break
        return BobEvaluation(query, self.peer, prepared, self._weights or {}, self._biases, (digest, number))

    def close(self) -> None:
        """Keep what was prepared and not used, where it is to be kept, and forget it; links stay open."""
        waiting = [part for queries in self._stock.values() for parts in queries for part in parts]
        super().close()
        if os.getpid() != self._owner:
            return  # a forked process: what was prepared is its parent's to use
        for part in waiting if self._store else ():
            if isinstance(part, AliceEvaluation | BobEvaluation) and self._store:
                try:
                    self._store.keep(*part.name, part.prepared)
                except StockError as error:
                    log.warning("what was prepared is lost: %s", error)
                    return
