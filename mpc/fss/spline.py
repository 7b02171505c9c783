"""The gate for piecewise linear functions: every knot is a comparison, and one comparison key serves them all.

For a masked c = y + r and knots t_1 … t_K, c - t_k = (y - t_k) + r is masked by the same r.  So the parties evaluate
the one key of :mod:`sotto.mpc.fss.comparison_gate` at K public points, and open K bits m_k = d_k xor [y >= t_k], each
under a random d_k of its own.  With rho, mu, T and w as there, and t_k a multiple of 2^cut, the rest is linear in the
dealer's words:

    [y'] = T - [rho] + w [mu]                            y >> cut, or one more
    [(y' - t_k) b_k] = (T - t_k) [b_k] - [b_k rho] + w [b_k mu]
    [f(y)] = constant + slope [y'] + sum over k of bend_k [(y' - t_k) b_k] + jump_k [b_k]

What is opened: c, uniform because r is; K bits, uniform and independent because the d_k are, whatever the K points of
one key have in common.  In mode ``malicious`` c is opened with tags like every masked word, each of the K bits is a
share of bit · Delta whose proof goes into the digest that both sides compare, and the rest is a public linear map of
authenticated words with the same factors on both sides: no message of the gate is outside the two checks of
:mod:`sotto.mpc.protocols.malicious.evaluation`.

Bounds: |y - t_k| must stay below 2^(width - 1) as there; :mod:`sotto.mpc.graph.program` leaves out knots that no y
reaches.  A comparison may be off within one unit of its knot, which a continuous function does not notice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.mpc.fss.comparison_gate import Bits
from sotto.mpc.graph.program import MAX_WIDTH, Spline
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.compiled import BITS_IN, COUNT, FLAG, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words
from sotto.mpc.sharing.uint128 import multiply_add

_MASK = (1 << 64) - 1


def value(step: Spline, source: npt.NDArray[np.int64]) -> Words:
    """The function itself, on whole numbers in clear: what the gate's output stands for, the cut rounding down."""
    cut = source >> step.cut
    result = cut.view(np.uint64) * np.uint64(step.slope & _MASK) + np.uint64(step.constant & _MASK)
    for knot, bend, jump in step.knots:
        above = cut >= knot
        term = (cut - knot).view(np.uint64) * np.uint64(bend & _MASK) + np.uint64(jump & _MASK)
        result += np.where(above, term, np.uint64(0))
    return result


def evaluated(step: Spline, party: int, opened: Words, bits: Bits, shares: Words) -> Words:
    """This party's share (N,) of f(y): ``opened`` c (N,), ``bits`` the opened v (K · N,), ``shares`` (rows, N)."""
    out = np.empty(len(opened), np.uint64)
    _evaluate(opened, bits, shares, step.width, step.cut, _table(step), _line(step), party == 0, out)
    return out


def evaluated_with_tags(step: Spline, keys: Keys, opened: Words, bits: Bits, shares: Authenticated) -> Authenticated:
    """The same of authenticated words, value and tag."""
    out = np.empty((4, len(opened)), np.uint64)
    ones = np.array([1 - keys.party, keys.alpha], np.uint64)  # the shares of 1: value and tag
    _evaluate_wide(opened, bits, shares.planes, step.width, step.cut, _table(step), _line(step), ones, out)
    return Authenticated(out)


def _table(step: Spline) -> Words:
    columns = [[each & _MASK for each in knot] for knot in step.knots]
    return np.ascontiguousarray(np.array(columns, np.uint64).reshape(-1, 3).T)


def _line(step: Spline) -> Words:
    return np.array([step.slope & _MASK, step.constant & _MASK], np.uint64)


@compiled(IN[1], BITS_IN, IN[2], COUNT, COUNT, IN[2], IN[1], FLAG, OUT[1])
def _evaluate(
    opened: Any, bits: Any, shares: Any, width: int, cut: int, table: Any, line: Any, first: bool, out: Any
) -> None:
    shift, top = np.uint64(cut), np.uint64(width - 1)
    offset, quotient = np.uint64(1) << np.uint64(MAX_WIDTH), np.uint64(1) << np.uint64(MAX_WIDTH - cut)
    carried = np.uint64(1) << np.uint64(64 - cut) if cut else np.uint64(0)
    one, zero = np.uint64(1) if first else np.uint64(0), np.uint64(0)
    count = len(opened)
    for i in range(count):
        c = opened[i]
        shifted = c + offset
        public = (shifted >> shift) - quotient
        wrap = zero if shifted >> np.uint64(63) else carried
        rho, mu = shares[0, i], shares[1, i]
        total = line[0] * (public * one - rho + wrap * mu) + line[1] * one
        for k in range(table.shape[1]):
            knot = table[0, k]
            m = np.uint64(bits[k * count + i]) ^ (((c - (knot << shift)) >> top) & np.uint64(1))
            b, b_rho, b_mu = shares[3 * k + 2, i], shares[3 * k + 3, i], shares[3 * k + 4, i]
            if m:
                b, b_rho, b_mu = one - b, rho - b_rho, mu - b_mu
            total += table[1, k] * ((public - knot) * b - b_rho + wrap * b_mu) + table[2, k] * b
        out[i] = total


@compiled(IN[1], BITS_IN, IN[3], COUNT, COUNT, IN[2], IN[1], IN[1], OUT[2])
def _evaluate_wide(
    opened: Any, bits: Any, words: Any, width: int, cut: int, table: Any, line: Any, ones: Any, out: Any
) -> None:
    shift, top, zero = np.uint64(cut), np.uint64(width - 1), np.uint64(0)
    offset, quotient = np.uint64(1) << np.uint64(MAX_WIDTH), np.uint64(1) << np.uint64(MAX_WIDTH - cut)
    carried = np.uint64(1) << np.uint64(64 - cut) if cut else np.uint64(0)
    count = len(opened)
    for i in range(count):
        c = opened[i]
        shifted = c + offset
        public = (shifted >> shift) - quotient
        wrap = zero if shifted >> np.uint64(63) else carried
        for low in (0, 2):
            high = low + 1
            # One public factor each for 1, rho and mu; where m is set a knot adds to them and turns its own signs.
            alone, of_rho = line[0] * public + line[1], line[0]
            total, total_high = zero, zero
            for k in range(table.shape[1]):
                knot, bend = table[0, k], table[1, k]
                m = np.uint64(bits[k * count + i]) ^ (((c - (knot << shift)) >> top) & np.uint64(1))
                of_b, of_b_rho = bend * (public - knot) + table[2, k], bend
                if m:
                    alone += of_b
                    of_rho += bend
                    of_b, of_b_rho = zero - of_b, zero - bend
                row = 3 * k + 2
                total, total_high = multiply_add(total, total_high, words[low, row, i], words[high, row, i], of_b)
                total, total_high = multiply_add(
                    total, total_high, words[low, row + 1, i], words[high, row + 1, i], zero - of_b_rho
                )
                total, total_high = multiply_add(
                    total, total_high, words[low, row + 2, i], words[high, row + 2, i], wrap * of_b_rho
                )
            total, total_high = multiply_add(total, total_high, ones[low >> 1], zero, alone)
            total, total_high = multiply_add(total, total_high, words[low, 0, i], words[high, 0, i], zero - of_rho)
            out[low, i], out[high, i] = multiply_add(
                total, total_high, words[low, 1, i], words[high, 1, i], wrap * of_rho
            )
