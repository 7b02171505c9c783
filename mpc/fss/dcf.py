"""The distributed comparison function: keys with which two parties hold shares of "x < alpha" for an x both know.

A dealer who knows alpha makes one key for each party: a root seed, secret to that party, and correction words, the
same for both.  Each party evaluates its key at a public point x, without a message, and the two outputs XOR to
[x < alpha] (``bits``), or to a block ``payload`` where x < alpha and to zero elsewhere (``tags``).  One key alone,
that is one root and the corrections, says nothing about alpha or the payload as long as AES is a good permutation; the
two roots together give alpha away.  So: **trust the dealer, use a key at one point only for one secret, never
show a root**.  Roots must be uniform and independent of everything else; the three low bits are not used.

Source: Boyle et al. 2021, "Function secret sharing for mixed-mode and fixed-point secure computation" (ePrint
2020/1392), figure 1, over the group of XOR.  The generator is AES-128 as Matyas, Meyer and Oseas use it,
s -> AES_key(s) xor s, under one public ``key`` per call: draw a fresh one for each bundle of randomness, so that
work done against one bundle is worth nothing against the next.  Seeds have 125 free bits; against N keys made under the
same AES key, a search that hits one of them takes about 2^125 / N evaluations.

A party expands only the child on its way, one AES block a level for bits and two for tags, and bit keys stop seven
levels early: the leaf's 128 bits answer for 128 points.  Nothing branches or indexes memory on a secret.  Where the
processor has AES instructions :mod:`sotto.mpc.fss.dcf_kernel` does the work, elsewhere
:mod:`sotto.mpc.fss.dcf_reference`; the results are the same.

Shapes: ``alpha`` and ``points`` (N,), ``root`` (N, 2), ``roots`` (2, N, 2) with party 0's first, corrections (planes,
N, 2), all uint64, any N from 0.  Of ``alpha`` and ``points`` the low ``width`` bits count, 0 <= width <= 63; the rest
is ignored.  ``key`` is 16 bytes.  Anything else raises :class:`ValueError`.  Read-only arrays are welcome.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from sotto.mpc.fss import dcf_reference
from sotto.mpc.fss.dcf_kernel import Kernel
from sotto.mpc.fss.dcf_reference import Words, bit_planes, tag_planes
from sotto.mpc.fss.machine_code import aes_blocks

__all__ = ["bit_planes", "evaluate_bits", "evaluate_tags", "generate_bits", "generate_tags", "tag_planes", "warm_up"]

MAX_WIDTH = 63


def warm_up() -> None:
    """Compile what will run, in some tenths of a second, so that no query waits for it; twice does no harm."""
    backend = _backend()
    if isinstance(backend, Kernel):
        backend.warm_up()


def generate_bits(alpha: Words, width: int, roots: Words, key: bytes) -> Words:
    """Corrections (:func:`bit_planes`, N, 2) with which two roots become keys for the bit [x < alpha]."""
    _check(width, key)
    alpha = _lanes("alpha", alpha)
    roots = _words("roots", roots, (2, alpha.size, 2))
    return _backend().generate_bits(alpha, width, roots, key)


def evaluate_bits(
    party: int, points: Words, width: int, root: Words, corrections: Words, key: bytes
) -> npt.NDArray[np.uint8]:
    """Party 0's or 1's XOR shares (N,), uint8, of the bits [points < alpha]."""
    _check_party(party)
    _check(width, key)
    points = _lanes("points", points)
    root = _words("root", root, (points.size, 2))
    corrections = _words("corrections", corrections, (bit_planes(width), points.size, 2))
    return _backend().evaluate_bits(party, points, width, root, corrections, key)


def generate_tags(alpha: Words, width: int, roots: Words, key: bytes, payload: Words) -> Words:
    """Corrections (:func:`tag_planes`, N, 2) for the block ``payload`` (2,), uint64, where x < alpha, else zero."""
    _check(width, key)
    alpha = _lanes("alpha", alpha)
    roots = _words("roots", roots, (2, alpha.size, 2))
    payload = _words("payload", payload, (2,))
    return _backend().generate_tags(alpha, width, roots, key, payload)


def evaluate_tags(party: int, points: Words, width: int, root: Words, corrections: Words, key: bytes) -> Words:
    """Party 0's or 1's XOR shares (N, 2), uint64, of the payload where points < alpha and of zero elsewhere."""
    _check_party(party)
    _check(width, key)
    points = _lanes("points", points)
    root = _words("root", root, (points.size, 2))
    corrections = _words("corrections", corrections, (tag_planes(width), points.size, 2))
    return _backend().evaluate_tags(party, points, width, root, corrections, key)


@cache
def _backend() -> Kernel | ModuleType:
    blocks = aes_blocks()
    return Kernel(blocks) if blocks else dcf_reference


def _check_party(party: int) -> None:
    if not isinstance(party, int) or party not in (0, 1):
        raise ValueError("party is 0 or 1")


def _check(width: int, key: bytes) -> None:
    if not isinstance(width, int) or not 0 <= width <= MAX_WIDTH:
        raise ValueError(f"width is a number of bits from 0 to {MAX_WIDTH}")
    if not isinstance(key, bytes) or len(key) != 16:
        raise ValueError("key is the 16 bytes of an AES-128 key")


def _lanes(name: str, array: Words) -> Words:
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        raise ValueError(f"{name}: give a one-dimensional uint64 array")
    return _words(name, array, array.shape)


def _words(name: str, array: Words, shape: tuple[int, ...]) -> Words:
    """The array, contiguous; said in one line if it is another one than expected."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint64 or array.shape != shape:
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name}: give a uint64 array of shape {shape}, not {given}")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
