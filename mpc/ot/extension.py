"""Oblivious transfer extension: many random transfers from 128, for some bits of traffic each.

SoftSpoken (Roy, "SoftSpokenOT: Quieter oblivious transfer extension from small-field silent VOLE in the minicrypt
model", CRYPTO 2022) against semi-honest parties.  With k = 1 it is IKNP (Ishai, Kilian, Nissim and Petrank 2003).

There are 128 / k trees of 2^k seeds; the receiver has all seeds, the sender all but the one at a place Delta_i in each
(:mod:`sotto.mpc.ot.punctured`).  Every seed is the key of a stream r_x.  For each tree and each transfer the receiver
has u_i = sum of all r_x and v_i = sum of x · r_x (XOR, x as k bits), the sender w_i = sum of (x + Delta_i) · r_x =
v_i + Delta_i · u_i, for which it does not need the missing stream.  u_0 becomes the receiver's random choice; it sends
u_i + u_0 for the other trees and the sender adds that times Delta_i, so all trees carry one choice c:
w = v + c · Delta over 128 bits, a correlated transfer.  The hash (:mod:`sotto.mpc.ot.hashing`) breaks the correlation:

    sender    H(w), H(w + Delta)         receiver    c, H(v)

so each transfer costs 128 / k - 1 bits, one way, and 2^k · 128 / k pseudorandom bits on either side.

What hides what: the sender lacks one stream of each tree, so what the receiver sends is uniform to it (AES-128 as
stream cipher) and c stays hidden; the receiver would have to guess Delta, 128 bits, or break the hash to learn the
other pad.  Not against malicious parties: nothing checks that the receiver uses one choice for all trees.

Both sides must extend by the same counts in the same order.  A transfer is handed out once, its number goes into the
hash, and after a fork a state refuses to work, because two processes would hand out the same.
"""

from __future__ import annotations

import os
import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from sotto.link import BadValue, FrameError
from sotto.mpc.errors import ProtocolError
from sotto.mpc.ot.base_ot import Keys
from sotto.mpc.ot.bit_matrix import blocks_of, folded
from sotto.mpc.ot.hashing import Blocks, hashed
from sotto.mpc.ot.punctured import Seeds, complete, grow
from sotto.mpc.sharing.ring import Words

SECURITY_BITS = 128
FIELD_BITS = 4  # k
BATCH = 512  # transfers are made in multiples of so many

Bits = npt.NDArray[np.uint8]


class _Streams:
    """The streams of all seeds, each advanced by the same number of words at a time."""

    def __init__(self, seeds: Seeds) -> None:
        trees, leaves, _ = seeds.shape
        self.depth = leaves.bit_length() - 1
        if trees * self.depth != SECURITY_BITS or 1 << self.depth != leaves:
            raise BadValue("wrong-levels", f"the trees of an extension have {SECURITY_BITS} levels together")
        self._process = os.getpid()
        self._ciphers = [[_stream(seed.tobytes()) for seed in tree] for tree in seeds]
        self.used = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.used} transfers made>"

    def next(self, transfers: int) -> tuple[Words, Words]:
        """v (128, words) and u (trees, words) of the next ``transfers``, a multiple of the batch."""
        if self._process != os.getpid():
            raise ProtocolError(
                "forked", "a forked process would repeat its parent's transfers: prepare in the child itself"
            )
        words = transfers // 64
        zeros = bytes(8 * words)
        planes = np.empty((SECURITY_BITS, words), np.uint64)
        totals = np.empty((len(self._ciphers), words), np.uint64)
        streams = np.empty((1 << self.depth, words), np.uint64)
        for tree, ciphers in enumerate(self._ciphers):
            for row, cipher in zip(streams, ciphers, strict=True):
                row[:] = np.frombuffer(cipher.update(zeros), np.uint64)
            folded(streams, planes[tree * self.depth : (tree + 1) * self.depth], totals[tree])
        self.used += transfers
        return planes, totals


class Receiver:
    """The side with random choices.  ``seeds`` (trees, 2^k, 16) are all of them."""

    def __init__(self, seeds: Seeds, hash_key: bytes) -> None:
        self._streams = _Streams(seeds)
        self._key = hash_key

    def __repr__(self) -> str:
        return f"<Receiver {self._streams!r}>"

    def extend(self, count: int) -> tuple[bytes, Bits, Blocks]:
        """The message for the sender, random choices (count,) of 0 and 1, and their pads (count, 2)."""
        first = self.used
        message, choices, blocks = self.correlated(count)
        return message, choices[:count], hashed(blocks, first, self._key)[:count]

    def correlated(self, count: int) -> tuple[bytes, Bits, Blocks]:
        """The message, and the choices and blocks v of whole batches, before the correlation is broken."""
        planes, totals = self._streams.next(_whole(count))
        choices = np.unpackbits(totals[0].view(np.uint8), bitorder="little")
        return (totals[1:] ^ totals[0]).tobytes(), choices, blocks_of(planes)

    @property
    def used(self) -> int:
        """Transfers made: the number of the next one."""
        return self._streams.used


class Sender:
    """The side with both pads.  Of each tree ``seeds`` lacks the one at ``holes``; anything stands in its place."""

    def __init__(self, seeds: Seeds, holes: npt.NDArray[np.uint8], hash_key: bytes) -> None:
        trees, leaves, _ = seeds.shape
        order = np.arange(leaves)[None, :] ^ holes[:, None]
        seeds = np.take_along_axis(seeds, order[:, :, None].astype(np.int64), axis=1)
        # Row 0 of a tree counts in no plane.  Nobody must be able to take its stream for the missing one.
        seeds[:, 0] = np.frombuffer(secrets.token_bytes(trees * seeds.shape[2]), np.uint8).reshape(trees, -1)
        self._streams = _Streams(seeds)
        bits = holes[:, None] >> np.arange(self._streams.depth, dtype=np.uint8) & 1
        self.delta = np.packbits(bits.reshape(-1), bitorder="little").view(np.uint64)
        self._masks = np.uint64(0) - bits.astype(np.uint64)  # all ones where Delta has a one: no branch on its bits
        self._key = hash_key

    def __repr__(self) -> str:
        return f"<Sender {self._streams!r}>"

    def extend(self, count: int, message: bytes | bytearray) -> tuple[Blocks, Blocks]:
        """Both pads (count, 2) of each transfer, from the receiver's message."""
        first = self.used
        blocks = self.correlated(count, message)
        return hashed(blocks, first, self._key)[:count], hashed(blocks ^ self.delta, first, self._key)[:count]

    def correlated(self, count: int, message: bytes | bytearray | memoryview) -> Blocks:
        """The blocks w of whole batches, before the correlation is broken."""
        transfers = _whole(count)
        if len(message) != self.message_bytes(count):
            raise FrameError(
                "wrong-count", "the peer extends by another number of transfers: both sides need the same release"
            )
        planes, _ = self._streams.next(transfers)
        trees, depth = self._masks.shape
        corrections = np.frombuffer(message, np.uint64).reshape(trees - 1, 1, transfers // 64)
        planes.reshape(trees, depth, -1)[1:] ^= corrections & self._masks[1:, :, None]
        return blocks_of(planes)

    @property
    def used(self) -> int:
        """Transfers made: the number of the next one."""
        return self._streams.used

    def message_bytes(self, count: int) -> int:
        """Size of the receiver's message."""
        return (SECURITY_BITS // self._streams.depth - 1) * _whole(count) // 8


def receiver_of(keys: Keys, depth: int, hash_key: bytes) -> tuple[Receiver, bytes]:
    """A receiver, from both keys (128, 2, 16) of transfers in which it was the sender; and its message."""
    seeds, message = grow(keys, depth, hash_key)
    return Receiver(seeds, hash_key), message


def sender_of(choices: Bits, keys: Keys, depth: int, message: bytes, hash_key: bytes) -> Sender:
    """A sender, from the choices (128,) and keys (128, 16) of transfers in which it was the receiver."""
    seeds, holes = complete(choices, keys, depth, message, hash_key)
    return Sender(seeds, holes, hash_key)


def _stream(seed: bytes) -> CipherContext:
    return Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()


def _whole(count: int) -> int:
    return -(-count // BATCH) * BATCH
