"""The distributed comparison function: keys that a dealer makes and two parties evaluate into shares of "x < alpha".

A dealer who knows alpha makes correction words, the same for both parties; each has a root beside them, secret to that
party.  Each evaluates its key at a public point x, without a message, and the two outputs XOR to [x < alpha]
(``bits``), or to a block ``delta`` where x < alpha and to zero elsewhere (``tags``).  One key alone, that is one root
and the corrections, says nothing about alpha or delta as long as AES is a good permutation; the two roots together give
alpha away.  So: **trust the dealer, mask each output by a bit of its own before it is opened, use a key for one secret
only, never show a root**.  One key serves several points of one secret (the knots of a spline): evaluate it once for
each, all lanes in the places they were generated in, under the gate they were generated with.

Both generators are AES-128 as Matyas, Meyer and Oseas use it, s -> AES_k(s) xor s.  ``k`` is new for each ``gate`` and
each 256 lanes of it, computed from one public ``key``: draw a fresh one for each bundle of randomness, and give each
call under it another ``gate``.

**Bits** (Boyle et al. 2021, "Function secret sharing for mixed-mode and fixed-point secure computation", ePrint
2020/1392, figure 1, over the group of XOR).  Roots must be uniform and independent of everything else; their three low
bits are not used.  A seed has 125 free bits.  A party can compute, from its own root and the corrections, what 125 bits
of the expansion of each of the other's seeds on the way to alpha must be; a seed found there gives all below it away,
and alpha.  In the ideal-cipher model a trial is one block under one k, and hits one of the T such seeds that are
expanded under this k with probability at most T / 2^125, whichever it is, so Q trials succeed with at most Q T / 2^125.
(A tweak xored to the blocks under one fixed k would not help: a trial then stands for a different seed in every lane,
and meets all targets of a table at once.)  T is at most 511 lanes, the last key of a call having up to twice as many,
of 64 seeds: below 2^15, hence :data:`COMPUTATIONAL_BITS` = 110, however many gates, bundles and sessions there are.
Points do not count: only a generation's seeds on the way to alpha are unknown to a party, at whatever and however many
points it evaluates; a seed on any other way is the same at both.  Under one k for a bundle T would be 2^21 for a large
one, and the figure 104.  Beside the search: that AES_k(s) xor s is no random function, and that seeds collide, shows
with probability below 2^-91 for each k.  Source of the attack on many targets and of re-keying against it: Guo, Katz,
Wang, Weng and Yu 2020, "Better concrete security for half-gates garbling (in the multi-instance setting)" (ePrint
2019/1168); the bound above is counted for the trees here.

**Tags** (the correlated tree of Guo et al. 2023, "Half-tree: halving the cost of tree expansion in COT and DPF", ePrint
2022/1431, figure 3).  Both parties' nodes differ by delta on the way to alpha and are the same beside it; so a node is
itself a share of delta · [alpha is below it], and a tag is the sum of the right children that a point leaves to its
right: no payload is corrected anywhere, and one block a level does for key and expansion.  ``delta`` = delta_0 xor
delta_1 is odd, one for a whole session, and neither party knows it: it must be uniform beside that, as must each
party's half.  The root of party i in a lane is delta_i xor the lane's number, so that no two nodes under one k begin
alike.  What is expanded is H(s) = AES_k(sigma(s)) xor sigma(s) with sigma(high, low) = (high xor low, high), because
delta stands inside and outside of it, in H(s xor delta) xor delta: that must look uniform (circular correlation
robustness; Guo, Katz, Wang and Yu 2020, "Efficient and secure multiparty computation from fixed-key block ciphers",
ePrint 2019/074, section 7; without sigma one decryption would give delta).  Counted as above: to the party that holds
s, each of its T nodes on the way under this k makes one block that is asked for, or that comes out (sigma and sigma xor
identity are permutations), stand for one value among delta's 2^127.  So Q trials find it with probability at most Q T /
2^127, T below 2^15: 112 bits, for all keys under a delta together.  That H is no random function shows with
probability below 2^-97 for each k.

A party expands only the child on its way, one AES block a level, and bit keys stop seven levels early: the leaf's 128
bits answer for 128 points.  Nothing branches or indexes memory on a secret.  Where the
processor has AES instructions :mod:`sotto.mpc.fss.dcf_kernel` does the work, elsewhere
:mod:`sotto.mpc.fss.dcf_reference`; the results are the same.

Shapes: ``alpha`` and ``points`` (N,), ``root`` (N, 2), ``roots`` (2, N, 2) with party 0's first, ``delta`` (2,),
``deltas`` (2, 2), corrections (planes, N, 2), all uint64, any N from 0.  Of ``alpha`` and ``points`` the low ``width``
bits count, 0 <= width <= 63; the rest is ignored.  ``key`` is 16 bytes, ``gate`` a number below 2^64.  Anything else
raises :class:`ValueError`.  Read-only arrays are welcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from sotto.link import BadValue
from sotto.mpc.fss import dcf_reference
from sotto.mpc.fss.dcf_kernel import Kernel, Output
from sotto.mpc.fss.dcf_reference import LANES_PER_KEY, Words, bit_planes, tag_planes
from sotto.mpc.fss.machine_code import aes_blocks

__all__ = [
    "Output",
    "bit_planes",
    "evaluate_bits",
    "evaluate_tags",
    "generate_bits",
    "generate_tags",
    "tag_planes",
    "warm_up",
]

MAX_WIDTH = 63

#: Of security, see above: free bits of a seed, less those of the number of seeds under one AES key.
COMPUTATIONAL_BITS = 125 - (2 * LANES_PER_KEY * (MAX_WIDTH + 1) - 1).bit_length()


def warm_up(outputs: Iterable[Output], *, dealing: bool) -> None:
    """Compile what keys for these ``outputs`` take, in tenths of a second, so that no query waits for it.

    ``dealing``: what makes the keys; without it what evaluates them, which no dealer does.  Twice does no harm.
    """
    backend = _backend()
    if isinstance(backend, Kernel):
        backend.warm_up(outputs, dealing=dealing)


def generate_bits(alpha: Words, width: int, roots: Words, key: bytes, gate: int) -> Words:
    """Corrections (:func:`bit_planes`, N, 2) with which two roots become keys for the bit [x < alpha]."""
    _check(width, key, gate)
    alpha = _lanes("alpha", alpha)
    roots = _words("roots", roots, (2, alpha.size, 2))
    return _backend().generate_bits(alpha, width, roots, key, gate)


def evaluate_bits(
    party: int, points: Words, width: int, root: Words, corrections: Words, key: bytes, gate: int
) -> npt.NDArray[np.uint8]:
    """Party 0's or 1's XOR shares (N,), uint8, of the bits [points < alpha]."""
    _check_party(party)
    _check(width, key, gate)
    points = _lanes("points", points)
    root = _words("root", root, (points.size, 2))
    corrections = _words("corrections", corrections, (bit_planes(width), points.size, 2))
    return _backend().evaluate_bits(party, points, width, root, corrections, key, gate)


def generate_tags(alpha: Words, width: int, deltas: Words, key: bytes, gate: int) -> Words:
    """Corrections (:func:`tag_planes`, N, 2) with which two halves of delta become keys for [x < alpha] · delta."""
    _check(width, key, gate)
    alpha = _lanes("alpha", alpha)
    deltas = _words("deltas", deltas, (2, 2))
    if not int(deltas[0, 0] ^ deltas[1, 0]) & 1:
        raise BadValue("even-sum", "deltas: their sum must be odd")
    roots = np.stack([_tag_root(delta, alpha.size) for delta in deltas])
    return _backend().generate_tags(alpha, width, roots, key, gate)


def evaluate_tags(points: Words, width: int, delta: Words, corrections: Words, key: bytes, gate: int) -> Words:
    """A party's XOR shares (N, 2), uint64, of delta where points < alpha and of zero elsewhere; ``delta``: its half."""
    _check(width, key, gate)
    points = _lanes("points", points)
    root = _tag_root(_words("delta", delta, (2,)), points.size)
    corrections = _words("corrections", corrections, (tag_planes(width), points.size, 2))
    return _backend().evaluate_tags(points, width, root, corrections, key, gate)


def _tag_root(delta: Words, lanes: int) -> Words:
    root = np.tile(delta, (lanes, 1))
    root[:, 0] ^= np.arange(lanes, dtype=np.uint64) << np.uint64(1)
    return root


@cache
def _backend() -> Kernel | ModuleType:
    blocks = aes_blocks()
    return Kernel(blocks) if blocks else dcf_reference


def _check_party(party: int) -> None:
    if not isinstance(party, int) or party not in (0, 1):
        raise BadValue("out-of-range", "party is 0 or 1")


def _check(width: int, key: bytes, gate: int) -> None:
    if not isinstance(width, int) or not 0 <= width <= MAX_WIDTH:
        raise BadValue("out-of-range", f"width is a number of bits from 0 to {MAX_WIDTH}")
    if not isinstance(key, bytes) or len(key) != 16:
        raise BadValue("wrong-length", "key is the 16 bytes of an AES-128 key")
    if not isinstance(gate, int) or not 0 <= gate < 1 << 64:
        raise BadValue("out-of-range", "gate is a number below 2^64")


def _lanes(name: str, array: Words) -> Words:
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        raise BadValue("wrong-array", f"{name}: give a one-dimensional uint64 array")
    return _words(name, array, array.shape)


def _words(name: str, array: Words, shape: tuple[int, ...]) -> Words:
    """The array, contiguous; said in one line if it is another one than expected."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint64 or array.shape != shape:
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise BadValue("wrong-array", f"{name}: give a uint64 array of shape {shape}, not {given}")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
