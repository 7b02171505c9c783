"""Random transfers in both directions between two parties, over one link.

Once a session: 128 base transfers (:mod:`sotto.mpc.ot.base_ot`) start the direction in which Alice chooses; 128 of its
transfers start the other.

    Alice -> Bob    ot.base          one point
    Bob -> Alice    ot.choices       128 points
    Alice -> Bob    ot.seeds.bob     sums that let Bob complete all but one seed of each tree
    Alice -> Bob    ot.start         the first 128 transfers in which Alice chooses
    Bob -> Alice    ot.seeds.alice   the same for her
    both            ot.extend        from then on, for each supply of transfers
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np

from sotto.link import Link
from sotto.mpc.exact_messages import receive_exactly
from sotto.mpc.ot import base_ot
from sotto.mpc.ot.extension import FIELD_BITS, SECURITY_BITS, Bits, Receiver, Sender, receiver_of, sender_of
from sotto.mpc.ot.hashing import Blocks
from sotto.mpc.ot.punctured import punctured_bytes

ALICE, BOB = 0, 1


@dataclass(frozen=True, repr=False)
class Supply:
    """Random transfers of both directions, each for one use.

    ``choices`` (n,) and ``chosen`` (n, 2): own choices and their pads; ``first`` and ``second`` (m, 2): both pads of
    the transfers in which the peer chooses.
    """

    choices: Bits
    chosen: Blocks
    first: Blocks
    second: Blocks


@dataclass(frozen=True, repr=False)
class Begun:
    """Transfers in which this party chooses, of which the peer does not know yet."""

    message: bytes
    choices: Bits
    chosen: Blocks


class Transfers:
    """One party's side; made by :func:`establish`."""

    def __init__(self, link: Link, receiver: Receiver, sender: Sender) -> None:
        self._link = link
        self._receiver = receiver
        self._sender = sender

    def __repr__(self) -> str:
        return f"<Transfers over {self._link!r}>"

    def supply(self, own: int, peers: int) -> Supply:
        """``own`` transfers in which this party chooses and ``peers`` in which the peer does, who asks likewise."""
        return self.finish(self.begin(own), peers)

    def begin(self, own: int) -> Begun:
        """This party's half of the work for ``own`` transfers, without a message: for while it waits anyway."""
        return Begun(*self._receiver.extend(own))

    def finish(self, begun: Begun, peers: int) -> Supply:
        """What was begun, and ``peers`` transfers in which the peer chooses; everything begun is finished in order."""
        received = self._link.exchange("ot.extend", begun.message, limit=self._sender.message_bytes(peers))
        return Supply(begun.choices, begun.chosen, *self._sender.extend(peers, received))


def establish(link: Link, rank: int, *, field_bits: int = FIELD_BITS) -> Transfers:
    """Set up with the peer; ``rank`` 0 is Alice.  Both sides pass the same ``field_bits`` k, one of 1, 2, 4 and 8.

    Larger k is less traffic and more work (:mod:`sotto.mpc.ot.extension`).  Raises :class:`sotto.link.LinkError`.
    """
    if field_bits not in (1, 2, 4, 8):
        raise ValueError("field_bits is 1, 2, 4 or 8")
    trees = SECURITY_BITS // field_bits
    if rank == ALICE:
        key = secrets.token_bytes(base_ot.KEY_BYTES)  # public: a fresh one, so that work on one session is for it alone
        receiver, seeds = receiver_of(base_ot.send(link, SECURITY_BITS), field_bits, key)
        start, choices, pads = receiver.extend(SECURITY_BITS)
        link.send("ot.seeds.bob", key + seeds)
        link.send("ot.start", start)
        message = bytes(receive_exactly(link, "ot.seeds.alice", punctured_bytes(trees, field_bits)))
        own = np.ascontiguousarray(pads).view(np.uint8)
        return Transfers(link, receiver, sender_of(choices, own, field_bits, message, key))
    choices, keys = base_ot.receive(link, SECURITY_BITS)
    told = bytes(receive_exactly(link, "ot.seeds.bob", base_ot.KEY_BYTES + punctured_bytes(trees, field_bits)))
    key, message = told[: base_ot.KEY_BYTES], told[base_ot.KEY_BYTES :]
    sender = sender_of(choices, keys, field_bits, message, key)
    both = sender.extend(SECURITY_BITS, link.receive("ot.start", limit=sender.message_bytes(SECURITY_BITS)))
    receiver, seeds = receiver_of(np.stack(both, axis=1).view(np.uint8), field_bits, key)
    link.send("ot.seeds.alice", seeds)
    return Transfers(link, receiver, sender)
