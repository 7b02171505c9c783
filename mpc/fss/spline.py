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

from sotto.mpc.fss.comparison_gate import Bits, quotient_and_wrap
from sotto.mpc.graph.program import Spline
from sotto.mpc.sharing.compiled import BITS_IN, COUNT, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

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


def factors(step: Spline, opened: Words, bits: Bits) -> Words:
    """The public factors (1 + rows, N) of 1 and of the dealer's words, as those of a comparison: ``opened`` c (N,),
    ``bits`` the opened v (K · N,)."""
    out = np.empty((3 + 3 * len(step.knots), len(opened)), np.uint64)
    columns = [[each & _MASK for each in knot] for knot in step.knots]
    table = np.ascontiguousarray(np.array(columns, np.uint64).reshape(-1, 3).T)
    line = np.array([step.slope & _MASK, step.constant & _MASK], np.uint64)
    _factors(opened, bits, step.width, step.cut, table, line, out)
    return out


@compiled(IN[1], BITS_IN, COUNT, COUNT, IN[2], IN[1], OUT[2])
def _factors(opened: Any, bits: Any, width: int, cut: int, table: Any, line: Any, out: Any) -> None:
    shift, top, zero, count = np.uint64(cut), np.uint64(width - 1), np.uint64(0), len(opened)
    for i in range(count):
        quotient, wrap = quotient_and_wrap(opened[i], cut)
        # Where m is set a knot adds to the factors of 1, rho and mu, and turns its own signs.
        alone, slope = line[0] * quotient + line[1], line[0]
        for k in range(table.shape[1]):
            knot, bend = table[0, k], table[1, k]
            m = np.uint64(bits[k * count + i]) ^ (((opened[i] - (knot << shift)) >> top) & np.uint64(1))
            of_b = bend * (quotient - knot) + table[2, k]
            if m:
                alone, slope = alone + of_b, slope + bend
                of_b, bend = zero - of_b, zero - bend
            out[3 * k + 3, i], out[3 * k + 4, i], out[3 * k + 5, i] = of_b, zero - bend, wrap * bend
        out[0, i], out[1, i], out[2, i] = alone, zero - slope, wrap * slope
