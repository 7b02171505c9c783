"""A party whose CrypTen tensors are of our own modes: where they meet the links, and the result is computed.

Running a ``crypten.nn`` model on :mod:`sotto.mpc.crypten_api.tensor`'s tensors only notes what it does; a
:class:`Party` computes that when the result is opened, through :class:`sotto.mpc.Alice` and :class:`sotto.mpc.Bob`.
One session serves all queries of one model.  Alice compares the network that Bob announces with the one that she noted
herself.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar, Token
from typing import Any, Self

import numpy as np
import torch
from torch import fx

from sotto.link import Link, LinkClosed
from sotto.mpc.alice import Alice
from sotto.mpc.bob import Bob
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.crypten_api.recording import Recorded
from sotto.mpc.errors import ModelRefused, MpcError, ProtocolError
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import Mode, Reveal

crypten = load_crypten()

ALICE, BOB = 0, 1

log = logging.getLogger("sotto")

_party: ContextVar[Party | None] = ContextVar("mpc party", default=None)
_default_type = threading.Lock()
_inside: list[str] = []  # default types to put back, one for each party inside a ``with``


class Party:
    """Party ``rank`` in the middle of a ``with``: new CrypTensors are of its mode's type.

    ``input_limit``: the largest absolute feature, public and the same on both sides.  The links stay open.
    """

    def __init__(
        self, rank: int, peer: Link, dealer: Link, *, mode: Mode = "malicious",
        input_limit: float = DEFAULT_INPUT_LIMIT,
    ) -> None:  # fmt: skip
        if rank not in (ALICE, BOB) or mode == "crypten":
            raise ValueError("a party has rank 0 (Alice) or 1 (Bob) and a mode on masked words")
        self.rank = rank
        self.mode = mode
        self._peer = peer
        self._dealer = dealer
        self._limit = input_limit
        self._token: Token[Party | None] | None = None
        self._network: tuple[Any, ...] = ()  # what the open session was set up for
        self._weights: dict[str, torch.Tensor] = {}
        self._door: Alice | Bob | None = None

    def __repr__(self) -> str:
        return f"<mpc.crypten_tensor.Party {'alice' if self.rank == ALICE else 'bob'} mode={self.mode}>"

    def __enter__(self) -> Self:
        self._token = _party.set(self)
        with _default_type:
            _inside.append(crypten.get_default_cryptensor_type())
            crypten.set_default_cryptensor_type(self.mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token:
            _party.reset(self._token)
        with _default_type:
            before = _inside.pop()
            if not _inside:
                crypten.set_default_cryptensor_type(before)
        self.close()

    def close(self) -> None:
        """End the session; harmless when there is none."""
        if self._door:
            self._door.close()
        self._door, self._network = None, ()

    def run(self, result: Recorded, reveal: Reveal, features: torch.Tensor | None) -> torch.Tensor:
        """Compute what was noted.  Alice: labels int64 (n,) or logits float32 (n, classes); Bob: an empty tensor."""
        recorded = result.recording.network(result)
        network = (result.recording.input_shape, reveal, str(recorded), recorded.code)
        if self.rank == ALICE:
            return self._ask(recorded, network, reveal, features)
        self._answer(recorded, network, reveal)
        return torch.empty(0)

    def _ask(
        self, recorded: fx.GraphModule, network: tuple[Any, ...], reveal: Reveal, features: torch.Tensor | None
    ) -> torch.Tensor:
        if features is None:
            raise ModelRefused(
                "not-alices", "the input is not Alice's: make it with crypten.cryptensor(features, src=0)"
            )
        alice = self._door
        if not isinstance(alice, Alice) or network != self._network:
            plan, _zeros = trace(recorded, network[0], input_limit=self._limit)
            self.close()
            alice = Alice(self._dealer, mode=self.mode, reveal=reveal)
            alice.prepare(self._peer)
            if alice.plan != plan:
                alice.close()
                self._peer.fail("alice runs another model, or another input_limit, than bob")
                raise ProtocolError(
                    "other-model", "bob runs another model, or another input_limit, than alice: start both with one"
                )
            self._door, self._network = alice, network
        answer = alice.ask(features.numpy(), self._peer)
        for warning in answer.warnings:  # CrypTen's tensors have no room for them
            log.warning("%s", warning)
        return torch.from_numpy(np.array(answer.labels if answer.scores is None else answer.scores))

    def _answer(self, recorded: fx.GraphModule, network: tuple[Any, ...], reveal: Reveal) -> None:
        weights = recorded.state_dict()
        bob = self._door
        if not isinstance(bob, Bob) or network != self._network:
            bob = Bob(
                recorded,
                self._dealer,
                input_shape=network[0],
                mode=self.mode,
                reveal=reveal,
                input_limit=self._limit,
            )
            self.close()
            self._door, self._network, self._weights = bob, network, weights
        elif not all(torch.equal(self._weights[name], tensor) for name, tensor in weights.items()):
            raise ModelRefused(
                "weights-changed", "the weights are others than those shared at the first query: start new parties"
            )
        if not bob.answer(self._peer):
            raise LinkClosed("peer-closed", "alice closed the connection before its query")


def current(mode: Mode) -> Party:
    """The party inside whose ``with`` this runs.  Raises :class:`sotto.mpc.MpcError` when there is none of this
    mode."""
    party = _party.get()
    if party is None or party.mode != mode:
        raise MpcError("wrong-mode", f"tensors of mode '{mode}' are used inside: with Party(…, mode='{mode}')")
    return party
