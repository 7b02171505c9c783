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

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from sotto.link import FrameError, decode, encode
from sotto.link.frames import printable
from sotto.mpc.errors import PlanError
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plan import MAX_LAYERS, ModelPlan, Ranges, Reveal

VERSION = 8

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


@dataclass(frozen=True)
class Agreement:
    """What Alice was told of Bob's network before the session: he can then set up nothing else.

    A Bob who names four classes and plans eight logits, or another limit or other ranges than he published, is refused
    while the session is set up, before anything depends on her features.  That refusal says nothing of them, and no
    later one exists: whatever she is answered, the session goes on.

    ``classes`` None: any number of logits.  ``digest`` is :func:`digest_of` its plan and ranges, which fixes every
    layer, and every width of a comparison.
    ``error_bound``: what Bob proved of the largest error of a value, where he reveals values; None: nothing.
    """

    input_shape: Shape
    input_limit: float
    classes: int | None
    digest: str
    error_bound: float | None = None

    def require(self, plan: ModelPlan, ranges: Ranges) -> None:
        """Raise :class:`sotto.mpc.PlanError` unless ``plan`` and ``ranges`` are those agreed on."""
        if plan.input_shape != self.input_shape:
            raise PlanError(
                "other-shape", "bob's plan takes features of another shape than its terms: do not use this service"
            )
        if plan.input_limit != self.input_limit:
            raise PlanError("other-limit", "bob's plan has another input limit than its terms: do not use this service")
        if self.classes is not None and plan.classes != self.classes:
            raise PlanError(
                "class-count",
                f"bob's plan gives {plan.classes} logits, its terms name {self.classes} classes: "
                "do not use this service",
            )
        if digest_of(plan, ranges) != self.digest:
            raise PlanError("other-layers", "bob's layers or ranges are not those of its terms: get the terms again")

    def require_error(self, bound: float | None) -> None:
        """Raise :class:`sotto.mpc.PlanError` unless the values' error is bounded as agreed on."""
        if bound != self.error_bound:
            raise PlanError("other-bound", "bob's bound of the error is not that of its terms: get the terms again")


def digest_of(plan: ModelPlan, ranges: Ranges) -> str:
    """SHA-256 of what is public about a network, 64 hexadecimal digits.  ``ranges`` are () in mode ``crypten``."""
    return sha256(encode((plan, ranges))).hexdigest()


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
