"""A session in mode ``semi-honest``: Bob's weights opened under the dealer's masks, queries by
:mod:`sotto.mpc.protocols.semi_honest.evaluation`.

dealer -> Bob     dealer.session    the seed of the masks lambda_W
Bob -> Alice      mpc.weights       Delta_W = W + lambda_W of all products, once per session
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sotto.mpc.graph.plan import Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import Mode
from sotto.mpc.protocols import pieces
from sotto.mpc.protocols.dealing import Dealing, Piece
from sotto.mpc.protocols.exact_messages import receive_exactly
from sotto.mpc.protocols.semi_honest.evaluation import AliceEvaluation, BobEvaluation, weight_words
from sotto.mpc.protocols.semi_honest.masked_session import ALICE, BOB, Evaluation, MaskedSession
from sotto.mpc.protocols.semi_honest.preprocessing import (
    SEED_BYTES,
    bundle_bytes,
    make_pieces,
    read_bundle,
    weight_masks,
    weight_shape,
)


class SemiHonestSession(MaskedSession):
    """One party's side of a session in this mode."""

    mode: Mode = "semi-honest"
    weight_bytes = 32  # the weight itself, its word, its mask, and one on its way

    def _set_up(self, weights: Weights | None) -> None:
        self._tensors = self._public_tensors(weights)
        if weights is None:
            registers = [step.out for step in self._program.products]
            shapes = [weight_shape(step) for step in self._program.products]
            self._opened = dict(zip(registers, self._receive_weights(shapes), strict=True))
            return
        seed = receive_exactly(self._dealer, "dealer.session", SEED_BYTES)
        masks = weight_masks(self._program, bytes(seed))
        self._weights, self._biases = weight_words(self._program, weights)
        self._send_weights(self._weights[register] + mask for register, mask in masks.items())

    def _bundle_bytes(self, examples: int, rank: int) -> int:
        return bundle_bytes(self._program, examples, rank)

    def _prepare(self, examples: int) -> Evaluation:
        size = self._part_bytes(examples, self._rank)
        sent = pieces.receive(self._dealer, "dealer.bundle", size)
        bundle = read_bundle(self._program, examples, self._rank, sent)
        if self._rank == ALICE:
            return AliceEvaluation(self._program, bundle, self.peer, self._opened, self._tensors)
        return BobEvaluation(self._program, bundle, self.peer, self._weights, self._biases)


class SemiHonestDealing(Dealing):
    """The dealer's side: Bob gets the seed of his masks, each bundle is
    :func:`sotto.mpc.protocols.semi_honest.preprocessing.make_pieces`'s."""

    weight_bytes = 16

    def __init__(self, program: Program, secret: bytes) -> None:
        super().__init__(program, secret)
        self._masks = weight_masks(program, secret)

    def openings(self) -> Iterator[Piece]:
        yield BOB, self._secret

    def bundle(self, examples: int, number: int) -> Iterator[Iterable[Piece]]:
        yield make_pieces(self._program, examples, number, self._masks)
