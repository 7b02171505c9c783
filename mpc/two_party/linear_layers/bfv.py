"""BFV encryption of polynomials modulo 2^bits, by SEAL: what Alice encrypts, Bob multiplies and she decrypts.

Polynomials have N = 8192 coefficients.  Two chains of primes, the last of each reserved by SEAL for key switching,
which is not used; both are far below the 218 bits at which a ternary secret of this degree and errors of deviation 3.2
have 128-bit security (Homomorphic Encryption Standard, Albrecht et al. 2018, table 1), and SEAL enforces that table:

    small    60 + 60 (+ 60) bits, answers over one prime       plaintexts of up to 53 bits
    large    54 + 54 + 54 (+ 54) bits, answers over two        up to 59 bits, or larger weights

What Bob's answer tells Alice besides its plaintext, and why it does not
-------------------------------------------------------------------------

He computes W · c for her ciphertexts c = (c0, c1), which she knows, so a bare product would hand her W.  He adds

* u · z, where z is a fresh encryption of zero of hers and u uniform ternary, and to the second half small noise: that
  half is then uniform to her by ring learning with errors with *his* secret u, at the parameters above;
* a uniform r modulo q to the first half, so what she decrypts is uniform too, *exactly*, whatever the noise.

r is also his mask: her plaintext is W · a + round(r · 2^bits / q), and his share is minus the second term.  Only where
the noise carries a coefficient over a rounding boundary is the sum of both shares off by one, and says something about
the noise; for a uniform r that happens with probability E|noise| · 2^bits / q.  With errors of variance 21/2 (SEAL's)
and 1/12 (rounding), the noise of a result has a variance below 10.6 · (|W|^2 + 2 N), |W| being the Euclidean norm of
all weight polynomials that go into it; by Jensen E|noise| is at most its root.  :func:`statistical_bits` is minus the
logarithm of that probability for each result; Bob refuses weights for which it is below 40.  These distances add up
over results and queries.

Then SEAL's modulus switch shortens the answer.  Its rounding moves a share by one unit in the last place at times, by
an amount that depends on Alice's view alone.  A product has 32 fraction bits or more, of which a gate keeps 16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tenseal.sealapi as seal

from sotto.link import FrameError
from sotto.link.secret_stream import SecretStream
from sotto.mpc.errors import ModelRefused
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.bit_packing import pack, packed_bytes, unpack
from sotto.mpc.two_party.linear_layers import residues
from sotto.mpc.two_party.linear_layers.coefficient_packing import Indices
from sotto.mpc.two_party.linear_layers.seal_objects import SEED_BYTES, Template

DEGREE = 8192
STATISTICAL_BITS = 40
MAX_PLAIN_BITS = 59
_SMALL_PLAIN_BITS = 53
_NOISE_VARIANCE = 10.6


@dataclass(frozen=True)
class Parameters:
    """``bits``: plaintexts are modulo 2^bits.  ``large``: which chain."""

    bits: int
    large: bool

    @classmethod
    def least(cls, bits: int) -> Parameters:
        """The smaller chain that holds plaintexts of ``bits`` bits."""
        return cls(bits, bits > _SMALL_PLAIN_BITS)

    @property
    def chain(self) -> tuple[int, ...]:
        return (54,) * 4 if self.large else (60,) * 3

    @property
    def answer_primes(self) -> int:
        """Primes left in an answer."""
        return 2 if self.large else 1


def statistical_bits(parameters: Parameters, norm: float) -> float:
    """How well results hide weight polynomials of Euclidean norm ``norm`` together (see above)."""
    deviation = math.sqrt(_NOISE_VARIANCE * (norm**2 + 2 * DEGREE))
    return (
        sum(parameters.chain[:-1]) - parameters.bits - math.log2(deviation) - 0.01
    )  # primes are a little below 2^bits


class Scheme:
    """SEAL's context for some parameters, and how its objects are laid out."""

    def __init__(self, parameters: Parameters) -> None:
        settings = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
        settings.set_poly_modulus_degree(DEGREE)
        settings.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, list(parameters.chain)))
        settings.set_plain_modulus(seal.Modulus(1 << parameters.bits))
        self.parameters = parameters
        self.context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise ModelRefused(
                "refused-by-seal", f"SEAL refuses the parameters: {self.context.parameters_error_message()}"
            )
        first = self.context.first_context_data().parms()
        self.primes = tuple(int(prime.value()) for prime in first.coeff_modulus())
        self.answer_primes = self.primes[: parameters.answer_primes]
        self.evaluator = seal.Evaluator(self.context)
        self._learn()

    def __repr__(self) -> str:
        return f"<Scheme of {self.parameters}>"

    def _learn(self) -> None:
        """How SEAL serialises each kind of object, from examples under a key that is thrown away."""
        encryptor = seal.Encryptor(self.context, seal.KeyGenerator(self.context).secret_key())
        self.plaintexts = Template(seal.Plaintext(f"1x^{DEGREE - 1}"), DEGREE)
        self.fresh = Template(encryptor.encrypt_zero_symmetric(), len(self.primes) * DEGREE, seeded=True)
        example = seal.Ciphertext()
        encryptor.encrypt_zero_symmetric(example)
        self.ciphertexts = Template(example, 2 * len(self.primes) * DEGREE)
        self.shorten(example)
        self.answers = Template(example, 2 * len(self.answer_primes) * DEGREE)

    def shorten(self, ciphertext: seal.Ciphertext) -> None:
        """Switch to the primes of an answer."""
        for _ in self.primes[len(self.answer_primes) :]:
            self.evaluator.mod_switch_to_next_inplace(ciphertext)

    def plaintext(self, coefficients: Words) -> seal.Plaintext:
        """A plaintext of coefficients (N,), of which the low bits count."""
        mask = np.uint64((1 << self.parameters.bits) - 1)
        plaintext: seal.Plaintext = self.plaintexts.fill(seal.Plaintext(), self.context, coefficients & mask)
        return plaintext

    @cached_property
    def fresh_bytes(self) -> int:
        """Size of a fresh ciphertext on the wire."""
        return SEED_BYTES + packed_bytes(len(self.primes) * DEGREE, self.prime_bits)

    @cached_property
    def prime_bits(self) -> int:
        """Bits of a residue on the wire."""
        return max(prime.bit_length() for prime in self.primes)

    def answer_bytes(self, results: int) -> int:
        """Size on the wire of an answer that holds so many results."""
        return packed_bytes(len(self.answer_primes) * (DEGREE + results), self.prime_bits)


class AliceKey:
    """Alice's secret key, which never leaves SEAL."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        secret = seal.KeyGenerator(scheme.context).secret_key()
        self._encryptor = seal.Encryptor(scheme.context, secret)
        self._decryptor = seal.Decryptor(scheme.context, secret)

    def __repr__(self) -> str:
        return "<AliceKey>"

    def encrypt(self, coefficients: Words) -> bytes:
        """A fresh ciphertext of coefficients (N,), as a seed and its first half."""
        return self._sent(self._encryptor.encrypt_symmetric(self._scheme.plaintext(coefficients)))

    def encrypt_zero(self) -> bytes:
        return self._sent(self._encryptor.encrypt_zero_symmetric())

    def decrypt(self, answer: bytes | memoryview, places: Indices) -> Words:
        """The results at ``places``.  Raises :class:`FrameError` for an answer that is none."""
        scheme = self._scheme
        primes = len(scheme.answer_primes)
        words = unpack(answer, primes * (DEGREE + len(places)), scheme.prime_bits)
        whole = np.zeros((2, primes, DEGREE), np.uint64)
        whole[0][:, places] = words[: primes * len(places)].reshape(primes, -1)
        whole[1] = words[primes * len(places) :].reshape(primes, -1)
        ciphertext = scheme.answers.fill(seal.Ciphertext(), scheme.context, whole)
        plaintext = seal.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        return self._coefficients(plaintext)[places]

    def _coefficients(self, plaintext: seal.Plaintext) -> Words:
        count = plaintext.coeff_count()
        if count == DEGREE:
            return self._scheme.plaintexts.read(plaintext)
        plaintext.resize(DEGREE)  # SEAL leaves leading zeros out
        return self._scheme.plaintexts.read(plaintext)

    def _sent(self, seeded: object) -> bytes:
        words, seed = self._scheme.fresh.seed(seeded)
        return seed + pack(words, self._scheme.prime_bits)


class BobEvaluator:
    """Bob's side: products, masked.  ``zero`` is Alice's encryption of zero as she sent it."""

    def __init__(self, scheme: Scheme, zero: bytes | bytearray | memoryview) -> None:
        self._scheme = scheme
        self._zero = self.load(zero)
        self._stream = SecretStream("mpc two-party answers")

    def __repr__(self) -> str:
        return "<BobEvaluator>"

    def load(self, data: bytes | bytearray | memoryview) -> seal.Ciphertext:
        """A fresh ciphertext of Alice's, ready for products.  Raises :class:`FrameError`."""
        scheme = self._scheme
        if len(data) != scheme.fresh_bytes:
            raise FrameError(
                "wrong-length", "the peer sent a ciphertext of another size: both sides need the same release"
            )
        words = unpack(data[SEED_BYTES:], len(scheme.primes) * DEGREE, scheme.prime_bits)
        ciphertext = scheme.fresh.fill(seal.Ciphertext(), scheme.context, words, bytes(data[:SEED_BYTES]))
        scheme.evaluator.transform_to_ntt_inplace(ciphertext)
        return ciphertext

    def answer(self, products: list[tuple[seal.Ciphertext, seal.Plaintext]], places: Indices) -> tuple[bytes, Words]:
        """The sum of products, masked, for Alice; and Bob's share of the results at ``places``."""
        scheme = self._scheme
        evaluator = scheme.evaluator
        total, term = seal.Ciphertext(), seal.Ciphertext()
        hiding = scheme.plaintext(residues.ternary(self._stream, DEGREE).view(np.uint64))
        evaluator.transform_to_ntt_inplace(hiding, scheme.context.first_parms_id())
        evaluator.multiply_plain(self._zero, hiding, total)
        for ciphertext, plaintext in products:
            evaluator.multiply_plain(ciphertext, plaintext, term)
            evaluator.add_inplace(total, term)
        evaluator.transform_from_ntt_inplace(total)
        mask = residues.uniform(self._stream, scheme.primes, DEGREE)
        added = [residues.residues(mask, scheme.primes), residues.small_noise(self._stream, scheme.primes, DEGREE)]
        evaluator.add_inplace(total, scheme.ciphertexts.fill(seal.Ciphertext(), scheme.context, np.stack(added)))
        scheme.shorten(total)
        halves = scheme.answers.read(total).reshape(2, -1, DEGREE)
        words = np.concatenate([halves[0][:, places].reshape(-1), halves[1].reshape(-1)])
        return pack(words, scheme.prime_bits), -residues.scaled(mask, scheme.primes, scheme.parameters.bits)[places]

    def weight(self, coefficients: Words) -> seal.Plaintext | None:
        """A weight polynomial, ready for products; None where it is zero, which adds nothing."""
        if not coefficients.any():
            return None
        plaintext = self._scheme.plaintext(coefficients)
        self._scheme.evaluator.transform_to_ntt_inplace(plaintext, self._scheme.context.first_parms_id())
        return plaintext
