"""max(y, 0) cut by some bits, or y cut, on shares; what crosses the link for it.

Each party cuts its own share, Alice's rounded up: the sum is floor(y / 2^cut) or one more, and never anything else,
because it is taken modulo 2^width and widened exactly.  For z >= 0 in shares h_0 + h_1 = z modulo 2^width, with top
bits m_0 and m_1 and f_i the shares as signed numbers,

    z = f_0 + f_1 + 2^width · m_0 · m_1

so widening takes one product of bits, one transfer.  A comparison finds the top bit of z, which is m_0 + m_1 + carry
(XOR), the carry being "Alice's inverted low bits are below Bob's" (:mod:`sotto.mpc.two_party.gates.millionaires`); then
z times the inverted bit by a ready-made product of a random bit beta and a random rho: z - rho and the bit plus beta
are opened.  A truncation first adds a constant, so that z >= 0.  With cut = 0 everything is exact.

    Alice -> Bob    <gate>.choices    her low bits and top bit against her random choices; ahead of the query
                                      where her share is known then
    Bob -> Alice    <gate>.tables     masked rows, and what makes m_0 · m_1
    both            <gate>.and1 …     openings of the tree
    both            <gate>.select     openings of the selection

Every bit and word opened is under a mask used once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sotto.link import Link
from sotto.link.secret_stream import SecretStream
from sotto.mpc.protocols.exact_messages import exchange_exactly, receive_exactly
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates import millionaires
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates.correlations import AliceGate, Bits, BobGate, Selection, packed, unpacked
from sotto.mpc.two_party.gates.gate_sizes import Gate, Size


class _Half:
    """One party's share of a gate's input, cut: low bits to compare, the top bit and the signed number."""

    def __init__(self, gate: Gate, share: Words) -> None:
        cut = (share.ravel() & _mask(gate.needs)) >> np.uint64(gate.cut)
        top = np.uint64(gate.width - 1)
        self.low = cut & _mask(gate.width - 1)
        self.top = (cut >> top).astype(np.uint8) & np.uint8(1)
        self.signed = (cut ^ np.uint64(1) << top) - (np.uint64(1) << top)


def alice_choices(gate: Gate, prepared: AliceGate, share: Words) -> tuple[bytes, AliceInput]:
    """Alice's message about her share of a gate's input, and the share as the gate takes it."""
    added = (1 << gate.cut) - 1
    if not gate.compares:
        added += 1 << (gate.needs - 3)
    half = _Half(gate, share + np.uint64(added))
    # Alice's number is all ones minus her low bits: "its sum with Bob's carries" is "it is below Bob's".
    number = half.low ^ _mask(gate.width - 1)
    sent = [millionaires.flips(gate, number, prepared.choices)]
    if prepared.wrap_choice is not None:
        sent.append((half.top ^ prepared.wrap_choice)[None])
    return packed(np.concatenate(sent)).tobytes(), AliceInput(number, half.top, half.signed)


@dataclass(frozen=True, repr=False)
class AliceInput:
    """Alice's share (N,) of a gate's input: the number she compares, her top bit, the share as a signed number."""

    number: Words
    top: Bits
    signed: Words


class AliceSide:
    """Alice's side of one gate over N elements."""

    def __init__(self, name: str, gate: Gate, prepared: AliceGate, link: Link) -> None:
        self._name = name
        self._gate = gate
        self._prepared = prepared
        self._link = link
        self.chosen = Selector(name, gate, True, prepared.selection, link)

    def choose(self, share: Words) -> AliceInput:
        """Tell Bob her choices during the query."""
        message, own = alice_choices(self._gate, self._prepared, share)
        if message:
            self._link.send(f"{self._name}.choices", message)
        return own

    def run(self, own: AliceInput) -> Words:
        """Her share (N,) of the output, once Bob knows her choices."""
        gate, prepared = self._gate, self._prepared
        count = len(own.number)
        size = millionaires.tables_bytes(gate, count)
        length = size + _wrap_bytes(gate, count)
        message = memoryview(receive_exactly(self._link, f"{self._name}.tables", length) if length else b"")
        wide = own.signed
        if prepared.wrap_pad is not None:
            difference = unpack(message[size:], count, gate.extension)
            wide = wide + (prepared.wrap_pad + own.top * difference << np.uint64(gate.width))
        if not gate.compares:
            return wide - np.uint64(1 << (gate.width - 3))
        leaves = millionaires.open_tables(gate, own.number, prepared.pads, message[:size])
        less = millionaires.joined(gate, True, leaves, prepared.triples, partial(_exchange, self._link, self._name))
        positive = less ^ packed(1 - own.top)
        if prepared.selection is None:
            return unpacked(positive, count).astype(np.uint64)
        return self.chosen.of(wide, positive)


class BobSide:
    """Bob's side of one gate over N elements."""

    def __init__(self, name: str, gate: Gate, prepared: BobGate, link: Link, stream: SecretStream) -> None:
        self._name = name
        self.gate = gate
        self._prepared = prepared
        self._link = link
        self._stream = stream
        self.chosen = Selector(name, gate, False, prepared.selection, link)

    def hear(self, choices: memoryview, count: int) -> None:
        """Alice's message, of :func:`choices_bytes` bytes."""
        gate, rows = self.gate, sum(self.gate.leaves)
        data = np.frombuffer(choices, np.uint8).reshape(rows + (gate.extension > 0), -(-count // 8))
        flipped = unpacked(data, count)
        self._masks = millionaires.masks(gate, self._prepared.pads, flipped[:rows])
        if self._prepared.wrap_pads is not None:
            first, second = self._prepared.wrap_pads
            swapped = (first ^ second) * flipped[rows]
            self._wrap = first ^ swapped, second ^ swapped

    def run(self, share: Words) -> Words:
        """His share (N,) of the output from that of the gate's input."""
        gate, prepared = self.gate, self._prepared
        half = _Half(gate, share)
        count = len(half.low)
        leaves = self._stream.bits(2 * len(gate.leaves) * count).reshape(2, len(gate.leaves), count)
        message, wide = millionaires.tables(gate, half.low, self._masks, leaves), half.signed
        if prepared.wrap_pads is not None:
            first, second = self._wrap
            message += pack(first - second + half.top, gate.extension)
            wide = wide - (first << np.uint64(gate.width))
        if message:
            self._link.send(f"{self._name}.tables", message)
        if not gate.compares:
            return wide
        less = millionaires.joined(gate, False, leaves, prepared.triples, partial(_exchange, self._link, self._name))
        positive = less ^ packed(half.top)
        if prepared.selection is None:
            return unpacked(positive, count).astype(np.uint64)
        return self.chosen.of(wide, positive)


class Selector:
    """One party's side of products of a bit shared by XOR and a word.  ``first``: whether it is Alice's."""

    def __init__(self, name: str, size: Size, first: bool, prepared: Selection | None, link: Link) -> None:
        self._name, self._size, self._first = name, size, first
        self._prepared = prepared
        self._link = link

    def of(self, value: Words, bit: Bits) -> Words:
        """Its share (N,) of bit · value; the bits are packed."""
        prepared = self._ready()
        count, modulus = len(value), self._size.modulus
        own = value - prepared.rho
        sent = bit ^ prepared.bit
        payload = sent.tobytes() + pack(own, modulus)
        received = memoryview(exchange_exactly(self._link, f"{self._name}.select", payload))
        self._opened_bit = unpacked(sent ^ np.frombuffer(received[: len(sent)], np.uint8), count)
        opened = own + unpack(received[len(sent) :], count, modulus)
        flipped = opened * prepared.number + prepared.product  # a share of beta · value
        plain = prepared.rho + opened if self._first else prepared.rho  # a share of value
        return np.where(self._opened_bit == 1, plain - flipped, flipped)

    def bit(self) -> Words:
        """Its share (N,) of the bits themselves, as numbers, after :meth:`of`."""
        number = self._ready().number
        return np.where(self._opened_bit == 1, np.uint64(self._first) - number, number)

    def _ready(self) -> Selection:
        if self._prepared is None:
            raise TypeError(f"nothing was prepared for the choice in {self._name}")
        return self._prepared


def choices_bytes(gate: Gate, count: int) -> int:
    """Size of Alice's message about her share."""
    return (sum(gate.leaves) + (gate.extension > 0)) * -(-count // 8)


def _exchange(link: Link, name: str, level: str, payload: bytes) -> bytearray:
    return exchange_exactly(link, f"{name}.{level}", payload)


def _wrap_bytes(gate: Gate, count: int) -> int:
    return packed_bytes(count, gate.extension) if gate.extension > 0 else 0


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)
