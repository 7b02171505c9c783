"""The number-theoretic transform in SEAL's order: between a ciphertext's residues and polynomial coefficients.

In Z_q[X]/(X^N + 1) with a prime q = 1 mod 2N, SEAL stores a polynomial by its values at the odd powers of the
smallest primitive 2N-th root of unity ψ, entry i holding the value at ψ^(2 r(i) + 1) with r the bit reversal.  Only
the attack needs coefficients; everything else leaves them to SEAL.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Residues = npt.NDArray[np.object_]  # Python integers: products of 60-bit residues do not fit 64 bits


def coefficients(values: Residues, modulus: int) -> Residues:
    """Coefficients in (-q/2, q/2) of the polynomial that SEAL stores as ``values`` (N,)."""
    n = len(values)
    psi = smallest_root(n, modulus)
    inverse = pow(psi, -1, modulus)
    plain = _transform(values[_bit_reversal(n)], pow(inverse, 2, modulus), modulus)
    twist = _powers(inverse, n, modulus) * pow(n, -1, modulus)
    result = plain * twist % modulus
    return np.array([int(c) - modulus if c > modulus // 2 else int(c) for c in result], dtype=object)


def slots(polynomial: Residues, scale: float) -> npt.NDArray[np.complex128]:
    """The values (N/2,) that a plaintext with these coefficients encodes at ``scale``."""
    n = len(polynomial)
    twisted = np.array([float(c) for c in polynomial]) * np.exp(1j * np.pi * np.arange(n) / n)
    at_odd_powers = np.fft.ifft(twisted) * n / scale  # entry t is the value at exp(iπ/N)^(2t + 1)
    order = [(pow(3, slot, 2 * n) - 1) // 2 for slot in range(n // 2)]
    return at_odd_powers[order]


def smallest_root(n: int, modulus: int) -> int:
    """The smallest primitive 2n-th root of unity modulo a prime."""
    order = 2 * n
    candidates = (pow(base, (modulus - 1) // order, modulus) for base in range(2, modulus))
    root = next(found for found in candidates if pow(found, n, modulus) == modulus - 1)
    square, power, smallest = root * root % modulus, root, root
    for _ in range(n):
        smallest = min(smallest, power)
        power = power * square % modulus
    return smallest


def _transform(values: Residues, root: int, modulus: int) -> Residues:
    """``sum_t values[t] root^(i t)`` for each i, by halving."""
    n = len(values)
    if n == 1:
        return values
    even = _transform(values[0::2], root * root % modulus, modulus)
    odd = _transform(values[1::2], root * root % modulus, modulus)
    turned = odd * _powers(root, n // 2, modulus) % modulus
    return np.concatenate([even + turned, even - turned]) % modulus


def _powers(base: int, count: int, modulus: int) -> Residues:
    powers = [1]
    for _ in range(count - 1):
        powers.append(powers[-1] * base % modulus)
    return np.array(powers, dtype=object)


def _bit_reversal(n: int) -> npt.NDArray[np.int64]:
    bits = n.bit_length() - 1
    return np.array([int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)], dtype=np.int64)
