"""How the doors reach a mode: what a session can do, and where each mode's sessions are made.

A session is one set-up between Alice and Bob (and the dealer): masks agreed, weights shared.  It answers any number of
queries.  A new mode is one entry in each function here and its own files; :mod:`sotto.mpc.alice`, :mod:`sotto.mpc.bob`
and
:mod:`sotto.mpc.dealer` stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, Link
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.dealing.supply import BundleSupply, Dealing
from sotto.mpc.graph.plan import ModelPlan, Weights
from sotto.mpc.graph.ranges import Ranges
from sotto.mpc.messages import Mode, Reveal

if TYPE_CHECKING:
    from sotto.mpc.dealing.stock import Stock


class Session(Protocol):
    """One party's side of a set-up.

    Alice calls ``provision`` ahead of a query of so many examples and ``ask``; Bob calls ``accept_provision`` and
    ``answer`` with the number of examples that she announced.
    """

    peer: Link

    @property
    def ranges(self) -> Ranges:
        """Those that Bob declared; () in a mode without them."""

    def provision(self, examples: int) -> None: ...

    def accept_provision(self, examples: int) -> None: ...

    def ask(self, features: npt.NDArray[np.float32]) -> Answer: ...

    def answer(self, examples: int) -> None: ...

    def close(self) -> None: ...


class Supply(Protocol):
    """The dealer's side of a set-up: serves until Alice closes her link."""

    def serve(self, alice: Link, bob: Link) -> None: ...


def require_mode(mode: str) -> Mode:
    """``mode``, its libraries loaded.  Raises ``ValueError``, or ``CryptenMissing`` saying what to run."""
    for known in get_args(Mode):
        if mode == known:
            if mode == "crypten":
                load_crypten()
            return known
    raise ValueError(f"unknown mpc mode '{mode}': choose one of {', '.join(get_args(Mode))}")


def open_session(
    mode: Mode, rank: int, peer: Link, dealer: Link, plan: ModelPlan, weights: Weights | None, reveal: Reveal
) -> Session:
    """Party ``rank``'s session (0: Alice, without weights; 1: Bob) over open links."""
    if mode == "crypten":
        from sotto.mpc.crypten.session import CryptenSession  # CrypTen may be missing: only who uses it needs it

        return CryptenSession(rank, peer, dealer, plan, weights, reveal)
    if mode == "malicious":
        from sotto.mpc.protocols.malicious_session import MaliciousSession

        return MaliciousSession(rank, peer, dealer, plan, weights, reveal)
    from sotto.mpc.protocols.semi_honest_session import SemiHonestSession

    return SemiHonestSession(rank, peer, dealer, plan, weights, reveal)


def open_supply(mode: Mode, idle_timeout: float, stock: Stock | None = None) -> Supply:
    """The dealer's side of ``mode``; it waits ``idle_timeout`` seconds for the next request before it gives up."""
    if mode != "crypten":
        return BundleSupply(mode, dealing_of(mode), idle_timeout, stock)
    from sotto.mpc.crypten.supply import CryptenSupply

    return CryptenSupply(idle_timeout)


def dealing_of(mode: Mode) -> type[Dealing]:
    """What the dealer makes in ``mode``.  Raises ``ValueError`` where a mode has no bundles."""
    if mode == "crypten":
        raise ValueError("mode 'crypten' has no bundles and no stock: choose another mode")
    if mode == "malicious":
        from sotto.mpc.protocols.malicious_session import MaliciousDealing

        return MaliciousDealing
    from sotto.mpc.protocols.semi_honest_session import SemiHonestDealing

    return SemiHonestDealing
