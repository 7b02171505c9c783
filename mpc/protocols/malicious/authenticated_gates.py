"""The gate of :mod:`sotto.mpc.fss.comparison_gate` on authenticated shares: the same formulas, modulo 2^128, for value
and tag.

Opened words are public whole numbers to both parties, so every factor here is the same on both sides; a factor taken
modulo 2^64 stays one, because values count modulo 2^64 only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from sotto.link import BadType
from sotto.mpc.fss.comparison_gate import Bits
from sotto.mpc.graph.program import MAX_WIDTH, Compare, Truncate
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.compiled import BITS_IN, COUNT, IN, OUT, WORD, compiled
from sotto.mpc.sharing.ring import Words
from sotto.mpc.sharing.uint128 import multiply_add


def selected(
    step: Compare, keys: Keys, opened: Words, bits: Bits, r: Authenticated | None, words: Authenticated
) -> Authenticated:
    """This party's share (N,) of the gate's output from the opened c and v (N,), the words (rows, N) and, where
    nothing is cut, r (N,)."""
    out = np.empty((4, len(opened)), np.uint64)
    ones = np.array([1 - keys.party, keys.alpha], np.uint64)  # the shares of 1: value and tag
    if step.cut:
        _select(opened, bits, words.planes, step.width, step.cut, ones, out)
    elif r is None:
        raise BadType("no-mask", "a gate that cuts nothing needs the share of its mask")
    else:
        _select_exact(opened, bits, r.planes, words.planes, step.width, ones, out)
    return Authenticated(out)


def truncated(step: Truncate, keys: Keys, opened: Words, words: Authenticated) -> Authenticated:
    """This party's share (N,) of floor(y / 2^cut), or one more, from the opened c (N,) and the words (rows, N)."""
    out = np.empty((4, len(opened)), np.uint64)
    ones = np.array([1 - keys.party, keys.alpha], np.uint64)
    _truncate(opened, words.planes, step.cut, ones, out)
    return Authenticated(out)


@compiled(WORD, WORD, WORD, WORD, returns=types.UniTuple(WORD, 2))
def _minus(low: Any, high: Any, a_low: Any, a_high: Any) -> Any:
    borrow = np.uint64(1) if low < a_low else np.uint64(0)
    return low - a_low, high - a_high - borrow


@compiled(WORD, COUNT, returns=types.UniTuple(WORD, 2))
def _public(c: Any, cut: Any) -> Any:
    """T and w of an opened word."""
    shifted = c + (np.uint64(1) << np.uint64(MAX_WIDTH))
    wrap = np.uint64(0) if shifted >> np.uint64(63) else np.uint64(1) << np.uint64(64 - cut)
    return (shifted >> np.uint64(cut)) - (np.uint64(1) << np.uint64(MAX_WIDTH - cut)), wrap


@compiled(IN[1], BITS_IN, IN[3], COUNT, COUNT, IN[1], OUT[2])
def _select(opened: Any, bits: Any, words: Any, width: Any, cut: Any, ones: Any, out: Any) -> None:
    zero = np.uint64(0)
    for i in range(len(opened)):
        c = opened[i]
        m = np.uint64(bits[i]) ^ ((c >> np.uint64(width - 1)) & np.uint64(1))
        quotient, wrap = _public(c, cut)
        for low in (0, 2):
            high = low + 1
            b, b_high = words[low, 0, i], words[high, 0, i]
            rho, rho_high = words[low, 1, i], words[high, 1, i]
            mu, mu_high = words[low, 4, i], words[high, 4, i]
            if m:
                b, b_high = _minus(ones[low >> 1], zero, b, b_high)
                rho, rho_high = _minus(words[low, 2, i], words[high, 2, i], rho, rho_high)
                mu, mu_high = _minus(words[low, 3, i], words[high, 3, i], mu, mu_high)
            total, total_high = _minus(zero, zero, rho, rho_high)
            total, total_high = multiply_add(total, total_high, b, b_high, quotient)
            out[low, i], out[high, i] = multiply_add(total, total_high, mu, mu_high, wrap)


@compiled(IN[1], BITS_IN, IN[2], IN[3], COUNT, IN[1], OUT[2])
def _select_exact(opened: Any, bits: Any, r: Any, words: Any, width: Any, ones: Any, out: Any) -> None:
    zero = np.uint64(0)
    for i in range(len(opened)):
        c = opened[i]
        m = np.uint64(bits[i]) ^ ((c >> np.uint64(width - 1)) & np.uint64(1))
        for low in (0, 2):
            high = low + 1
            b, b_high = words[low, 0, i], words[high, 0, i]
            b_r, b_r_high = words[low, 1, i], words[high, 1, i]
            if m:
                b, b_high = _minus(ones[low >> 1], zero, b, b_high)
                b_r, b_r_high = _minus(r[low, i], r[high, i], b_r, b_r_high)
            total, total_high = _minus(zero, zero, b_r, b_r_high)
            out[low, i], out[high, i] = multiply_add(total, total_high, b, b_high, c)


@compiled(IN[1], IN[3], COUNT, IN[1], OUT[2])
def _truncate(opened: Any, words: Any, cut: Any, ones: Any, out: Any) -> None:
    zero = np.uint64(0)
    for i in range(len(opened)):
        quotient, wrap = _public(opened[i], cut)
        for low in (0, 2):
            high = low + 1
            total, total_high = _minus(zero, zero, words[low, 0, i], words[high, 0, i])
            total, total_high = multiply_add(total, total_high, ones[low >> 1], zero, quotient)
            mu, mu_high = words[low, 1, i], words[high, 1, i]
            out[low, i], out[high, i] = multiply_add(total, total_high, mu, mu_high, wrap)
