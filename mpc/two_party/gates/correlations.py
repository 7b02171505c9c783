"""What random oblivious transfers become ahead of a query: the correlated randomness of one gate, one party's part.

A gate of N elements takes, for each element, transfers in which Alice chooses and transfers in which Bob does
(:mod:`sotto.mpc.two_party.gates.gate_sizes`).  From a transfer of Bob's pads (k_0, k_1) and Alice's choice c with k_c:

    leaves      pads for tables of 2 bits a row (:mod:`sotto.mpc.two_party.gates.millionaires`)
    wrap        a product of her bit and his, once she has told him her bit masked by c
    triples     bits a, b = (b_0, b_1), c = (a b_0, a b_1), shared by XOR: c and k_0 + k_1 are one party's a and the
                other's b, and k_c and k_0 shares of their product; one transfer each way, nothing is sent
    selection   a random bit beta, shared by XOR and as a number, a random rho and beta · rho: likewise, and one word of
                Bob's for the cross product of beta's shares

Words are modulo 2^64, of which the low bits count; bit vectors of N elements are packed, eight a byte, lowest first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sotto.mpc.ot import Supply
from sotto.mpc.ot.hashing import Blocks
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.gate_sizes import Size

Bits = npt.NDArray[np.uint8]
Tables = npt.NDArray[np.uint32]


@dataclass(frozen=True, repr=False)
class Triples:
    """Shares of K bit triples for each element: a (K, bytes), b and c (2, K, bytes)."""

    a: Bits
    b: Bits
    c: Bits


@dataclass(frozen=True, repr=False)
class Selection:
    """Shares of beta (bytes,) by XOR, and of beta, rho and beta · rho (N,) as words."""

    bit: Bits
    number: Words
    rho: Words
    product: Words

    def complete(self, correction: Words) -> Selection:
        """Alice's, with Bob's words (N,) for the product of both parties' bits."""
        bit = unpacked(self.bit, len(self.rho))
        return replace(self, number=self.number - 2 * bit * correction)


@dataclass(frozen=True, repr=False)
class AliceGate:
    """Alice's part: choices (D, N), pads (D, N) of the leaves' transfers, (N,) of the wrap's."""

    choices: Bits
    pads: Tables
    wrap_choice: Bits | None
    wrap_pad: Words | None
    triples: Triples
    selection: Selection | None


@dataclass(frozen=True, repr=False)
class BobGate:
    """Bob's part: both pads (2, D, N) of the leaves' transfers, (2, N) of the wrap's."""

    pads: Tables
    wrap_pads: Words | None
    triples: Triples
    selection: Selection | None


class Reader:
    """Takes transfers off a supply, own choices and the peer's apart."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._own = self._peers = 0

    def own(self, *shape: int) -> tuple[Bits, Blocks]:
        """Choices and pads (*shape) and (*shape, 2)."""
        count = int(np.prod(shape))
        taken = slice(self._own, self._own + count)
        self._own += count
        return self._supply.choices[taken].reshape(shape), self._supply.chosen[taken].reshape(*shape, 2)

    def peers(self, *shape: int) -> Blocks:
        """Both pads (2, *shape, 2) of transfers in which the peer chose."""
        count = int(np.prod(shape))
        taken = slice(self._peers, self._peers + count)
        self._peers += count
        return np.stack([each[taken].reshape(*shape, 2) for each in (self._supply.first, self._supply.second)])


def alice_gate(gate: Size, count: int, reader: Reader) -> AliceGate:
    """Alice's part for ``count`` elements; a selection waits for Bob's words (:meth:`Selection.complete`)."""
    choices, pads = reader.own(sum(gate.leaves), count)
    leaves = pads[..., 0].astype(np.uint32)
    wrap_choice = wrap_pad = None
    if gate.extension > 0:
        wrap_choice, pad = reader.own(count)
        wrap_pad = pad[:, 0].copy()
    triples = _triples(sum(gate.levels), count, reader)
    if not gate.selects:
        return AliceGate(choices, leaves, wrap_choice, wrap_pad, triples, None)
    bit, pad = reader.own(count)
    own, product = _selection(bit, pad, reader.peers(count))
    selection = Selection(packed(bit), bit - 2 * pad[:, 1], own, product)
    return AliceGate(choices, leaves, wrap_choice, wrap_pad, triples, selection)


def bob_gate(gate: Size, count: int, reader: Reader) -> tuple[BobGate, Words | None]:
    """Bob's part for ``count`` elements, and what Alice needs for the selection."""
    pads = reader.peers(sum(gate.leaves), count)[..., 0].astype(np.uint32)
    wrap = reader.peers(count)[..., 0].copy() if gate.extension > 0 else None
    triples = _triples(sum(gate.levels), count, reader)
    if not gate.selects:
        return BobGate(pads, wrap, triples, None), None
    both = reader.peers(count)
    bit, pad = reader.own(count)
    own, product = _selection(bit, pad, both)
    first, second = both[0, :, 1], both[1, :, 1]
    selection = Selection(packed(bit), bit + 2 * first, own, product)
    return BobGate(pads, wrap, triples, selection), first - second + bit


def _triples(count: int, elements: int, reader: Reader) -> Triples:
    choices, pads = reader.own(count, elements)
    both = reader.peers(count, elements)[..., 0]
    a = packed(choices)
    b, c = [], []
    for place in (0, 1):
        shift = np.uint64(place)
        chosen, first, second = (packed((words >> shift).astype(np.uint8) & 1) for words in (pads[..., 0], *both))
        b.append(first ^ second)
        c.append(a & b[-1] ^ chosen ^ first)
    return Triples(a, np.stack(b), np.stack(c))


def _selection(bit: Bits, pad: Blocks, both: Blocks) -> tuple[Words, Words]:
    """This party's rho, and its share of beta · rho; beta is the XOR of both parties' bits."""
    first, second = both[0, :, 0], both[1, :, 0]
    sign = 1 - 2 * bit.astype(np.int64).view(np.uint64)
    rho = sign * (second - first)
    return rho, bit * rho - first + pad[:, 0]


def packed(bits: Bits) -> Bits:
    """Bits (…, N) as bytes (…, ceil(N / 8))."""
    return np.packbits(bits, axis=-1, bitorder="little")


def unpacked(data: Bits, count: int) -> Bits:
    """The first ``count`` bits of bytes (…, bytes)."""
    return np.unpackbits(data, axis=-1, bitorder="little", count=count)
