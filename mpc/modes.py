"""The modes: which sessions Alice and Bob open in each, and what the dealer makes for it.

A session is one set-up between Alice and Bob (and the dealer): masks agreed, weights shared.  It answers any number of
queries.  A new mode is one entry in each function here and its own files; :mod:`sotto.mpc.alice` and
:mod:`sotto.mpc.bob` stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, Link
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.graph.plan import ModelPlan, Weights
from sotto.mpc.graph.ranges import Ranges
from sotto.mpc.messages import Mode, Reveal
from sotto.mpc.protocols.dealing import Dealing


class Session(Protocol):
    """One party's side of a set-up.

    Alice calls ``provision`` ahead of a query of so many examples, ``ask``, and ``read`` when the query has come to its
    end; Bob calls ``accept_provision`` and ``answer`` with the number of examples that she announced.  A call that
    raises leaves a session that must be closed.
    """

    peer: Link

    @property
    def ranges(self) -> Ranges:
        """Those that Bob declared; () in a mode without them."""

    def require_room(self, examples: int) -> None: ...

    def provision(self, examples: int) -> None: ...

    def accept_provision(self, examples: int) -> None: ...

    def ask(self, features: npt.NDArray[np.float32]) -> npt.NDArray[Any]: ...

    def read(self, opened: npt.NDArray[Any]) -> Answer: ...

    def answer(self, examples: int) -> None: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def closed_by_errors(session: Session) -> Iterator[None]:
    """Close ``session`` when anything at all leaves the block early."""
    try:
        yield
    except BaseException:
        session.close()
        raise


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


def dealing_of(mode: Mode) -> type[Dealing]:
    """What the dealer makes in ``mode``.  Raises ``ValueError`` where a mode has no bundles."""
    if mode == "crypten":
        raise ValueError("mode 'crypten' has no bundles and no stock: choose another mode")
    if mode == "malicious":
        from sotto.mpc.protocols.malicious_session import MaliciousDealing

        return MaliciousDealing
    from sotto.mpc.protocols.semi_honest_session import SemiHonestDealing

    return SemiHonestDealing
