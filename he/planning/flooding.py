"""Noise flooding: Bob hides what the noise of an answer says about his weights (circuit privacy).

The noise in a ciphertext that Bob computed depends on his weights, and the ciphertext's other half is a fixed function
of the query and the weights.  So he adds a fresh encryption, under Alice's public key, of Gaussian noise far above it
(Gentry, "A fully homomorphic encryption scheme", 2009, section 21.1).  An answer then tells Alice the logits rounded by
the flood, and about its own noise next to nothing: with deviation 2^k times that of the noise in each slot, the
statistical distance to an answer without it is below sqrt(N) 2^-k, which is ``2 ** -statistical_bits`` here for each
ciphertext: distances add up, batched answers are a ciphertext for each class, and 2^statistical_bits answers
exhaust it.  It is reached for honest queries under honest keys only, and the noise is estimated, not bounded.

It costs larger parameters: the circuit must be that much more precise than the logits.
"""

from __future__ import annotations

import math

import numpy as np
import tenseal.sealapi as seal

from sotto.he.network.program import Value
from sotto.he.network.schedule import Schedule, seal_context
from sotto.he.planning.calibration import MAX_LOGIT_ERROR
from sotto.he.planning.noise import DEVIATIONS
from sotto.he.sealing import parms_ids
from sotto.link.secret_stream import SecretStream

#: Standard deviation of the flood, in logits: the most that leaves them as precise as promised.
FLOOD = MAX_LOGIT_ERROR / DEVIATIONS

MAX_STATISTICAL_BITS = 40


def required_precision(statistical_bits: int, ring_degree: int) -> float:
    """Error of a logit, six deviations, below which :data:`FLOOD` hides it."""
    return MAX_LOGIT_ERROR * 2.0 ** -(statistical_bits + math.log2(ring_degree) / 2)


class Flood:
    """Bob's flooding in one session.  The noise is drawn from AES-256 in counter mode, keyed by the system."""

    def __init__(self, schedule: Schedule, public_key: seal.PublicKey) -> None:
        context = seal_context(schedule.modulus)
        self._encryptor = seal.Encryptor(context, public_key)
        self._encoder = seal.CKKSEncoder(context)
        self._evaluator = seal.Evaluator(context)
        self._level = parms_ids(context)[schedule.answer_primes]
        self._slots = schedule.modulus.slots
        self._stream = SecretStream("he flooding")

    def __call__(self, answer: Value[list[seal.Ciphertext]]) -> Value[list[seal.Ciphertext]]:
        """The answer, flooded in every slot."""
        return Value([self._flooded(c, answer.scale) for c in answer.payload], answer.scale, answer.level)

    def _flooded(self, ciphertext: seal.Ciphertext, scale: float) -> seal.Ciphertext:
        parts = FLOOD * self._stream.normal(2 * self._slots).reshape(2, self._slots)
        plaintext, noise, result = seal.Plaintext(), seal.Ciphertext(), seal.Ciphertext()
        self._encoder.encode(np.asarray(parts[0] + 1j * parts[1]).tolist(), self._level, scale, plaintext)
        self._encryptor.encrypt(plaintext, noise)
        self._evaluator.add(ciphertext, noise, result)
        return result
