"""CKKS parameter sets at 128-bit security.

A set is a ring degree N and a chain of primes: ``base`` primes that stay to the end and hold the result, one prime
of the size of the scale for each level, and the special prime of key switching.  How large the chain may be
altogether for 128-bit security against the best known attacks on a ternary secret is the table of the
Homomorphic Encryption Standard (Albrecht et al. 2018, table 1, classical), the same that SEAL enforces.
Both parties check a set before they use it: Alice does not make keys for parameters that Bob weakened.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import tenseal.sealapi as seal

from sotto.link import Coded

SECURITY_BITS = 128

#: Ring degree → most bits of the whole chain at 128-bit security.
MAX_CHAIN_BITS = {8192: 218, 16384: 438, 32768: 881}

MAX_PRIME_BITS = 60
MIN_PRIME_BITS = 20
MAX_LEVELS = 32


class ParametersRefused(Coded, ValueError):
    """A parameter set is not one that this package would use; the message says why in one line."""


@dataclass(frozen=True)
class Parameters:
    """A CKKS parameter set.

    Attributes
    ----------
    ring_degree
        N; a ciphertext has N/2 slots.
    base
        bits of the primes that hold the result.
    levels
        how many primes of ``scale_bits`` bits are consumed on the way.
    scale_bits
        the scale Δ is ``2 ** scale_bits``.
    special_bits
        bits of the key-switching prime.

    Raises
    ------
    ParametersRefused
        the set is weaker than 128 bits or malformed.
    """

    ring_degree: int
    base: tuple[int, ...]
    levels: int
    scale_bits: int
    special_bits: int

    def __post_init__(self) -> None:
        if self.ring_degree not in MAX_CHAIN_BITS:
            raise ParametersRefused(
                "bad-ring-degree", f"ring degree {self.ring_degree}; use one of {', '.join(map(str, MAX_CHAIN_BITS))}"
            )
        if not (1 <= self.levels <= MAX_LEVELS and 1 <= len(self.base) <= MAX_LEVELS):
            raise ParametersRefused("bad-level-count", f"a chain has 1 to {MAX_LEVELS} levels and as many base primes")
        if not all(MIN_PRIME_BITS <= bits <= MAX_PRIME_BITS for bits in self.chain):
            raise ParametersRefused(
                "bad-prime-size", f"primes of a chain have {MIN_PRIME_BITS} to {MAX_PRIME_BITS} bits"
            )
        if sum(self.chain) > MAX_CHAIN_BITS[self.ring_degree]:
            raise ParametersRefused(
                "insecure",
                f"a chain of {sum(self.chain)} bits at ring degree {self.ring_degree} has less than"
                f" {SECURITY_BITS}-bit security (at most {MAX_CHAIN_BITS[self.ring_degree]} bits)",
            )
        if self.headroom_bits < 1:
            raise ParametersRefused("no-room", "the base primes leave no room above the scale")

    @property
    def chain(self) -> tuple[int, ...]:
        """Bits of every prime, in the order in which SEAL takes them."""
        return (*self.base, *(self.scale_bits,) * self.levels, self.special_bits)

    @property
    def slots(self) -> int:
        return self.ring_degree // 2

    @property
    def headroom_bits(self) -> int:
        """A result below ``2 ** headroom_bits`` in magnitude does not wrap."""
        return sum(self.base) - self.scale_bits - 2  # one bit is the sign's, one makes up for primes below 2^bits

    @property
    def ratios(self) -> tuple[float, ...]:
        """Δ/q for each level's prime, in the order in which levels are consumed
        (:func:`sotto.he.network.circuit.fold`)."""
        primes = chain_primes(self.ring_degree, self.chain)
        levels = primes[len(self.base) : -1]
        return tuple(2.0**self.scale_bits / prime for prime in reversed(levels))

    @property
    def parms_id(self) -> tuple[int, ...]:
        """SEAL's digest of the parameters: equal digests mean equal ring degree and primes."""
        return _parms_id(self.ring_degree, self.chain)

    def ciphertext_bytes(self, primes: int) -> int:
        """Most bytes of a serialised two-part ciphertext over the first ``primes`` primes."""
        return _serialised(2 * primes * self.ring_degree * 8)

    @property
    def query_bytes(self) -> int:
        return self.ciphertext_bytes(len(self.chain) - 1)

    @property
    def answer_bytes(self) -> int:
        return self.ciphertext_bytes(len(self.base))

    @property
    def key_bytes(self) -> int:
        """Most bytes of the public material: Galois keys for all powers of two, relinearisation and public key."""
        switching = len(self.chain) - 1  # digits, one key each
        rotations = 2 * (self.ring_degree.bit_length() - 2) + 1
        return self.ciphertext_bytes(len(self.chain)) * (switching * (rotations + 2) + 1)


def _serialised(raw: int) -> int:
    """SEAL compresses; what does not compress grows by less than a hundredth, plus headers."""
    return raw + raw // 100 + 4096


@functools.cache
def chain_primes(ring_degree: int, chain: tuple[int, ...]) -> tuple[int, ...]:
    """The primes SEAL takes for a chain of these bits; ParametersRefused when there are not that many."""
    try:  # SEAL gives the primes of each size in this order, whatever stands between them
        left = {bits: iter(_primes_of(ring_degree, bits, chain.count(bits))) for bits in set(chain)}
        return tuple(next(left[bits]) for bits in chain)
    except (ValueError, RuntimeError) as error:
        raise ParametersRefused("no-primes", f"SEAL finds no primes for the chain {chain}: {error}") from None


@functools.cache
def _primes_of(ring_degree: int, bits: int, count: int) -> tuple[int, ...]:
    """SEAL's primes of one size; to look for them takes milliseconds, and a search for scales asks a thousand times."""
    return tuple(prime.value() for prime in seal.CoeffModulus.Create(ring_degree, [bits] * count))


@functools.cache
def _parms_id(ring_degree: int, chain: tuple[int, ...]) -> tuple[int, ...]:
    chain_primes(ring_degree, chain)
    settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(ring_degree)
    settings.set_coeff_modulus(seal.CoeffModulus.Create(ring_degree, list(chain)))
    context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ParametersRefused("refused-by-seal", f"SEAL refuses the parameters: {context.parameters_error_message()}")
    return tuple(int(word) for word in context.key_parms_id())
