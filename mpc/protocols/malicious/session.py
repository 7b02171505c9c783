"""A session in mode ``malicious``: keys of the tags, Bob's weights opened under masks, queries by
:mod:`sotto.mpc.protocols.malicious.evaluation`.

dealer -> each    dealer.session    alpha_i, Delta_i, shares of the masks of weights and biases (Bob: also in clear)
Bob -> Alice      mpc.weights       Delta_W and Delta_bias of all products, once per session
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sotto.mpc.fss import dcf
from sotto.mpc.graph.plan import Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import Mode
from sotto.mpc.protocols import pieces
from sotto.mpc.protocols.dealing import Dealing, Piece
from sotto.mpc.protocols.malicious.evaluation import MaliciousEvaluation, Network
from sotto.mpc.protocols.malicious.preprocessing import (
    SessionSecret,
    make_segments,
    read_segments,
    read_session,
    session_bytes,
    session_pieces,
    tensor_shapes,
    weight_masks,
)
from sotto.mpc.protocols.malicious.segments import segment_bytes, segments
from sotto.mpc.protocols.semi_honest.evaluation import words_of
from sotto.mpc.protocols.semi_honest.masked_session import ALICE, Evaluation, MaskedSession
from sotto.mpc.protocols.semi_honest.preprocessing import bias_shape
from sotto.mpc.sharing.authenticated import opened_minus
from sotto.mpc.sharing.ring import Words


class MaliciousSession(MaskedSession):
    """One party's side of a session in this mode."""

    mode: Mode = "malicious"
    outputs: tuple[dcf.Output, ...] = ("tags",)
    weight_bytes = 64  # the weight, its masked word, shares with tags, and what one tensor takes on its way

    def _set_up(self, weights: Weights | None) -> None:
        program, tensors = self._program, []
        sent = pieces.receive(self._dealer, "dealer.session", session_bytes(program, self._rank))
        self._keys, shares = read_session(program, self._rank, sent)
        if weights is None:
            for share, masked in zip(shares, self._receive_weights(tensor_shapes(program)), strict=True):
                tensors.append((masked, opened_minus(self._keys, masked, share.mask)))
        else:

            def opened(own: Weights) -> Iterator[Words]:
                for share, words in zip(shares, tensors_of(program, own), strict=True):
                    masked = words if share.clear is None else words + share.clear
                    tensors.append((masked, opened_minus(self._keys, masked, share.mask)))
                    yield masked

            self._send_weights(opened(weights))
        registers = [step.out for step in program.owned]
        self._network = Network(
            {out: masked for out, (masked, _) in zip(registers, tensors[::2], strict=True)},
            {out: share for out, (_, share) in zip(registers, tensors[::2], strict=True)},
            {out: share for out, (_, share) in zip(registers, tensors[1::2], strict=True)},
            self._public_tensors(weights),
        )

    def _bundle_bytes(self, examples: int, rank: int) -> int:
        return max(segment_bytes(self._program, examples, rank))

    def _is_long(self, examples: int) -> bool:
        """Whether a bundle is dealt while the query runs."""
        return len(segments(self._program, examples)) > 1

    def _request(self, examples: int) -> None:
        if not self._is_long(examples):
            super()._request(examples)

    def _prepare(self, examples: int) -> Evaluation:
        return _Later(self, examples) if self._is_long(examples) else self._dealt(examples)

    def _dealt(self, examples: int) -> MaliciousEvaluation:
        program, rank = self._program, self._rank
        bundles = read_segments(program, examples, rank, self._segments(segment_bytes(program, examples, rank)))
        return MaliciousEvaluation(program, next(bundles), self.peer, self._keys, self._network, bundles)

    def _segments(self, sizes: list[int]) -> Iterator[Iterator[bytearray]]:
        for place, size in enumerate(sizes):
            if place and self._rank == ALICE:
                self._dealer.send("dealer.more", b"")
            yield pieces.receive(self._dealer, "dealer.bundle", size)

    def run_long(self, examples: int, inputs: Words | None) -> Words | None:
        """A part of a query whose bundle is dealt meanwhile."""
        with self._with_dealer():
            if self._rank == ALICE:
                super()._request(examples)
            return self._dealt(examples).run(inputs)


class _Later:
    """A part of a query of which nothing was dealt ahead."""

    def __init__(self, session: MaliciousSession, examples: int) -> None:
        self._session = session
        self._examples = examples

    def run(self, inputs: Words | None) -> Words | None:
        return self._session.run_long(self._examples, inputs)


class MaliciousDealing(Dealing):
    """The dealer's side: keys and masks out of the session's secret, bundles by
    :mod:`sotto.mpc.protocols.malicious.preprocessing`."""

    weight_bytes = 32

    def __init__(self, program: Program, secret: bytes) -> None:
        super().__init__(program, secret)
        self._session = SessionSecret.of(secret)
        self._masks = weight_masks(program, self._session)

    def openings(self) -> Iterator[Piece]:
        return session_pieces(self._program, self._session)

    def bundle(self, examples: int, number: int) -> Iterator[Iterable[Piece]]:
        return make_segments(self._program, examples, number, self._session, self._masks)


def tensors_of(program: Program, weights: Weights) -> Iterator[Words]:
    """Bob's tensors as words, in the order of :func:`tensor_shapes`."""
    for step in program.owned:
        multiplier, bias = words_of(program, step, weights)
        yield multiplier
        shape = bias_shape(step)
        yield np.zeros(shape, np.uint64) if bias is None else bias.reshape(shape)
