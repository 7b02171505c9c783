"""The gate: max(y, 0) cut by some bits, in two openings, by function secret sharing.

The dealer draws a mask r and a random bit d.  (1) The parties open c = y + r.  (2) Each evaluates its key of the
distributed comparison function at the low bits of c; with the dealer's bit e they open one bit v, and
m = v xor (sign bit of c) = d xor [y >= 0].  (3) With m and c public, b = [y >= 0] and everything it multiplies are
linear in the dealer's shares:

    [b]  = m + (1 - 2m) [d]      [b rho] = m [rho] + (1 - 2m) [d rho]      rho = r >> cut,  mu = top bit of r
    [z]  = T [b] - [b rho] + w [b mu]

with c' = c + 2^62, T = (c' >> cut) - 2^(62 - cut), and w = 2^(64 - cut) if the top bit of c' is 0, else 0.  So z is
b · floor(y / 2^cut) or one more, and nothing else: the wrap of c is corrected by mu, never left to probability.
Needs width <= 62 and -2^(width - 1) <= y <= 2^(width - 1) - 2^cut: y rounded up must fit as well, or a large value
counts as negative (:mod:`sotto.mpc.graph.ranges` leaves that unit free above every value).  :func:`factors` are those
public numbers, the same at both parties and for every kind of share: modulo 2^128 too, because values count modulo 2^64
only.

The sign is compared above the bits that are cut: a y between -2^cut and 0 may count as positive, and then gives -1 or
0 instead of 0, still within one unit.  With cut = 0 the comparison is exact.

c is uniform because r is, v because d is: opened words say nothing.  Which way y is rounded is decided by the low bits
of c, which both parties know: the gate is exactly rounding at a public random threshold, drawn anew for each gate.
Source: the truncation and comparison of Boyle et al. 2021 ("Function secret sharing for mixed-mode and fixed-point
secure computation") in the form of section 4 of the protocol notes; the distributed comparison function is
:mod:`sotto.mpc.fss.dcf`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import types

from sotto.link import BadType, FrameError
from sotto.mpc.graph.program import MAX_WIDTH, Compare, Spline, Truncate, Winner
from sotto.mpc.sharing.compiled import BITS_IN, COUNT, IN, OUT, WORD, compiled
from sotto.mpc.sharing.ring import Words

Bits = npt.NDArray[np.uint8]
Share = TypeVar("Share")  # of whatever kind

#: Rows of a comparison's correlated words: d, then what d multiplies.
COMPARE_ROWS = ("d", "d·rho", "rho", "mu", "d·mu")
EXACT_ROWS = ("d", "d·r")  # nothing is cut: rho is r itself, and nothing can wrap
TRUNCATE_ROWS = ("rho", "mu")


def rows(step: Compare | Truncate) -> int:
    """How many correlated words the gate takes for each element, besides r."""
    if isinstance(step, Winner):
        return 0
    if isinstance(step, Truncate):
        return len(TRUNCATE_ROWS)
    if isinstance(step, Spline):
        return len(TRUNCATE_ROWS) + 3 * len(step.knots)
    return len(COMPARE_ROWS) if step.cut else len(EXACT_ROWS)


def compared(step: Compare, words: Words, threshold: int = 0) -> Words:
    """The bits of ``words`` less ``threshold`` that the comparison function sees, as numbers of ``step.depth`` bits."""
    above = (words >> np.uint64(step.cut)) - np.uint64(threshold % (1 << 64))
    return above & np.uint64((1 << step.depth) - 1)


def sign_bits(step: Compare, words: Words) -> Bits:
    """Bit width - 1 of each word."""
    return ((words >> np.uint64(step.width - 1)) & np.uint64(1)).astype(np.uint8)


def pack(bits: Bits) -> bytes:
    """Bits as bytes for the wire."""
    return np.packbits(bits).tobytes()


def unpack(data: bytes | bytearray, count: int) -> Bits:
    """``count`` bits out of a message.  Raises :class:`FrameError` when it holds another number."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if len(bits) != -(-count // 8) * 8 or bits[count:].any():
        raise FrameError("wrong-length", "the peer sent another number of bits than the network has")
    return bits[:count]


def correlated(step: Compare | Truncate, r: Words, e: Bits | None = None) -> Words:
    """The dealer's words (rows, N) for masks r (N,): what the parties get shares of.

    ``e``, only to compare: (N,), one after the other for each threshold.
    """
    cut = np.uint64(step.cut)
    if isinstance(step, Truncate):
        return np.stack([r >> cut, r >> np.uint64(63)])
    if e is None:
        raise BadType("no-bits", "a comparison's words need its bits e")
    if isinstance(step, Spline):
        rho, mu = r >> cut, r >> np.uint64(63)
        signs = sign_bits(step, r) ^ np.uint8(1)
        bits = [(each ^ signs).astype(np.uint64) for each in e.reshape(len(step.knots), len(r))]
        return np.stack([rho, mu, *(row for d in bits for row in (d, d * rho, d * mu))])
    d = (e ^ sign_bits(step, r) ^ np.uint8(1)).astype(np.uint64)
    if not step.cut:
        return np.stack([d, d * r])
    rho, mu = r >> cut, r >> np.uint64(63)
    return np.stack([d, d * rho, rho, mu, d * mu])


def factors(step: Compare | Truncate, opened: Words, bits: Bits | None = None) -> Words:
    """The public factors (1 + rows, N) of 1 and of the dealer's words, whose sum of products is the gate's output.

    ``opened`` c (N,); ``bits``, only to compare, the opened v (N,).  Of a comparison that cuts nothing the last row is
    the factor of r.
    """
    if isinstance(step, Truncate):
        out = np.empty((1 + len(TRUNCATE_ROWS), len(opened)), np.uint64)
        _truncation_factors(opened, step.cut, out)
    else:
        out = np.empty((1 + len(COMPARE_ROWS) if step.cut else 2 + len(EXACT_ROWS), len(opened)), np.uint64)
        _comparison_factors(opened, bits, step.width, step.cut, out)
    return out


def last_row(step: Compare, r: Share | None) -> Share | None:
    """What follows the dealt words: r where a comparison cuts nothing, whose words then lack it."""
    if step.cut or isinstance(step, Spline):
        return None
    if r is None:
        raise BadType("no-mask", "a gate that cuts nothing needs the share of its mask")
    return r


@compiled(WORD, COUNT, returns=types.UniTuple(WORD, 2))
def quotient_and_wrap(c: Any, cut: Any) -> Any:
    """T and w of an opened word; in compiled code."""
    shifted = c + (np.uint64(1) << np.uint64(MAX_WIDTH))
    whole = np.uint64(0) if cut == 0 or shifted >> np.uint64(63) else np.uint64(1) << np.uint64(64 - cut)
    return (shifted >> np.uint64(cut)) - (np.uint64(1) << np.uint64(MAX_WIDTH - cut)), whole


@compiled(IN[1], COUNT, OUT[2])
def _truncation_factors(opened: Any, cut: int, out: Any) -> None:
    for i in range(len(opened)):
        out[0, i], out[2, i] = quotient_and_wrap(opened[i], cut)
        out[1, i] = ~np.uint64(0)


@compiled(IN[1], BITS_IN, COUNT, COUNT, OUT[2])
def _comparison_factors(opened: Any, bits: Any, width: int, cut: int, out: Any) -> None:
    zero, one = np.uint64(0), np.uint64(1)
    for i in range(len(opened)):
        c = opened[i]
        quotient, wrap = quotient_and_wrap(c, cut)
        m = np.uint64(bits[i]) ^ ((c >> np.uint64(width - 1)) & one)
        sign = one - (m << one)
        out[0, i], out[1, i], out[2, i], out[3, i] = m * quotient, sign * quotient, zero - sign, zero - m
        if cut:
            out[4, i], out[5, i] = m * wrap, sign * wrap
