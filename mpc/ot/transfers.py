"""Random transfers in both directions between two parties, over one link.

Once a session: 128 base transfers (:mod:`sotto.mpc.ot.base_ot`) start the direction in which Alice chooses; 128 of its
transfers start the other.

    Alice -> Bob    ot.base          one point
    Bob -> Alice    ot.choices       128 points
    Alice -> Bob    ot.seeds.bob     sums that let Bob complete all but one seed of each tree
    Alice -> Bob    ot.start         the first 128 transfers in which Alice chooses
    Bob -> Alice    ot.seeds.alice   the same for her
    both            ot.extend        from then on, for each supply of transfers (:mod:`sotto.mpc.ot.extension`)
    both            ot.trees         or, from some number on, for hundreds of thousands (:mod:`sotto.mpc.ot.ferret`)

A direction goes over to silent extension with the supply that brings it above ``silent_from`` transfers.  A round of it
takes the time of some 400,000 transfers by the other extension and, with what starts it, the traffic of some 110,000;
after that a transfer costs a twentieth of the traffic and at most as much time, two thirds of it where no other process
wants the caches.  What is left of a round is for later supplies.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass

import numpy as np

from sotto.link import BadValue, FrameError, Link
from sotto.mpc.ot import base_ot
from sotto.mpc.ot.extension import FIELD_BITS, SECURITY_BITS, Bits, Receiver, Sender, receiver_of, sender_of
from sotto.mpc.ot.ferret import SilentReceiver, SilentSender, Size, choices_of
from sotto.mpc.ot.hashing import GROUP, Blocks, hashed
from sotto.mpc.ot.punctured import punctured_bytes
from sotto.mpc.protocols.exact_messages import receive_exactly

SILENT_FROM = 500_000

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


class _Direction:
    """One direction, as both parties know it: how a supply is made, and blocks of silent rounds not used yet.

    ``name``: who chooses.
    """

    def __init__(self, key: bytes, name: bytes, silent_from: int) -> None:
        self._key, self._silent_key = key, key + name
        self._silent_from = silent_from
        self._made = self._used = 0
        self._waiting: deque[Blocks] = deque()
        self._size = Size()
        self._is_silent = False

    def _starts(self, count: int) -> bool:
        """Whether a supply of ``count`` begins with the base of a silent round."""
        self._count = count
        self._made += count
        starts = not self._is_silent and self._made > self._silent_from
        self._is_silent = self._is_silent or starts
        left = sum(map(len, self._waiting))
        self._rounds = max(0, -(-(_whole(count) - left) // self._size.gain)) if self._is_silent else 0
        return starts

    def _take(self) -> Blocks:
        """Blocks of the supply's transfers and of those that fill the last group of the hash."""
        parts, missing = [np.empty((0, 2), np.uint64)], _whole(self._count)
        while missing:
            first = self._waiting.popleft()
            parts.append(first[:missing])
            if len(first) > missing:
                self._waiting.appendleft(first[missing:])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _pads(self, *blocks: Blocks) -> list[Blocks]:
        """The pads (count, 2) of the supply's transfers, by each party's or each choice's blocks."""
        pads = [hashed(each, self._used, self._key)[: self._count] for each in blocks]
        self._used += len(blocks[0])
        return pads


class _Choosing(_Direction):
    """The direction in which this party chooses."""

    def __init__(self, receiver: Receiver, key: bytes, name: bytes, silent_from: int) -> None:
        super().__init__(key, name, silent_from)
        self._receiver = receiver

    def begin(self, count: int) -> bytes:
        """The message of the extension, none where it is not needed."""
        base = self._size.base
        if self._starts(count):
            message, choices, blocks = self._receiver.correlated(base)
            self._silent = SilentReceiver.of(choices[:base], blocks[:base], self._silent_key, self._size)
            self._used = self._receiver.used
        elif self._is_silent:
            message = b""
        else:
            message, choices, chosen = self._receiver.extend(count)
            self._random = choices, chosen
        return message

    @property
    def trees_bytes(self) -> int:
        return self._rounds * self._size.message_bytes

    def finish(self, trees: memoryview) -> tuple[Bits, Blocks]:
        """Choices (count,) and their pads (count, 2)."""
        if not self._is_silent:
            return self._random
        size = self._size.message_bytes
        for number in range(self._rounds):
            self._waiting.append(self._silent.extend(trees[number * size : (number + 1) * size]))
        blocks = self._take()
        (pads,) = self._pads(blocks)
        return choices_of(blocks)[: self._count], pads


class _Offering(_Direction):
    """The direction in which the peer chooses."""

    def __init__(self, sender: Sender, key: bytes, name: bytes, silent_from: int) -> None:
        super().__init__(key, name, silent_from)
        self._sender = sender

    def begin(self, count: int) -> int:
        """Size of the message of the peer's extension; what can be done before it comes is done."""
        self._waits = self._starts(count)
        self._trees = b"" if self._waits else self._grown()
        if self._is_silent:
            return self._sender.message_bytes(self._size.base) if self._waits else 0
        return self._sender.message_bytes(count)

    def hear(self, message: bytes | bytearray) -> bytes:
        """The message that grows trees."""
        if self._waits:
            base = self._size.base
            blocks = self._sender.correlated(base, message)
            self._silent = SilentSender.of(self._sender.delta, blocks[:base], self._silent_key, self._size)
            self._used = self._sender.used
            self._trees = self._grown()
        elif not self._is_silent:
            self._random = self._sender.extend(self._count, message)
        return self._trees

    def _grown(self) -> bytes:
        messages = []
        for _ in range(self._rounds):
            message, blocks = self._silent.extend()
            messages.append(message)
            self._waiting.append(blocks)
        return b"".join(messages)

    def finish(self) -> tuple[Blocks, Blocks]:
        """Both pads (count, 2)."""
        if not self._is_silent:
            return self._random
        blocks = self._take()
        first, second = self._pads(blocks, blocks ^ self._silent.delta)
        return first, second


class Transfers:
    """One party's side; made by :func:`establish`."""

    def __init__(self, link: Link, choosing: _Choosing, offering: _Offering) -> None:
        self._link = link
        self._choosing = choosing
        self._offering = offering

    def __repr__(self) -> str:
        return f"<Transfers over {self._link!r}>"

    def supply(self, own: int, peers: int) -> Supply:
        """``own`` transfers in which this party chooses and ``peers`` in which the peer does, who asks likewise."""
        self.begin(own, peers)
        return self.finish()

    def begin(self, own: int, peers: int) -> None:
        """The part of the work for which no message is needed, for while this party waits anyway."""
        self._message = self._choosing.begin(own)
        self._expected = self._offering.begin(peers)

    def finish(self) -> Supply:
        """What was begun."""
        choosing, offering = self._choosing, self._offering
        received = self._exchange("ot.extend", self._message, self._expected)
        trees = self._exchange("ot.trees", offering.hear(received), choosing.trees_bytes)
        return Supply(*choosing.finish(memoryview(trees)), *offering.finish())

    def _exchange(self, name: str, payload: bytes, expected: int) -> bytes | bytearray:
        """What the peer sends, where either has something to send."""
        if not payload and not expected:
            return b""
        received = self._link.exchange(name, payload, limit=expected)
        if len(received) != expected:
            raise FrameError(
                "wrong-count", f"{self._link.peer} extends by another number of transfers: both sides need one release"
            )
        return received


def _whole(count: int) -> int:
    return -(-count // GROUP) * GROUP


def establish(link: Link, rank: int, *, field_bits: int = FIELD_BITS, silent_from: int = SILENT_FROM) -> Transfers:
    """Set up with the peer; ``rank`` 0 is Alice.  Both sides pass the same ``field_bits`` k, one of 1, 2, 4 and 8.

    Larger k is less traffic and more work (:mod:`sotto.mpc.ot.extension`); ``silent_from``, the same at both, says with
    how many transfers a direction goes over to silent extension.  Raises :class:`sotto.link.LinkError`.
    """
    if field_bits not in (1, 2, 4, 8):
        raise BadValue("unknown-width", "field_bits is 1, 2, 4 or 8")
    trees = SECURITY_BITS // field_bits
    if rank == ALICE:
        key = secrets.token_bytes(base_ot.KEY_BYTES)  # public: a fresh one, so that work on one session is for it alone
        receiver, seeds = receiver_of(base_ot.send(link, SECURITY_BITS), field_bits, key)
        start, choices, pads = receiver.extend(SECURITY_BITS)
        link.send("ot.seeds.bob", key + seeds)
        link.send("ot.start", start)
        message = bytes(receive_exactly(link, "ot.seeds.alice", punctured_bytes(trees, field_bits)))
        own = np.ascontiguousarray(pads).view(np.uint8)
        return _both(link, rank, receiver, sender_of(choices, own, field_bits, message, key), key, silent_from)
    choices, keys = base_ot.receive(link, SECURITY_BITS)
    told = bytes(receive_exactly(link, "ot.seeds.bob", base_ot.KEY_BYTES + punctured_bytes(trees, field_bits)))
    key, message = told[: base_ot.KEY_BYTES], told[base_ot.KEY_BYTES :]
    sender = sender_of(choices, keys, field_bits, message, key)
    both = sender.extend(SECURITY_BITS, link.receive("ot.start", limit=sender.message_bytes(SECURITY_BITS)))
    receiver, seeds = receiver_of(np.stack(both, axis=1).view(np.uint8), field_bits, key)
    link.send("ot.seeds.alice", seeds)
    return _both(link, rank, receiver, sender, key, silent_from)


def _both(link: Link, rank: int, receiver: Receiver, sender: Sender, key: bytes, silent_from: int) -> Transfers:
    own, peers = (b"alice", b"bob") if rank == ALICE else (b"bob", b"alice")  # who chooses
    return Transfers(link, _Choosing(receiver, key, own, silent_from), _Offering(sender, key, peers, silent_from))
