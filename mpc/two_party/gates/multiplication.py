"""Triples of words, a · b = c modulo 2^m, and squares, from transfers: for products of two secrets.

Each party's share of a factor are the choice bits of m transfers, a_0 = sum of c_i · 2^i.  The other party, with pads
(k_i, l_i) of transfer i and a word v, sends d_i = k_i - l_i + v, and the first has

    sum of 2^i · (its pad + c_i · d_i) = a_0 · v + sum of 2^i · k_i

so both hold shares of a_0 · v (Gilboa, "Two party RSA key generation", CRYPTO 1999).  Of d_i only m - i bits count.  A
triple takes a_0 · b_1 and a_1 · b_0, one each way; a square only 2 · a_0 · a_1.  Online x - a and y - b are opened
(Beaver 1991), of a square x - a.  A matrix product is made of the products of numbers in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sotto.link.secret_stream import SecretStream
from sotto.mpc.graph.layers import MatMul
from sotto.mpc.graph.program import SecretProduct
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.gates.correlations import Reader
from sotto.mpc.two_party.gates.gate_sizes import Multiplication


@dataclass(frozen=True, repr=False)
class WordTriples:
    """Shares (N,) of random factors and of their product; of a square both factors are one."""

    a: Words
    b: Words
    c: Words


class TripleMaker:
    """One party's side of N triples: :attr:`message` for the other, :meth:`finish` with the other's."""

    def __init__(self, size: Multiplication, count: int, first: bool, reader: Reader, stream: SecretStream) -> None:
        self._size, self._count, self._first = size, count, first
        self._word = np.frombuffer(stream.bytes(8 * count), np.uint64)
        self.message = b""
        self._offered = np.zeros(count, np.uint64)
        self._chooses = first or not size.square
        if self._chooses:
            self._choices, pads = reader.own(size.modulus, count)
            self._pads = pads[..., 0]
        if not first or not size.square:
            self._offer(reader.peers(size.modulus, count)[..., 0])

    def _offer(self, pads: Words) -> None:
        sent = []
        for bit in range(self._size.modulus):
            first, second = pads[:, bit]
            sent.append(pack(first - second + self._word, self._size.modulus - bit))
            self._offered -= first << np.uint64(bit)
        self.message = b"".join(sent)

    def finish(self, message: memoryview) -> WordTriples:
        """The triples, from the other party's message of :func:`message_bytes` bytes."""
        factor, cross = self._chosen(message) if self._chooses else (self._word, np.zeros_like(self._word))
        cross = cross + self._offered
        if self._size.square:
            return WordTriples(factor, factor, factor * factor + 2 * cross)
        return WordTriples(factor, self._word, factor * self._word + cross)

    def _chosen(self, message: memoryview) -> tuple[Words, Words]:
        """This party's factor, and its share of that times the other's word."""
        factor, cross = np.zeros(self._count, np.uint64), np.zeros(self._count, np.uint64)
        for bit in range(self._size.modulus):
            length = packed_bytes(self._count, self._size.modulus - bit)
            told = unpack(message[:length], self._count, self._size.modulus - bit)
            message = message[length:]
            shift = np.uint64(bit)
            cross += (self._pads[bit] + told * self._choices[bit]) << shift
            factor |= self._choices[bit].astype(np.uint64) << shift
        return factor, cross


def message_bytes(size: Multiplication, count: int, first: bool) -> int:
    """Size of the message of the first party, Alice, or of the other."""
    if first and size.square:
        return 0
    return sum(packed_bytes(count, bits) for bits in range(1, size.modulus + 1))


def factors(step: SecretProduct, shares: list[Words]) -> list[Words]:
    """Shares of the factors of each product of two numbers: (n, …) of one shape; of a square only one."""
    left, right = shares[0], shares[-1]
    if isinstance(step.layer, MatMul):
        left, right = left[..., :, :, None], right[..., None, :, :]
    elif step.square:
        return [left]
    shape = np.broadcast_shapes(left.shape, right.shape)
    return [np.broadcast_to(each, shape) for each in (left, right)]


def summed(step: SecretProduct, products: Words, examples: int) -> Words:
    """The step's output (n, *shape) from the products (N,) of numbers."""
    if not isinstance(step.layer, MatMul):
        return products.reshape(examples, *step.shape)
    inner = step.shapes[0][-1]
    shape = (examples, *step.shape[:-1], inner, step.shape[-1])
    total: Words = products.reshape(shape).sum(axis=-2, dtype=np.uint64)
    return total


def elements(step: SecretProduct) -> int:
    """Products of two numbers for each example."""
    count = int(np.prod(step.shape, dtype=np.int64))
    return count * step.shapes[0][-1] if isinstance(step.layer, MatMul) else count
