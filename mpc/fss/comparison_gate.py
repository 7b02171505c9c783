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
counts as negative (:mod:`sotto.mpc.graph.ranges` leaves that unit free above every value).

The sign is compared above the bits that are cut: a y between -2^cut and 0 may count as positive, and then gives -1 or
0 instead of 0, still within one unit.  With cut = 0 the comparison is exact.

c is uniform because r is, v because d is: opened words say nothing.  Which way y is rounded is decided by the low bits
of c, which both parties know: the gate is exactly rounding at a public random threshold, drawn anew for each gate.
Source: the truncation and comparison of Boyle et al. 2021 ("Function secret sharing for mixed-mode and fixed-point
secure computation") in the form of section 4 of the protocol notes; the distributed comparison function is
:mod:`sotto.mpc.fss.dcf`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.link import BadType, FrameError
from sotto.mpc.graph.program import MAX_WIDTH, Compare, Spline, Truncate, Winner
from sotto.mpc.sharing.compiled import BITS_IN, COUNT, FLAG, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

Bits = npt.NDArray[np.uint8]

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


def truncated(step: Truncate, party: int, opened: Words, shares: Words) -> Words:
    """This party's share of floor(y / 2^cut), or one more: ``opened`` c (N,), ``shares`` (rows, N) of the words."""
    out = np.empty(len(opened), np.uint64)
    _truncate(opened, shares, step.cut, party == 0, out)
    return out


def selected(step: Compare, party: int, opened: Words, bits: Bits, r: Words | None, shares: Words) -> Words:
    """This party's share (N,) of the gate's output.

    ``opened`` c (N,), ``bits`` the opened v (N,), ``shares`` (rows, N) this party's words and, where nothing is cut,
    ``r`` (N,).
    """
    out = np.empty(len(opened), np.uint64)
    if step.cut:
        _select(opened, bits, shares, step.width, step.cut, party == 0, out)
    elif r is None:
        raise BadType("no-mask", "a gate that cuts nothing needs the share of its mask")
    else:
        _select_exact(opened, bits, r, shares, step.width, party == 0, out)
    return out


@compiled(IN[1], BITS_IN, IN[2], COUNT, COUNT, FLAG, OUT[1])
def _select(opened: Any, bits: Any, shares: Any, width: int, cut: int, first: bool, out: Any) -> None:
    shift = np.uint64(cut)
    offset, quotient = np.uint64(1) << np.uint64(MAX_WIDTH), np.uint64(1) << np.uint64(MAX_WIDTH - cut)
    wrap = np.uint64(1) << np.uint64(64 - cut)
    one = np.uint64(1) if first else np.uint64(0)
    for i in range(len(opened)):
        c = opened[i]
        m = np.uint64(bits[i]) ^ ((c >> np.uint64(width - 1)) & np.uint64(1))
        b, b_rho, b_mu = shares[0, i], shares[1, i], shares[4, i]
        if m:
            b, b_rho, b_mu = one - b, shares[2, i] - b_rho, shares[3, i] - b_mu
        shifted = c + offset
        correction = np.uint64(0) if shifted >> np.uint64(63) else wrap
        out[i] = ((shifted >> shift) - quotient) * b - b_rho + correction * b_mu


@compiled(IN[1], BITS_IN, IN[1], IN[2], COUNT, FLAG, OUT[1])
def _select_exact(opened: Any, bits: Any, r: Any, shares: Any, width: int, first: bool, out: Any) -> None:
    one = np.uint64(1) if first else np.uint64(0)
    for i in range(len(opened)):
        c = opened[i]
        m = np.uint64(bits[i]) ^ ((c >> np.uint64(width - 1)) & np.uint64(1))
        b, b_r = shares[0, i], shares[1, i]
        if m:
            b, b_r = one - b, r[i] - b_r
        out[i] = c * b - b_r


@compiled(IN[1], IN[2], COUNT, FLAG, OUT[1])
def _truncate(opened: Any, shares: Any, cut: int, first: bool, out: Any) -> None:
    shift = np.uint64(cut)
    offset, quotient = np.uint64(1) << np.uint64(MAX_WIDTH), np.uint64(1) << np.uint64(MAX_WIDTH - cut)
    wrap = np.uint64(1) << np.uint64(64 - cut)
    for i in range(len(opened)):
        shifted = opened[i] + offset
        correction = np.uint64(0) if shifted >> np.uint64(63) else wrap
        public = (shifted >> shift) - quotient if first else np.uint64(0)
        out[i] = public - shares[0, i] + correction * shares[1, i]
