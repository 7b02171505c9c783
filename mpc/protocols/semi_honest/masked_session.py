"""What a session on masked words does in either of our modes: agree on the program, fetch bundles ahead, answer.

    Bob -> Alice      mpc.ranges        the ranges of all values, from which both make the same program
    each -> dealer    dealer.join       who is here; then dealer.terms: the plan, the ranges, what is revealed

and for each query, ahead of it (offline):

    Alice -> Bob      mpc.provision     for how many examples
    Alice -> dealer   dealer.request    the same, for each part of the query
    dealer -> both    dealer.bundle     the correlated randomness of one part
    Bob -> Alice      mpc.stocked       ready

A bundle leaves the stock before its first use, and only in the process that fetched it, so nothing is used twice.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, BadValue, FrameError, Link, decode, encode, transaction
from sotto.mpc.errors import InputRefused, PlanError, ProtocolError, reason
from sotto.mpc.fss import dcf
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plan import ModelPlan, Ranges, Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import RANGES_LIMIT, TERMS_LIMIT, VERSION, Join, Mode, Query, RangesMessage, Reveal, Terms
from sotto.mpc.protocols import memory, pieces
from sotto.mpc.protocols.scores import answer_of
from sotto.mpc.protocols.semi_honest.evaluation import per_channel, weight_words
from sotto.mpc.protocols.semi_honest.preprocessing import bias_shape, weight_shape
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import WORD_BYTES, Words

ALICE, BOB = 0, 1


class Evaluation(Protocol):
    """One part of a query, prepared.  Alice's run takes her words and returns the opened output; Bob's, nothing."""

    def run(self, inputs: Words | None) -> Words | None: ...


class MaskedSession(ABC):
    """Party ``rank``'s side.  ``weights`` is Bob's alone, as is what he ``told`` of them; Alice passes None.

    ``weight_bytes``: about what a party holds for one weight.
    """

    mode: Mode
    weight_bytes = 32
    outputs: tuple[dcf.Output, ...] = ("bits", "tags")  # what comparison keys of this mode give

    def __init__(
        self,
        rank: int,
        peer: Link,
        dealer: Link | None,
        plan: ModelPlan,
        weights: Weights | None,
        reveal: Reveal,
        told: RangesMessage | None = None,
    ) -> None:
        self.peer = peer
        self._dealer_link = dealer
        self._rank = rank
        self._owner = os.getpid()
        self._stock: defaultdict[int, deque[deque[Evaluation]]] = defaultdict(deque)
        self._waiting = 0  # bytes of bundles in stock
        self._bundle_sizes: dict[tuple[int, int], int] = {}
        self._warm_up()
        self._program, terms = self._agree(plan, weights, reveal, told)
        with self._with_dealer():
            self._join(terms)
            self._set_up(weights)
        self._room = memory.allowance()  # bytes of bundles that may wait for their queries

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.peer!r}>"

    @property
    def _dealer(self) -> Link:
        if self._dealer_link is None:
            raise BadValue("dealer-needed", f"mode '{self.mode}' needs a link to the dealer")
        return self._dealer_link

    def _with_dealer(self) -> AbstractContextManager[None]:
        """A block in which what is said to the dealer, where there is one, comes to its end or ends that link."""
        return transaction(*([] if self._dealer_link is None else [self._dealer_link]), reason=reason)

    def _warm_up(self) -> None:
        """Compile what will run: no query waits for a compiler."""
        dcf.warm_up(self.outputs, dealing=False)

    @abstractmethod
    def _set_up(self, weights: Weights | None) -> None:
        """Once per session: open the masked weights."""

    @abstractmethod
    def _prepare(self, examples: int) -> Evaluation:
        """Take the next bundle from the dealer and do everything that does not depend on the query."""

    @abstractmethod
    def _bundle_bytes(self, examples: int, rank: int) -> int:
        """Size of party ``rank``'s bundle for a part of a query."""

    def _agree(
        self, plan: ModelPlan, weights: Weights | None, reveal: Reveal, told: RangesMessage | None
    ) -> tuple[Program, Terms]:
        """The program, and what it is made of."""
        if weights is None:
            told = decode(self.peer.receive("mpc.ranges", limit=RANGES_LIMIT), RangesMessage)
        elif told is None:
            raise TypeError("bob tells the ranges of its values")
        else:
            self.peer.send("mpc.ranges", encode(told))
        ranges = told.bits
        if told.error is not None and not -64 <= told.error <= 64:
            raise PlanError("bad-bound", "the bound of the error is no possible one: both sides need the same release")
        self.error_bound = None if told.error is None else 2.0**told.error
        program = self._compile(plan, ranges, reveal)
        needed = program.weights * self.weight_bytes + program.step_bytes
        if short := memory.shortage(needed, f"a network of {program.weights} weights"):
            raise PlanError("no-memory", short)
        terms = Terms(plan, ranges, reveal)
        if len(encode(terms)) > TERMS_LIMIT:
            raise PlanError("too-many-layers", "the network has too many layers for one message")
        return program, terms

    def _compile(self, plan: ModelPlan, ranges: Ranges, reveal: Reveal) -> Program:
        return compile_program(plan, ranges, reveal)

    def _join(self, terms: Terms) -> None:
        """Tell the dealer who is here and what bundles are for."""
        self._dealer.send("dealer.join", encode(Join(VERSION, self.mode, 1 if self._rank else 0)))
        self._dealer.send("dealer.terms", encode(terms))

    def _request(self, examples: int) -> None:
        """Alice: have the dealer make a bundle for one part of a query."""
        self._dealer.send("dealer.request", encode(Query(examples)))

    def _public_tensors(self, weights: Weights | None) -> dict[int, tuple[Words, Words | None]]:
        """Multiplier and addend of every step whose tensors are public, which Bob tells Alice."""
        steps = self._program.public
        if not steps:
            return {}
        shapes = [shape for step in steps for shape in (weight_shape(step), bias_shape(step))]
        if weights is None:
            told = list(self._receive_weights(shapes, "mpc.public"))
        else:
            multipliers, biases = weight_words(self._program, weights)
            told = []
            for step, shape in zip(steps, shapes[1::2], strict=True):
                added = biases[step.out]
                told += [multipliers[step.out], np.zeros(shape, np.uint64) if added is None else added.reshape(shape)]
            self._send_weights(told, "mpc.public")
        pairs = zip(steps, told[::2], told[1::2], strict=True)
        return {step.out: (multiplier, per_channel(step, added)) for step, multiplier, added in pairs}

    def _send_weights(self, opened: Iterable[Words], name: str = "mpc.weights") -> None:
        """Bob: open his masked tensors to Alice, in the order of :meth:`_receive_weights`."""
        pieces.send(self.peer, name, opened)

    def _receive_weights(self, shapes: Sequence[Shape], name: str = "mpc.weights") -> Iterator[Words]:
        """Alice: Bob's masked tensors of these shapes.  Raises :class:`FrameError` for another size."""
        size = WORD_BYTES * sum(math.prod(shape) for shape in shapes)
        reader = pieces.Reader(pieces.receive(self.peer, name, size))
        for shape in shapes:
            yield reader.take(*shape)
        reader.end()

    def require_query_size(self, examples: int, queries: int = 1) -> None:
        """Alice: raise :class:`sotto.mpc.InputRefused` unless what ``queries`` queries of ``examples`` need fits beside
        what waits."""
        size, missing = self._bytes(examples), queries - len(self._stock[examples])
        if missing > 0 and self._waiting + missing * size > self._room:
            raise InputRefused(
                "no-room",
                f"a query of {examples} examples needs {size >> 20} MB of correlated randomness, "
                f"{self._room >> 20} MB may wait at once: ask fewer at a time",
            )

    def provision(self, examples: int, queries: int = 1) -> None:
        """Alice: have what ``queries`` queries of ``examples`` need, fetching now what is not in stock."""
        while len(self._stock[examples]) < queries:
            self._provision_one(examples)

    def _provision_one(self, examples: int) -> None:
        self.peer.send("mpc.provision", encode(Query(examples)))
        parts: deque[Evaluation] = deque()
        with self._with_dealer():
            for part in self._program.parts(examples):
                self._request(part)
                parts.append(self._prepare(part))
        self.peer.receive("mpc.stocked", limit=0)
        self._put(examples, parts)

    def accept_provision(self, examples: int) -> None:
        """Bob: the same, when Alice has announced it."""
        if self._waiting + self._bytes(examples) > self._room:
            raise FrameError(
                "no-room", f"alice wants more than {self._room >> 20} MB prepared ahead: ask fewer at a time"
            )
        with self._with_dealer():
            parts = deque(self._prepare(part) for part in self._program.parts(examples))
        self._put(examples, parts)
        self.peer.send("mpc.stocked", b"")

    def _bytes(self, examples: int) -> int:
        """Bytes of bundles that a query of ``examples`` takes at Bob, whose are the larger ones."""
        return sum(self._part_bytes(part, BOB) for part in self._program.parts(examples))

    def _part_bytes(self, examples: int, rank: int) -> int:
        """:meth:`_bundle_bytes`, counted once."""
        if (examples, rank) not in self._bundle_sizes:
            self._bundle_sizes[examples, rank] = self._bundle_bytes(examples, rank)
        return self._bundle_sizes[examples, rank]

    def _put(self, examples: int, parts: deque[Evaluation]) -> None:
        self._stock[examples].append(parts)
        self._waiting += self._bytes(examples)

    def ask(self, features: npt.NDArray[np.float32]) -> Words:
        """Alice's side of a query: features float32 (n, *input_shape) to the opened output (n, *shape)."""
        words = ring.encode(features)
        prepared, opened = self._take(len(words)), []
        for part in self._program.parts(len(words)):
            result = prepared.popleft().run(words[:part])
            if result is None:
                raise ProtocolError("opened-to-other", "the answer was opened to the other party: only Alice may ask")
            opened.append(result)
            words = words[part:]
        return np.concatenate(opened)

    def answer(self, examples: int) -> None:
        """Bob's side of a query of ``examples`` examples; what he receives is masked."""
        prepared = self._take(examples)
        while prepared:
            prepared.popleft().run(None)

    def _take(self, examples: int) -> deque[Evaluation]:
        if os.getpid() != self._owner:  # two inputs under one mask would show their difference
            raise ProtocolError("forked", "a forked process has its parent's bundles: prepare on links of its own")
        if not self._stock[examples]:
            raise FrameError(
                "not-prepared", f"nothing was prepared for a query of {examples} examples: provision first"
            )
        self._waiting -= self._bytes(examples)
        return self._stock[examples].popleft()

    @property
    def ranges(self) -> Ranges:
        """Those that Bob declared."""
        return self._program.ranges

    def read(self, opened: Words) -> Answer:
        """The answer that the opened output register stands for."""
        return answer_of(self._program, opened)

    def close(self) -> None:
        """Forget what was prepared; harmless when closed already.  Links stay open."""
        self._stock.clear()
        self._waiting = 0
