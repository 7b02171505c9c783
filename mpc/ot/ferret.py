"""Silent extension: 789,564 correlated transfers for a message of 2.5 bits each, from 80,836 others.

Ferret (Yang, Weng, Lan, Zhang and Wang, "Ferret: Fast extension for correlated OT with small communication", CCS 2020),
figure 8, with regular noise and against semi-honest parties. Of the correlated transfers that a round starts from, some
grow trees (:mod:`sotto.mpc.ot.correlated_tree`), so that the parties' blocks are the same but at 1,700 places, which
only the receiver knows; the others, encoded by a public code (:mod:`sotto.mpc.ot.sparse_code`), are added to them:

    receiver    M = code(m) + leaves         sender    K = code(k) + leaves         M = K + x · Delta

where x, the choices, are code(choices of m) + noise.  A round keeps as many for the next one; the others are to use.

A choice is the lowest bit of M.  For that both parties see to it that the lowest bit of Delta is 1 and that of every k
is 0, which leaves 127 bits of Delta to guess.

What hides what: the sender sees nothing at all of the receiver's, the choices that grow trees are used once, and x
looks uniform by the assumption of learning parity with noise; the receiver sees sums under blocks k_i that it lacks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from sotto.link import BadValue, FrameError
from sotto.link.secret_stream import SecretStream
from sotto.mpc.errors import ProtocolError
from sotto.mpc.ot.correlated_tree import complete, grow
from sotto.mpc.ot.hashing import Blocks, permuted
from sotto.mpc.ot.sparse_code import MESSAGE, STANDARD, Noise, add_encoded
from sotto.mpc.sharing.ring import Words

Bits = npt.NDArray[np.uint8]

_LOWEST = np.uint64(1)


@dataclass(frozen=True)
class Size:
    """How many transfers a round of such noise takes and gives."""

    noise: Noise = STANDARD

    @property
    def base(self) -> int:
        """Transfers that a round starts from."""
        return MESSAGE + self.noise.trees * self.noise.depth

    @property
    def gain(self) -> int:
        """Transfers that it gives, those for the next round apart."""
        return self.noise.places - self.base

    @property
    def message_bytes(self) -> int:
        """Size of the sender's message."""
        return 16 * self.noise.trees * self.noise.depth


class _Round:
    """What both sides have: base blocks for the next round, and public keys that no two rounds share."""

    def __init__(self, base: Blocks, key: bytes, size: Size) -> None:
        if len(base) != size.base:
            raise BadValue("wrong-number", f"a round starts from {size.base} transfers, not {len(base)}")
        self.size = size
        self._base = base
        self._key, self._tree_key = key, _derived(key, b"trees")
        self._process = os.getpid()
        self.rounds = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.rounds} rounds made>"

    @property
    def _code_key(self) -> bytes:
        """Of the current round's code: what was worked out of one says nothing of another's noise."""
        return _derived(self._key, b"code %d " % self.rounds)

    def _taken(self) -> tuple[Blocks, Words, Words]:
        """The message of the code, the blocks that grow trees, and the keys of their levels."""
        if self._process != os.getpid():
            raise ProtocolError(
                "forked", "a forked process would repeat its parent's transfers: prepare in the child itself"
            )
        noise = self.size.noise
        trees = self._base[MESSAGE:].reshape(noise.trees, noise.depth, 2)
        count = noise.trees * noise.depth
        counters = np.arange(count, dtype=np.uint64) + np.uint64(self.rounds * count)
        # Distinct blocks under a permutation are distinct keys.
        keys = permuted(np.stack([counters, np.zeros_like(counters)], axis=1), self._tree_key)
        self.rounds += 1
        return self._base[:MESSAGE], trees, keys.reshape(trees.shape)

    def _finished(self, message: Blocks, leaves: Words) -> Blocks:
        """The round's transfers (gain, 2); the others are the next round's."""
        out = leaves.reshape(-1, 2)
        add_encoded(message, self._code_key, out)
        self._base = out[: self.size.base].copy()
        return out[self.size.base :]


class SilentReceiver(_Round):
    """The side with choices: the lowest bits of its blocks."""

    @classmethod
    def of(cls, choices: Bits, blocks: Blocks, key: bytes, size: Size | None = None) -> SilentReceiver:
        """From ``choices`` (base,) and blocks (base, 2) of correlated transfers."""
        return cls(_lowest_cleared(blocks) | _column(choices), key, size or Size())

    def extend(self, message: bytes | memoryview) -> Blocks:
        """A round's blocks (gain, 2), from the sender's message."""
        if len(message) != self.size.message_bytes:
            raise FrameError(
                "wrong-count", "the peer extends by another number of transfers: both sides need the same release"
            )
        base, trees, keys = self._taken()
        known = trees ^ np.frombuffer(message, np.uint64).reshape(trees.shape)
        leaves, places = complete((trees[..., 0] & _LOWEST).astype(np.uint8), known, keys)
        leaves[..., 0] &= ~_LOWEST
        leaves[np.arange(len(leaves)), places, 0] |= _LOWEST
        return self._finished(base, leaves)


class SilentSender(_Round):
    """The side with Delta, whose lowest bit is 1."""

    def __init__(self, base: Blocks, delta: Blocks, key: bytes, size: Size) -> None:
        super().__init__(base, key, size)
        self.delta = delta
        self._stream = SecretStream("mpc ferret roots")

    @classmethod
    def of(cls, delta: Blocks, blocks: Blocks, key: bytes, size: Size | None = None) -> SilentSender:
        """From ``delta`` (2,), whatever its lowest bit, and blocks (base, 2) of correlated transfers."""
        return cls(_lowest_cleared(blocks), delta | np.array([1, 0], np.uint64), key, size or Size())

    def extend(self) -> tuple[bytes, Blocks]:
        """The message for the receiver and a round's blocks (gain, 2)."""
        base, trees, keys = self._taken()
        roots = np.frombuffer(self._stream.bytes(16 * len(trees)), np.uint64).reshape(-1, 2)
        leaves, sums = grow(self.delta, roots, keys)
        leaves[..., 0] &= ~_LOWEST
        return (trees ^ sums).tobytes(), self._finished(base, leaves)


def choices_of(blocks: Blocks) -> Bits:
    """The choices (n,) in a receiver's blocks (n, 2)."""
    return (blocks[:, 0] & _LOWEST).astype(np.uint8)


def _derived(key: bytes, purpose: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(b"sotto ferret\0" + purpose + key)
    return digest.finalize()[:16]


def _lowest_cleared(blocks: Blocks) -> Blocks:
    return blocks & ~_column(np.ones(1, np.uint8))


def _column(bits: Bits) -> Blocks:
    return np.stack([bits.astype(np.uint64), np.zeros(len(bits), np.uint64)], axis=1)
