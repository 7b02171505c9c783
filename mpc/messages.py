"""What Alice and Bob say around the protocol itself: msgpack under these schemas, each with a size limit.

Alice → Bob     mpc.hello     Hello       which release, mode and kind of answer
Bob → Alice     mpc.plan      ModelPlan   the public shapes (:mod:`sotto.mpc.graph.plan`)
Bob → Alice     mpc.ready     empty       the weights are shared
Alice → Bob     mpc.query     Query       how many examples follow; then the mode's own messages
each → dealer   dealer.join   Join        who is here

and in the modes on masked words (:mod:`sotto.mpc.protocols.semi_honest.masked_session`):

Bob → Alice     mpc.ranges    RangesMessage
Alice → Bob     mpc.provision Query       prepare a query of so many examples
each → dealer   dealer.terms  Terms       what bundles are for
Alice → dealer  dealer.request Query      one bundle, for so many examples
Alice → dealer  dealer.more   empty       the next segment of a long one
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sotto.link import FrameError, decode
from sotto.link.frames import printable
from sotto.mpc.graph.plan import MAX_LAYERS, ModelPlan, Reveal

VERSION = 7

Mode: TypeAlias = Literal["crypten", "two-party", "semi-honest", "malicious"]

HELLO_LIMIT = 256
PLAN_LIMIT = 1 << 21
QUERY_LIMIT = 64
JOIN_LIMIT = 256
RANGES_LIMIT = 96 + 2 * MAX_LAYERS
TERMS_LIMIT = PLAN_LIMIT + RANGES_LIMIT


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alice opens a session: ``mode`` is the protocol, ``reveal`` what she wants to learn."""

    version: int
    mode: str
    reveal: Reveal


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alice announces a batch of ``examples``."""

    examples: int


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party presents itself to the dealer: rank 0 is Alice, rank 1 Bob."""

    version: int
    mode: str
    rank: Literal[0, 1]


class RangesMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For each value of the plan a b with |value| < 2^b (:mod:`sotto.mpc.graph.ranges`).

    ``error``, where values are revealed: a b with every error below 2^b (:mod:`sotto.mpc.graph.bounds.error_bound`);
    None: no bound is known.
    """

    bits: tuple[int, ...]
    error: int | None = None


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What both parties tell the dealer, in the same words, so that he makes the same program."""

    plan: ModelPlan
    ranges: tuple[int, ...]
    reveal: Reveal

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.plan.input_shape))
        return f"<Terms for {len(self.plan.layers)} layers on {shape}, reveal={self.reveal}>"


def require_same(version: int, mode: str, own_mode: Mode, who: str) -> None:
    """Raise :class:`FrameError` when ``who`` speaks another version or mode than this side."""
    if version != VERSION:
        raise FrameError(
            "other-version",
            f"{who} speaks version {version} of the mpc messages, this side {VERSION}: install one release",
        )
    if mode != own_mode:
        raise FrameError(
            "other-mode",
            f"{who} wants mode '{printable(mode, 40)}', this side runs '{own_mode}': start all three with one mode",
        )


def require_party(payload: bytearray, rank: Literal[0, 1], mode: Mode) -> None:
    """Raise :class:`FrameError` unless a ``dealer.join`` is that of party ``rank``, in ``mode``."""
    who = "bob" if rank else "alice"
    join = decode(payload, Join)
    require_same(join.version, join.mode, mode, who)
    if join.rank != rank:
        raise FrameError("links-swapped", f"the link given to the dealer as {who}'s is the other party's: swap them")
