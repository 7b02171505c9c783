"""Numbers modulo q = q_0 · q_1 · …, held by their residues: the mask of an answer, and small noise.

A number r below q is the sum of y_i · q / q_i modulo q for exactly one y_i below each q_i; so uniform y_i make r
uniform, its residue is y_i · (q / q_i) modulo q_i, and r / q is the sum of y_i / q_i modulo 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from sotto.link.secret_stream import SecretStream
from sotto.mpc.sharing.compiled import COUNT, IN, OUT, WORD, compiled
from sotto.mpc.sharing.ring import Words

_BINOMIAL_BITS = 21  # SEAL's own error: the difference of two sums of 21 bits, standard deviation 3.24


def uniform(stream: SecretStream, primes: tuple[int, ...], count: int) -> Words:
    """y (primes, count), each row uniform below its prime."""
    rows = [_below(stream, prime, count) for prime in primes]
    return np.stack(rows)


def residues(y: Words, primes: tuple[int, ...]) -> Words:
    """The residues (primes, count) of r."""
    out = np.empty_like(y)
    product = math.prod(primes)
    for row, prime, into in zip(y, primes, out, strict=True):
        factor = product // prime % prime
        _times(row, factor, (factor << 64) // prime, prime, into)
    return out


def scaled(y: Words, primes: tuple[int, ...], bits: int) -> Words:
    """r · 2^bits / q rounded, modulo 2^bits (count,); half a unit off by 2^(bits - 62) at most."""
    total = np.full(y.shape[1], 1 << (63 - bits), np.uint64)
    for row, prime in zip(y, primes, strict=True):
        length = prime.bit_length()
        _add_fraction(row, (1 << (63 + length)) // prime, 64 - length, total)
    return total >> np.uint64(64 - bits)


def small_noise(stream: SecretStream, primes: tuple[int, ...], count: int) -> Words:
    """Residues (primes, count) of fresh errors as SEAL draws them: centred binomial, at most 21 in magnitude."""
    words = np.frombuffer(stream.bytes(8 * count), np.uint64)
    mask = np.uint64((1 << _BINOMIAL_BITS) - 1)
    ones = [np.bitwise_count(words >> np.uint64(shift) & mask).astype(np.int64) for shift in (0, _BINOMIAL_BITS)]
    return residues_of(ones[0] - ones[1], primes)


def residues_of(small: npt.NDArray[np.int64], primes: tuple[int, ...]) -> Words:
    """Residues (primes, count) of integers smaller than every prime in magnitude."""
    return np.stack([np.where(small < 0, small + prime, small).astype(np.uint64) for prime in primes])


def ternary(stream: SecretStream, count: int) -> npt.NDArray[np.int64]:
    """Numbers (count,) uniform on -1, 0 and 1."""
    taken = np.empty(0, np.uint8)
    while len(taken) < count:
        drawn = np.frombuffer(stream.bytes(count + 64), np.uint8)
        taken = np.concatenate([taken, drawn[drawn < 255]])  # 255 = 3 · 85
    return taken[:count].astype(np.int64) % 3 - 1


def _below(stream: SecretStream, prime: int, count: int) -> Words:
    mask = np.uint64((1 << prime.bit_length()) - 1)
    values = np.frombuffer(stream.bytes(8 * count), np.uint64) & mask
    while (again := np.flatnonzero(values >= np.uint64(prime))).size:
        values[again] = np.frombuffer(stream.bytes(8 * again.size), np.uint64) & mask
    return values


def _high(typingctx: Any, left: Any, right: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return WORD(WORD, WORD), generate


#: In compiled code: the high word of a product of two words.
high_word: Any = intrinsic(_high)


@compiled(IN[1], WORD, WORD, WORD, OUT[1])
def _times(values: Any, factor: int, quotient: int, prime: int, out: Any) -> None:
    """values · factor modulo prime, with quotient = factor · 2^64 / prime rounded down (Shoup)."""
    for i in range(len(values)):
        rest = values[i] * factor - high_word(values[i], quotient) * prime
        out[i] = rest - prime if rest >= prime else rest


@compiled(IN[1], WORD, COUNT, OUT[1])
def _add_fraction(values: Any, inverse: int, shift: int, total: Any) -> None:
    """Add value / prime, as a fraction of 2^64, with inverse = 2^(63 + bits) / prime rounded down."""
    for i in range(len(values)):
        total[i] += high_word(values[i] << np.uint64(shift), inverse) << np.uint64(1)
