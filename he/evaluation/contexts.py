"""TenSEAL contexts: Alice's with the secret key, Bob's with public material only, and loading what the peer sent.

Keys, encryption and errors are drawn by SEAL from the operating system's generator (Blake2xb, seeded afresh for
every object).  Only :func:`public_material` leaves Alice's machine; it is serialised without the secret key, and
Bob refuses material that holds one, because a session begun that way is already lost.
"""

from __future__ import annotations

from typing import Any

import tenseal as ts

from sotto.he.network.parameters import Parameters
from sotto.link import FrameError


def secret_context(parameters: Parameters, threads: int | None = None) -> ts.Context:
    """A fresh key pair with the Galois and relinearisation keys the evaluator needs.  Takes seconds."""
    context = ts.context(
        ts.SCHEME_TYPE.CKKS,
        parameters.ring_degree,
        coeff_mod_bit_sizes=list(parameters.chain),
        n_threads=threads,
    )
    context.global_scale = 2.0**parameters.scale_bits
    context.generate_galois_keys()
    return context


def public_material(context: ts.Context) -> bytes:
    """What Bob may have: parameters, public key, relinearisation and Galois keys; never the secret key."""
    return context.serialize(save_public_key=True, save_secret_key=False, save_galois_keys=True, save_relin_keys=True)


def public_context(material: bytes, parameters: Parameters, threads: int | None = None) -> ts.Context:
    """Bob's context from what Alice sent.

    Raises
    ------
    FrameError
        not a context, other parameters than asked for, keys missing, or a secret key inside.
    """
    try:
        context = ts.context_from(material, n_threads=threads)
        complete = context.has_public_key() and context.has_relin_keys() and context.has_galois_keys()
        parms_id = tuple(int(word) for word in context.seal_context().data.key_parms_id())
        secret = context.has_secret_key() or context.is_private()
        scale = context.global_scale
        automatic = context.auto_relin and context.auto_rescale and context.auto_mod_switch
    except Exception:  # the library throws whatever its C++ layers threw
        raise FrameError("malformed-keys", "Alice's keys are malformed: both sides need the same release") from None
    if secret:
        raise FrameError("secret-key-sent", "Alice sent a secret key: destroy it and start again with a new one")
    if not complete or not automatic:
        raise FrameError(
            "incomplete-keys", "Alice's keys are incomplete: Bob needs public, relinearisation and Galois keys"
        )
    if parms_id != parameters.parms_id or scale != 2.0**parameters.scale_bits:
        raise FrameError("other-parameters", "Alice made keys for other parameters than Bob asked for")
    return context


def load_vector(context: ts.Context, data: bytes, *, size: int, primes: int, scale: float) -> ts.CKKSVector:
    """A ciphertext from the peer, holding ``size`` values over ``primes`` primes.

    Raises
    ------
    FrameError
        not a ciphertext, or not of the shape the protocol has at this point.
    """
    try:
        vector = ts.ckks_vector_from(context, data)
        found = vector.size(), [_shape(ciphertext) for ciphertext in vector.ciphertext()]
    except Exception:  # the library throws whatever its C++ layers threw
        raise FrameError(
            "malformed-ciphertext", "the peer sent a malformed ciphertext: both sides need the same release"
        ) from None
    if found != (size, [(2, primes, scale, True)]):
        raise FrameError(
            "wrong-ciphertext", "the peer sent a ciphertext of another size, level or scale than the protocol has here"
        )
    return vector


def _shape(ciphertext: Any) -> tuple[int, int, float, bool]:
    """Parts, primes, scale, and whether it is in the form in which SEAL computes and decrypts."""
    return ciphertext.size(), ciphertext.coeff_modulus_size(), ciphertext.scale, ciphertext.is_ntt_form()
