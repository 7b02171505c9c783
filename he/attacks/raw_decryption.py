"""Bob computes Alice's secret key from raw decryptions: why she must never give them out (IND-CPA^D).

Decryption computes ``m = c0 + c1 s mod q`` and decodes it.  Bob has (c0, c1), because he computed them.  If Alice tells
him the decoded values as they are, he encodes them again and has m, noise included; then ``s = (m - c0) / c1``, no
lattice problem left (Li, Micciancio, "On the security of homomorphic encryption on approximate numbers",
EUROCRYPT 2021).  TenSEAL's decryption returns the real parts only, which is half of m: ``m + conj(m)``.  Two answers
make up for it, since over the pair of conjugate residues (s_k, s_-k) each gives one linear equation.

Setting: a batch.  Each of Alice's features fills one ciphertext, one slot for each of her recordings; Bob answers with
a linear score per class, two classes, two ciphertexts.  The parameters are small for speed (N = 4096, 109 bits) and
still 128-bit secure: the attack uses the answers, not a weakness of the parameters, and its cost grows like N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import tenseal as ts
import tenseal.sealapi as seal

from sotto.he.attacks.negacyclic import Residues, coefficients, slots
from sotto.he.planning.noise import LOGIT_STEP
from sotto.link import BadValue

Published = Literal["raw", "rounded", "class"]

RING_DEGREE = 4096
CHAIN = (40, 30, 39)
SCALE = 2.0**30
ROUNDING = LOGIT_STEP


@dataclass(frozen=True)
class RawDecryption:
    """What Bob got.

    Attributes
    ----------
    published
        what Alice told him: ``raw`` decryptions, ``rounded`` ones, or only the better ``class``.
    key_recovered
        whether his candidate for the key is one (all coefficients -1, 0 or 1).
    key_agreement
        share of the true key's coefficients that he has right.
    largest_feature_error
        how far his decryption of Alice's features is off; None without a key.
    """

    published: Published
    key_recovered: bool
    key_agreement: float
    largest_feature_error: float | None


def recover_key(features: npt.ArrayLike, weights: npt.ArrayLike, published: Published = "raw") -> RawDecryption:
    """Run one session in which Alice tells Bob her decryptions, and attack it.

    Parameters
    ----------
    features
        (2048, f) in [-1, 1], f > 1: Alice's batch, one recording per row.
    weights
        (f, 2): Bob's two linear scores.
    published
        what Alice tells Bob about the scores.
    """
    batch, matrix = np.asarray(features, np.float64), np.asarray(weights, np.float64)
    if batch.shape != (RING_DEGREE // 2, len(matrix)) or matrix.shape[1:] != (2,) or len(matrix) < 2:
        raise BadValue(
            "wrong-shape", f"the attack takes features ({RING_DEGREE // 2}, f) and weights (f, 2) with f > 1"
        )
    alice = ts.context(ts.SCHEME_TYPE.CKKS, RING_DEGREE, coeff_mod_bit_sizes=list(CHAIN), n_threads=1)
    alice.global_scale = SCALE
    queries = [ts.ckks_vector(alice, column.tolist()) for column in batch.T]
    answers = [_linear(queries, column) for column in matrix.T]
    scores = np.array([answer.decrypt() for answer in answers])
    told = _publish(scores, published)

    # From here on only what Bob has: the ciphertexts, and what he was told.
    modulus = seal.CoeffModulus.Create(RING_DEGREE, list(CHAIN))[0].value()
    key = _solve([_residues(answer, modulus) for answer in answers], told, modulus)
    candidate = None if key is None else coefficients(key, modulus)
    recovered = candidate is not None and all(abs(c) <= 1 for c in candidate)
    error = None
    if key is not None and recovered:
        c0, c1 = _residues(queries[0], modulus)
        first = slots(coefficients((c0 + c1 * key) % modulus, modulus), SCALE).real
        error = float(np.abs(first - batch[:, 0]).max())
    return RawDecryption(published, recovered, _agreement(candidate, alice, modulus), error)


def _linear(queries: list[ts.CKKSVector], weights: npt.NDArray[np.float64]) -> ts.CKKSVector:
    """Bob's honest work: a weighted sum of the encrypted features."""
    total = queries[0] * float(weights[0])
    for query, weight in zip(queries[1:], weights[1:], strict=True):
        total = total + query * float(weight)
    return total


def _publish(scores: npt.NDArray[np.float64], published: Published) -> npt.NDArray[np.float64]:
    if published == "raw":
        return scores
    if published == "rounded":
        return np.round(scores / ROUNDING) * ROUNDING
    return np.eye(2)[scores.argmax(axis=0)].T


def _residues(vector: ts.CKKSVector, modulus: int) -> tuple[Residues, Residues]:
    """(c0, c1) modulo the first prime."""
    ciphertext = vector.ciphertext()[0]
    stride = ciphertext.coeff_modulus_size() * RING_DEGREE
    parts = [[int(ciphertext[part * stride + i]) % modulus for i in range(RING_DEGREE)] for part in range(2)]
    return np.array(parts[0], dtype=object), np.array(parts[1], dtype=object)


def _solve(
    ciphertexts: list[tuple[Residues, Residues]], told: npt.NDArray[np.float64], modulus: int
) -> Residues | None:
    """The key's residues modulo the first prime from two answers; None if the equations are singular."""
    # Entry N-1-i of a residue vector belongs to the conjugate root of entry i.
    equations = []
    for (c0, c1), values in zip(ciphertexts, told, strict=True):
        both = _encode(2 * values, modulus)  # m + conj(m)
        equations.append((c1, c1[::-1], (both - c0 - c0[::-1]) % modulus))
    (a, b, e), (c, d, f) = equations
    determinant = (a * d - b * c) % modulus
    if any(value == 0 for value in determinant):
        return None
    inverse = np.array([pow(int(value), -1, modulus) for value in determinant], dtype=object)
    return (e * d - b * f) * inverse % modulus


def _encode(values: npt.NDArray[np.float64], modulus: int) -> Residues:
    """SEAL's own encoding of real ``values`` (N/2,), modulo ``modulus``."""
    settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(RING_DEGREE)
    settings.set_coeff_modulus(seal.CoeffModulus.Create(RING_DEGREE, list(CHAIN)))
    context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
    plaintext = seal.Plaintext()
    seal.CKKSEncoder(context).encode(values.tolist(), context.last_parms_id(), SCALE, plaintext)
    return np.array([int(plaintext[i]) % modulus for i in range(RING_DEGREE)], dtype=object)


def _agreement(candidate: Residues | None, alice: ts.Context, modulus: int) -> float:
    """Share of coefficients that equal the true key's, which only this function looks at."""
    if candidate is None:
        return 0.0
    stored = alice.secret_key().data.data()
    true = coefficients(np.array([int(stored[i]) for i in range(RING_DEGREE)], dtype=object), modulus)
    return float(np.mean([int(a) == int(b) for a, b in zip(candidate, true, strict=True)]))
