"""The modes: which sessions Alice and Bob open in each; what the dealer makes: :mod:`sotto.mpc.dealing.dealings`.

A session is one set-up between Alice and Bob (and the dealer): masks agreed, weights shared.  It answers any number of
queries.  A new mode is one entry in each function here and its own files; :mod:`sotto.mpc.alice` and
:mod:`sotto.mpc.bob` stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, BadValue, Link
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.fss import dcf
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.plan import ModelPlan, Ranges, Weights
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import Mode, RangesMessage, Reveal, Terms
from sotto.mpc.protocols import memory

if TYPE_CHECKING:
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore


class Session(Protocol):
    """One party's side of a set-up.

    Alice calls ``provision`` ahead of queries of so many examples, ``ask``, and ``read`` when the query has come to its
    end; Bob calls ``accept_provision`` and ``answer`` with the number of examples that she announced.  A call that
    raises leaves a session that must be closed.
    """

    peer: Link

    @property
    def ranges(self) -> Ranges:
        """Those that Bob declared; () in a mode without them."""

    def require_query_size(self, examples: int, queries: int = 1) -> None: ...

    def provision(self, examples: int, queries: int = 1) -> None: ...

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
            elif mode == "two-party":
                warm_up(known)
            return known
    raise BadValue("unknown-mode", f"unknown mpc mode '{mode}': choose one of {', '.join(get_args(Mode))}")


def require_options(mode: str, reveal: str, store: PreprocessingStore | None) -> Mode:
    """``mode``, where a party may ask for, or be asked for, ``reveal`` in it and keep what it prepares in ``store``."""
    if reveal not in get_args(Reveal):
        raise BadValue("unknown-reveal", f"reveal is one of {', '.join(get_args(Reveal))}, not '{reveal}'")
    known = require_mode(mode)
    if known == "crypten" and reveal == "values":
        raise BadValue("not-revealed", "mode 'crypten' reveals the class or logits")
    if store is not None and needs_dealer(known):
        raise BadValue(
            "dealer-prepares", f"in mode '{mode}' the dealer prepares: only mode 'two-party' keeps what was prepared"
        )
    return known


def warm_up(mode: Mode, *, dealing: bool = False) -> None:
    """Import and compile what a session of ``mode`` runs, once for all sessions that start from this process.

    ``dealing``: what its dealer runs instead.
    """
    if mode == "two-party":
        from sotto.mpc.two_party.session import TwoPartySession

        TwoPartySession.warm_up()
    elif mode != "crypten":
        if mode == "malicious":
            from sotto.mpc.protocols.malicious.session import MaliciousSession

            outputs = MaliciousSession.outputs
        else:
            from sotto.mpc.protocols.semi_honest.session import SemiHonestSession

            outputs = SemiHonestSession.outputs
        dcf.warm_up(outputs, dealing=dealing)


def needs_dealer(mode: Mode) -> bool:
    """Whether Alice and Bob both need a link to the dealer."""
    return mode != "two-party"


def program_of(mode: Mode, terms: Terms) -> Program:
    """What is run in ``mode``.  Raises :class:`sotto.mpc.PlanError` where a value would not fit into a word."""
    if mode == "two-party":
        from sotto.mpc.two_party.ring_sizes import two_party_program

        return two_party_program(terms.plan, terms.ranges, terms.reveal)[0]
    return compile_program(terms.plan, terms.ranges, terms.reveal)


def open_session(
    mode: Mode,
    rank: int,
    peer: Link,
    dealer: Link | None,
    plan: ModelPlan,
    weights: Weights | None,
    reveal: Reveal,
    store: PreprocessingStore | None = None,
    told: RangesMessage | None = None,
) -> Session:
    """Party ``rank``'s session (0: Alice, without weights; 1: Bob, who has ``told`` what is public of them) over open
    links.

    ``store``: what the party has prepared and not used; in mode ``two-party`` alone.
    """
    memory.keep_freed()
    if mode == "two-party":
        from sotto.mpc.two_party.session import TwoPartySession

        return TwoPartySession(rank, peer, plan, weights, reveal, store, told)
    if dealer is None:
        raise BadValue("dealer-needed", f"mode '{mode}' needs a link to the dealer")
    if mode == "crypten":
        from sotto.mpc.crypten.session import CryptenSession  # CrypTen may be missing: only who uses it needs it

        return CryptenSession(rank, peer, dealer, plan, weights, reveal)
    if mode == "malicious":
        from sotto.mpc.protocols.malicious.session import MaliciousSession

        return MaliciousSession(rank, peer, dealer, plan, weights, reveal, told)
    from sotto.mpc.protocols.semi_honest.session import SemiHonestSession

    return SemiHonestSession(rank, peer, dealer, plan, weights, reveal, told)
