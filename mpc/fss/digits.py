"""The gate of :mod:`sotto.mpc.fss.comparison_gate` with a third less from the dealer: the compared number in three
digits.

A comparison key takes 16 bytes a level at both parties.  A table of the bits [x < alpha] for all x of 9 bits takes 64
bytes at one of them, who is sent it xor the other's stream.  So only the digit above the low 18 bits is compared by a
key, where it has more than 9 bits, and the two below by tables, at public points as ever:

    [x < alpha] = A + B (C + D E)    A, B: the high digit is below, is equal    C, D: the middle one    E: the low one

"Equal" costs nothing: it is [x - 1 < alpha] xor [x < alpha], out of the same key or table.  The parties open the five
bits at once, each under a bit e_i of its own, so that they say nothing; then A = v_1 + (1 - 2 v_1) e_1 and so on, and
the product above is a sum, with public factors, of the ten products e_S that :data:`PRODUCTS` lists.  With s = [the
sign bit of r is 0], q = 1 - 2 s and the sign bit t of the opened c

    b = t + (1 - 2 t) (s + q [x < alpha])

so the dealer shares s X and q e_S X for X = 1, rho, mu, and z = T b - b rho + w b mu as there.  Of b mu only the low
``cut`` bits count, because w = 2^(64 - cut); with cuts of up to 16 bits four of them go into a word.

What is opened, c and the five bits, is uniform and independent of everything else: the masks are drawn for it alone.
Tables are read at public points, so no address depends on a secret.  Used in mode ``semi-honest``: tags would make the
tables 128 times as large.  Source: the one-time truth tables of Ishai, Kushilevitz, Meldgaard, Orlandi and
Paskin-Cherniavsky 2013 ("On the power of correlated randomness in secure computation"), beside the keys of Boyle et al.
2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sotto.link import BadType
from sotto.mpc.fss.comparison_gate import Bits, compared, quotient_and_wrap
from sotto.mpc.graph.program import Compare
from sotto.mpc.sharing.compiled import COUNT, FLAG, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

#: Bits opened for each comparison.
OPENED = 5
#: Which of the five bits' masks e_1 … e_5 each product takes, counted from 0.
PRODUCTS = ((0,), (1,), (2,), (1, 2), (3,), (4,), (3, 4), (1, 3), (1, 4), (1, 3, 4))

_DIGIT = 9
_LOW = 2 * _DIGIT
_MOST_CUT = 16
_TERMS = 1 + len(PRODUCTS)
_TABLE_WORDS = 2**_DIGIT // 64
_LANES = 4  # 16-bit numbers in a word


def suits(step: Compare) -> bool:
    """Whether the gate is done in digits: where that takes fewer bytes, and what is cut off fits 16 bits."""
    return type(step) is Compare and step.depth > _LOW + 1 and step.cut <= _MOST_CUT


def high_bits(step: Compare) -> int:
    """Width of the high digit."""
    return step.depth - _LOW


def keyed(step: Compare) -> bool:
    """Whether the high digit is compared by a key; a table of few bits is shorter."""
    return high_bits(step) > _DIGIT


def table_words(step: Compare) -> int:
    """Words of all tables of a comparison."""
    return 2 * _TABLE_WORDS + (0 if keyed(step) else max(1, 2 ** high_bits(step) // 64))


def rows(step: Compare) -> int:
    """Correlated words for each element, besides r."""
    return 2 * _TERMS + 1 + (_TERMS + 1) // _LANES if step.cut else 2 * _TERMS


def high(step: Compare, words: Words) -> Words:
    """The high digit of what is compared."""
    return compared(step, words) >> np.uint64(_LOW)


def tables(step: Compare, r: Words, pad: Words) -> Words:
    """The tables (N, words), middle digit, low digit, high digit, of the dealer's masks r (N,), xor ``pad``."""
    out = np.empty((len(r), table_words(step)), np.uint64)
    _tables(compared(step, r), pad, out)
    return out


def correlated(step: Compare, r: Words, e: Bits, pad: Words) -> Words:
    """The dealer's words (rows, N) less ``pad``, for r (N,) and the masks ``e`` (5 · N,) of the bits."""
    out = np.empty((rows(step), len(r)), np.uint64)
    _correlated(r, e.reshape(OPENED, -1).astype(np.uint64), pad, step.width, step.cut, out)
    return out


def shares_of_bits(step: Compare, party: int, opened: Words, key_bits: Sequence[Bits], table: Words, e: Bits) -> Bits:
    """This party's shares (5 · N,) of the bits to open.

    ``key_bits`` are its key's two (N,) at the high digit and at the number before it, none where that is not
    :func:`keyed`; ``table`` (N, words) its tables.
    """
    out = np.empty((OPENED, len(opened)), np.uint64)
    by_key = np.stack(key_bits).astype(np.uint64) if keyed(step) else np.empty((0, 0), np.uint64)
    _bits(compared(step, opened), by_key, table, party == 0, out)
    return out.astype(np.uint8).ravel() ^ e


def selected(step: Compare, party: int, opened: Words, bits: Bits, r: Words | None, shares: Words) -> Words:
    """This party's share (N,) of the gate's output: opened c (N,) and bits (5 · N,), its words (rows, N) and, where
    nothing is cut, r (N,)."""
    rho = shares[2 * _TERMS] if step.cut else r
    if rho is None:
        raise BadType("no-mask", "a gate that cuts nothing needs the share of its mask")
    out = np.empty(len(opened), np.uint64)
    _select(opened, bits.reshape(OPENED, -1).astype(np.uint64), rho, shares, step.width, step.cut, party == 0, out)
    return out


@compiled(IN[1], IN[2], OUT[2])
def _tables(alpha: Any, pad: Any, out: Any) -> None:
    one, full = np.uint64(1), np.uint64(2**64 - 1)
    for i in range(len(alpha)):
        for word in range(pad.shape[1]):
            shift = np.uint64((_DIGIT, 0, _LOW)[word // _TABLE_WORDS])
            digit = np.int64((alpha[i] >> shift) & np.uint64(2**_DIGIT - 1))
            left = digit - 64 * (word % _TABLE_WORDS)
            inside = (one << np.uint64(left & 63)) - one
            ones = full if left >= 64 else (inside if left > 0 else np.uint64(0))
            out[i, word] = ones ^ pad[i, word]


@compiled(IN[1], IN[2], IN[2], FLAG, OUT[2])
def _bits(points: Any, key_bits: Any, table: Any, first: bool, out: Any) -> None:
    one, mask = np.uint64(1), np.uint64(2**_DIGIT - 1)
    own = one if first else np.uint64(0)  # the share of 1: "no less than nothing" holds
    for i in range(len(points)):
        for which in range(3):  # the high digit, the middle one, the low one
            digit = (points[i] >> np.uint64((_LOW, _DIGIT, 0)[which])) & mask
            before = digit - one
            start = (2, 0, 1)[which] * _TABLE_WORDS
            if which == 0 and len(key_bits):
                below = key_bits[0, i]
                at_most = key_bits[1, i] if points[i] >> np.uint64(_LOW) else own
            else:
                below = (table[i, start + np.int64(digit >> np.uint64(6))] >> (digit & np.uint64(63))) & one
                at_most = own
                if digit:
                    at_most = (table[i, start + np.int64(before >> np.uint64(6))] >> (before & np.uint64(63))) & one
            out[2 * which, i] = below
            if which < 2:
                out[2 * which + 1, i] = below ^ at_most


@compiled(IN[1], IN[2], IN[2], COUNT, COUNT, OUT[2])
def _correlated(r: Any, e: Any, pad: Any, width: int, cut: int, out: Any) -> None:
    one, lane_mask = np.uint64(1), np.uint64(2**16 - 1)
    terms = np.empty(_TERMS, np.uint64)
    for i in range(len(r)):
        s = ((r[i] >> np.uint64(width - 1)) & one) ^ one
        q = one - np.uint64(2) * s
        e1, e2, e3, e4, e5 = e[0, i], e[1, i], e[2, i], e[3, i], e[4, i]
        terms[0], terms[1], terms[2], terms[3] = s, q * e1, q * e2, q * e3
        terms[4], terms[5], terms[6], terms[7] = q * e2 * e3, q * e4, q * e5, q * e4 * e5
        terms[8], terms[9], terms[10] = q * e2 * e4, q * e2 * e5, q * e2 * e4 * e5
        rho, mu = r[i] >> np.uint64(cut), r[i] >> np.uint64(63)
        for k in range(_TERMS):
            out[k, i] = terms[k] - pad[k, i]
            out[_TERMS + k, i] = terms[k] * rho - pad[_TERMS + k, i]
        if cut:
            out[2 * _TERMS, i] = rho - pad[2 * _TERMS, i]
            for word in range((_TERMS + 1) // _LANES):
                row = 2 * _TERMS + 1 + word
                packed = np.uint64(0)
                for lane in range(_LANES):
                    k, shift = word * _LANES + lane, np.uint64(16 * lane)
                    value = (terms[k] if k < _TERMS else one) * mu
                    packed |= ((value - (pad[row, i] >> shift)) & lane_mask) << shift
                out[row, i] = packed


@compiled(IN[1], IN[2], IN[1], IN[2], COUNT, COUNT, FLAG, OUT[1])
def _select(opened: Any, bits: Any, rho: Any, shares: Any, width: int, cut: int, first: bool, out: Any) -> None:
    zero, one, two = np.uint64(0), np.uint64(1), np.uint64(2)
    own = one if first else zero
    factors = np.empty(_TERMS, np.uint64)
    for i in range(len(opened)):
        c = opened[i]
        v1, v2, v3, v4, v5 = bits[0, i], bits[1, i], bits[2, i], bits[3, i], bits[4, i]
        u2, u3, u4, u5 = one - two * v2, one - two * v3, one - two * v4, one - two * v5
        always = v1 + v2 * (v3 + v4 * v5)
        factors[0], factors[1], factors[2] = one - two * always, one - two * v1, u2 * (v3 + v4 * v5)
        factors[3], factors[4], factors[5], factors[6] = v2 * u3, u2 * u3, v2 * u4 * v5, v2 * v4 * u5
        factors[7], factors[8], factors[9], factors[10] = v2 * u4 * u5, u2 * u4 * v5, u2 * v4 * u5, u2 * u4 * u5
        b, b_rho, b_mu = always * own, always * rho[i], zero
        for k in range(_TERMS):
            b += factors[k] * shares[k, i]
            b_rho += factors[k] * shares[_TERMS + k, i]
        negative = (c >> np.uint64(width - 1)) & one
        if not cut:
            if negative:
                b, b_rho = own - b, rho[i] - b_rho
            out[i] = c * b - b_rho
            continue
        for k in range(_TERMS):
            b_mu += factors[k] * (shares[2 * _TERMS + 1 + k // _LANES, i] >> np.uint64(16 * (k % _LANES)))
        mu = shares[2 * _TERMS + 1 + _TERMS // _LANES, i] >> np.uint64(16 * (_TERMS % _LANES))
        b_mu += always * mu
        if negative:
            b, b_rho, b_mu = own - b, rho[i] - b_rho, mu - b_mu
        quotient, wrap = quotient_and_wrap(c, cut)
        out[i] = quotient * b - b_rho + wrap * b_mu
