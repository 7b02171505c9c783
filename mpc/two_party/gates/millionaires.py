"""Whether Alice's number is below Bob's, as shared bits: leaves of four bits by 1-of-16 transfers, then ANDs.

For leaf j Bob makes a table of [v < b_j] and [v = b_j] for every v, both under random bits of his, which are his
shares, and sends it row by row under pads of which Alice has the one for v = a_j.  Row v is masked by the sum of one
pad for each bit of v, out of two that Bob has; two bits of every pad stand ready for each of the 16 rows, so that the
rows which Alice lacks are under bits she has not seen, each row under its own.  Her choices were random: she tells Bob
which bits to flip, a_j + c_j, and he swaps those pads.

The tree joins a higher node with a lower one: less = less_high + equal_high · less_low, equal = equal_high · equal_low,
with a bit triple each.  Source: Rathee et al., "SIRNN" (IEEE S&P 2021), section 3, and Huang et al., "Cheetah".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates.correlations import Bits, Tables, Triples, packed
from sotto.mpc.two_party.gates.gate_sizes import LEAF_BITS, Gate

_ROWS = 1 << LEAF_BITS
_LESS = np.uint32(0x55555555)  # the lower bit of every row
#: For each bit of a row's number, the bits of a table in whose rows it is not set.
_UNSET = tuple(np.uint32(sum(3 << 2 * row for row in range(_ROWS) if not row >> bit & 1)) for bit in range(LEAF_BITS))

Exchange = Callable[[str, bytes], bytearray]


def flips(gate: Gate, words: Words, choices: Bits) -> Bits:
    """Which of Bob's pads to swap (D, N): the bits of Alice's number against her random choices."""
    shifts = np.arange(sum(gate.leaves), dtype=np.uint64)[:, None]
    return ((words >> shifts).astype(np.uint8) & np.uint8(1)) ^ choices


def tables_bytes(gate: Gate, count: int) -> int:
    """Size of the tables of ``count`` elements on the wire."""
    return sum(packed_bytes(count, 2 << size) for size in gate.leaves)


def masks(gate: Gate, pads: Tables, flipped: Bits) -> Tables:
    """Bob's masks of every leaf's table (leaves, N), from both pads (2, D, N)."""
    swapped = (pads[0] ^ pads[1]) * flipped
    first, second = pads[0] ^ swapped, pads[1] ^ swapped
    out = np.zeros((len(gate.leaves), pads.shape[2]), np.uint32)
    bit = 0
    for leaf, size in enumerate(gate.leaves):
        for place in range(size):
            out[leaf] ^= first[bit] & _UNSET[place] | second[bit] & ~_UNSET[place]
            bit += 1
    return out


def tables(gate: Gate, words: Words, masked: Tables, shares: Bits) -> bytes:
    """Bob's message for his numbers (N,); ``shares`` (2, leaves, N) are his bits of "less" and of "equal"."""
    sent, shift = [], 0
    for leaf, size in enumerate(gate.leaves):
        value = (words >> np.uint64(shift)).astype(np.uint32) & np.uint32((1 << size) - 1)
        shift += size
        low = np.uint32(1) << 2 * value
        table = (low - np.uint32(1)) & _LESS | low << np.uint32(1)
        table ^= _LESS * shares[0, leaf] ^ (_LESS << np.uint32(1)) * shares[1, leaf]
        sent.append(pack((table ^ masked[leaf]).astype(np.uint64), 2 << size))
    return b"".join(sent)


def open_tables(gate: Gate, words: Words, pads: Tables, message: memoryview) -> Bits:
    """Alice's shares (2, leaves, N) of "less" and "equal" for her numbers (N,)."""
    count = len(words)
    out = np.empty((2, len(gate.leaves), count), np.uint8)
    bit = 0
    for leaf, size in enumerate(gate.leaves):
        length = packed_bytes(count, 2 << size)
        table = unpack(message[:length], count, 2 << size).astype(np.uint32)
        message = message[length:]
        table ^= np.bitwise_xor.reduce(pads[bit : bit + size], axis=0)
        value = (words >> np.uint64(bit)).astype(np.uint32) & np.uint32((1 << size) - 1)
        row = (table >> 2 * value).astype(np.uint8)
        out[0, leaf], out[1, leaf] = row & 1, row >> 1 & 1
        bit += size
    return out


def joined(gate: Gate, first: bool, leaves: Bits, triples: Triples, exchange: Exchange) -> Bits:
    """A share (bytes,) of "less" for the whole numbers, from those of the leaves (2, leaves, N); packed.

    ``first``: whether this is the party that adds products of opened bits.  ``exchange(level, payload)`` opens.
    """
    less, equal = packed(leaves)
    used = 0
    for number, pairs in enumerate(gate.levels):
        low = np.stack([less[: 2 * pairs : 2], equal[: 2 * pairs : 2]])
        product = _ands(number, first, equal[1 : 2 * pairs : 2], low, triples, used, exchange)
        used += pairs
        less = np.concatenate([less[1 : 2 * pairs : 2] ^ product[0], less[2 * pairs :]])
        equal = np.concatenate([product[1], equal[2 * pairs :]])
    return less[0]


def all_set(levels: tuple[int, ...], first: bool, rows: Bits, triples: Triples, exchange: Exchange) -> Bits:
    """A share (bytes,) of the AND of all ``rows`` (R, bytes), as in :func:`joined`."""
    used = 0
    for number, pairs in enumerate(levels):
        product = _ands(number, first, rows[1 : 2 * pairs : 2], rows[None, : 2 * pairs : 2], triples, used, exchange)
        used += pairs
        rows = np.concatenate([product[0], rows[2 * pairs :]])
    return rows[0]


def _ands(level: int, first: bool, left: Bits, right: Bits, triples: Triples, used: int, exchange: Exchange) -> Bits:
    """Shares of left (pairs, bytes) times each of right (1 or 2, pairs, bytes), with the triples from ``used`` on."""
    products, pairs = right.shape[:2]
    taken = slice(used, used + pairs)
    a, b, c = triples.a[taken], triples.b[:products, taken], triples.c[:products, taken]
    sent = np.concatenate([(left ^ a)[None], right ^ b])
    received = np.frombuffer(exchange(f"and{level + 1}", sent.tobytes()), np.uint8)
    opened = sent ^ received.reshape(sent.shape)
    product = c ^ (opened[0] & b) ^ (opened[1:] & a)
    return product ^ (opened[0] & opened[1:]) if first else product
