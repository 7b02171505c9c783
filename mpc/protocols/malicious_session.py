"""A session in mode ``malicious``: keys of the tags, Bob's weights opened under masks, queries by
:mod:`sotto.mpc.protocols.malicious`.

dealer -> each    dealer.session    alpha_i, Delta_i, shares of the masks of weights and biases (Bob: also in clear)
Bob -> Alice      mpc.weights       Delta_W and Delta_bias of all products, once per session
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sotto.mpc.graph.plan import Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import Mode
from sotto.mpc.protocols import pieces
from sotto.mpc.protocols.dealing import Dealing
from sotto.mpc.protocols.malicious import MaliciousEvaluation, Network
from sotto.mpc.protocols.malicious_preprocessing import (
    SessionSecret,
    bundle_bytes,
    deal_session,
    make_pieces,
    read_bundle,
    read_session,
    session_bytes,
)
from sotto.mpc.protocols.masked_session import Evaluation, MaskedSession
from sotto.mpc.protocols.semi_honest import weight_words
from sotto.mpc.protocols.semi_honest_preprocessing import bias_shape, weight_shape
from sotto.mpc.sharing.authenticated import opened_minus
from sotto.mpc.sharing.ring import Words


class MaliciousSession(MaskedSession):
    """One party's side of a session in this mode."""

    mode: Mode = "malicious"
    weight_bytes = 128  # the weight, its masked word, shares with tags of both, and one set on its way

    def _set_up(self, weights: Weights | None) -> None:
        program = self._program
        data = self._dealer.receive("dealer.session", limit=session_bytes(program, self._rank))
        self._keys, shares = read_session(program, self._rank, data)
        if weights is None or shares.clear is None:
            opened = self._receive_weights(
                [shape for step in program.owned for shape in (weight_shape(step), bias_shape(step))]
            )
        else:
            opened = _masked(program, weights, shares.clear)
            self._send_weights(opened)
        registers = [step.out for step in program.owned]
        multipliers = dict(zip(registers, opened[::2], strict=True))
        biases = dict(zip(registers, opened[1::2], strict=True))
        self._network = Network(
            multipliers,
            {out: opened_minus(self._keys, multipliers[out], shares.weights[out]) for out in registers},
            {out: opened_minus(self._keys, biases[out], shares.biases[out]) for out in registers},
            self._public_tensors(weights),
        )

    def _bundle_bytes(self, examples: int, rank: int) -> int:
        return bundle_bytes(self._program, examples, rank)

    def _prepare(self, examples: int) -> Evaluation:
        size = self._part_bytes(examples, self._rank)
        sent = pieces.receive(self._dealer, "dealer.bundle", size)
        bundle = read_bundle(self._program, examples, self._rank, sent)
        return MaliciousEvaluation(self._program, bundle, self.peer, self._keys, self._network)


class MaliciousDealing(Dealing):
    """The dealer's side: keys and masks out of the session's secret, bundles by
    :mod:`sotto.mpc.protocols.malicious_preprocessing`."""

    weight_bytes = 96

    def __init__(self, program: Program, secret: bytes) -> None:
        super().__init__(program, secret)
        self._session = SessionSecret.of(secret)
        self._opening, self._masks = deal_session(program, self._session)

    def openings(self) -> tuple[bytes | None, bytes | None]:
        return self._opening

    def bundle(self, examples: int, number: int) -> Iterator[tuple[int, bytes]]:
        return make_pieces(self._program, examples, number, self._session, self._masks)


def _masked(program: Program, weights: Weights, clear: tuple[dict[int, Words], dict[int, Words]]) -> list[Words]:
    """Delta_W and Delta_bias of every product in turn."""
    multipliers, biases = weight_words(program, weights)
    opened = []
    for step in program.owned:
        bias, shape = biases[step.out], bias_shape(step)
        plain = np.zeros(shape, np.uint64) if bias is None else bias.reshape(shape)
        opened += [multipliers[step.out] + clear[0][step.out], plain + clear[1][step.out]]
    return opened
