"""The modulus chain of the hand-packed evaluators, and where on the way which scale is divided away.

:mod:`sotto.he.network.parameters` is for TenSEAL's vectors, which rescale after every product.  Here a product with
weights and the squaring that follows share one rescaling, so primes and scales are chosen one by one: :class:`Schedule`
is Bob's choice (:mod:`sotto.he.planning.scheduling` makes it), and :class:`Modulus` is the part of it that Alice checks
before she makes keys.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from sotto.he.network.circuit import DEPTH
from sotto.he.network.parameters import (
    MAX_CHAIN_BITS,
    MAX_LEVELS,
    MAX_PRIME_BITS,
    MIN_PRIME_BITS,
    ParametersRefused,
    chain_primes,
)
from sotto.link import BadValue


@dataclass(frozen=True)
class Modulus:
    """Ring degree N and bits of each prime: those of ciphertexts, first the one that stays longest, then the special.

    Raises
    ------
    ParametersRefused
        the chain is malformed, or at this ring degree weaker than 128 bits.
    """

    ring_degree: int
    chain: tuple[int, ...]

    def __post_init__(self) -> None:
        most = MAX_CHAIN_BITS.get(self.ring_degree)
        if most is None:
            raise ParametersRefused(
                "bad-ring-degree", f"ring degree {self.ring_degree}; use one of {', '.join(map(str, MAX_CHAIN_BITS))}"
            )
        if not 2 <= len(self.chain) <= MAX_LEVELS:
            raise ParametersRefused("bad-level-count", f"a chain has 2 to {MAX_LEVELS} primes")
        if not all(MIN_PRIME_BITS <= bits <= MAX_PRIME_BITS for bits in self.chain):
            raise ParametersRefused(
                "bad-prime-size", f"primes of a chain have {MIN_PRIME_BITS} to {MAX_PRIME_BITS} bits"
            )
        if sum(self.chain) > most:
            raise ParametersRefused(
                "insecure",
                f"a chain of {sum(self.chain)} bits at ring degree {self.ring_degree} has less than"
                f" 128-bit security (at most {most} bits)",
            )

    @property
    def slots(self) -> int:
        return self.ring_degree // 2

    @property
    def primes(self) -> tuple[int, ...]:
        """The primes themselves, special one last, as SEAL takes them."""
        return chain_primes(self.ring_degree, self.chain)

    @property
    def top(self) -> int:
        """Primes of a fresh ciphertext."""
        return len(self.chain) - 1

    def bits(self, level: int) -> float:
        """log2 of the modulus of a ciphertext with ``level`` primes left."""
        return sum(math.log2(prime) for prime in self.primes[:level])

    def ciphertext_bytes(self, level: int) -> int:
        """Most bytes of a serialised two-part ciphertext over ``level`` primes; a seeded one has half."""
        return _serialised(2 * level * self.ring_degree * 8)

    def key_bytes(self, switching_keys: int) -> int:
        """Most bytes of a public key and so many key-switching keys."""
        return self.ciphertext_bytes(len(self.chain)) * (1 + switching_keys * self.top) + 65536


@dataclass(frozen=True)
class Schedule:
    """How a network of given degrees goes down the chain.

    Attributes
    ----------
    modulus
        ring degree and primes.
    rescales
        for each activation, how many primes go after each of its ciphertext products.
    input_bits
        features are encrypted at scale ``2 ** input_bits``.
    weight_bits
        for each layer, weights are encoded at scale ``2 ** weight_bits``.
    late
        relinearise after rescaling, over fewer primes: faster, six bits noisier.
    before
        for each activation, how many primes go before its first product; empty for none.  A small scale is squared
        into a small one, so that a deep activation takes fewer bits of the chain, over more primes.
    """

    modulus: Modulus
    rescales: tuple[tuple[int, ...], ...]
    input_bits: int
    weight_bits: tuple[float, ...]
    late: bool
    before: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(len(counts) not in DEPTH.values() for counts in self.rescales):
            raise BadValue("bad-schedule", "an activation rescales after each of its products")
        if self.before and len(self.before) != len(self.rescales):
            raise BadValue("bad-schedule", "a schedule rescales before every activation or before none")
        if len(self.weight_bits) != len(self.rescales) + 1 or self.answer_primes < 1:
            raise BadValue("bad-schedule", "a schedule needs a weight scale for every layer and a prime that stays")

    @property
    def answer_primes(self) -> int:
        """Primes left in an answer."""
        return self.modulus.top - sum(map(sum, self.rescales)) - sum(self.before)


def phases(slots: int) -> npt.NDArray[np.complex128]:
    """What the monomial X^(N/2) is in each slot (slots,): slot j belongs to a root ζ^(3^j), and ζ^(N/2) is i."""
    return np.where(np.arange(slots) % 2, -1j, 1j)


def _serialised(raw: int) -> int:
    """SEAL compresses; what does not compress grows by less than a hundredth, plus headers."""
    return raw + raw // 100 + 4096


@functools.cache
def seal_context(modulus: Modulus) -> seal.SEALContext:
    """SEAL's precomputed tables for a chain; nothing secret.  Raises ParametersRefused when SEAL finds it weak."""
    settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(modulus.ring_degree)
    _ = modulus.primes  # refused with a reason when there are none
    settings.set_coeff_modulus(seal.CoeffModulus.Create(modulus.ring_degree, list(modulus.chain)))
    context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ParametersRefused("refused-by-seal", f"SEAL refuses the parameters: {context.parameters_error_message()}")
    return context
