"""Alice's keys in the hand-packed modes: her secret half, and the public material that Bob loads.

Bob gets the relinearisation key, a Galois key for each rotation that his program uses and no other, and a public key
only when he floods his answers.  The message has no place for a secret key, and SEAL loads none as something else.
Keys are sent seeded: of each pair of polynomials one is drawn from a seed, and only the seed is sent.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import tenseal.sealapi as seal

from sotto.he.evaluation.ciphertexts import EvaluationKeys
from sotto.he.network.schedule import Modulus, seal_context
from sotto.he.sealing import dumped, galois_elements, loaded
from sotto.link import FrameError, decode, encode

_VERSION: Literal[1] = 1


class PublicMaterial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Bob may have, each part in SEAL's serialisation; empty where his program needs none."""

    version: Literal[1]
    relinearisation: bytes
    galois: bytes
    public: bytes


class SecretKeys:
    """A fresh secret key; draws it and everything made from it from the operating system's generator, through SEAL."""

    def __init__(self, modulus: Modulus) -> None:
        self._modulus = modulus
        self._context = seal_context(modulus)
        self._generator = seal.KeyGenerator(self._context)
        secret = self._generator.secret_key()
        self._encryptor = seal.Encryptor(self._context, secret)
        self._decryptor = seal.Decryptor(self._context, secret)

    def __repr__(self) -> str:
        return "<SecretKeys>"

    def public_material(self, steps: tuple[int, ...], *, public_key: bool) -> bytes:
        """The message for Bob: keys for the rotations ``steps``, and a public key if he asks for one."""
        relinearisation = dumped(self._generator.create_relin_keys())
        elements = galois_elements(steps, self._modulus.ring_degree)
        galois = dumped(self._generator.create_galois_keys(elements)) if elements else b""
        public = b""
        if public_key:
            key = seal.PublicKey()
            self._generator.create_public_key(key)
            public = dumped(key)
        return encode(PublicMaterial(_VERSION, relinearisation, galois, public))

    def encrypt(self, plaintext: seal.Plaintext) -> bytes:
        """A symmetric encryption, seeded: half the size of one under the public key, and less noisy."""
        return dumped(self._encryptor.encrypt_symmetric(plaintext))

    def decrypt(self, ciphertext: seal.Ciphertext) -> seal.Plaintext:
        """The plaintext, noise included: not to be published (:mod:`sotto.he.attacks.raw_decryption`)."""
        plaintext = seal.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        return plaintext


def load_keys(
    modulus: Modulus, data: bytes, steps: tuple[int, ...], *, public_key: bool
) -> tuple[EvaluationKeys, seal.PublicKey | None]:
    """Bob's keys from what Alice sent.

    Raises
    ------
    FrameError
        malformed, for another modulus, or without a key that the program uses.
    """
    context = seal_context(modulus)
    material = decode(data, PublicMaterial)
    relinearisation = loaded(seal.RelinKeys(), context, material.relinearisation, "keys")
    complete = relinearisation.has_key(2)
    galois = None
    if steps:
        galois = loaded(seal.GaloisKeys(), context, material.galois, "keys")
        complete &= all(galois.has_key(element) for element in galois_elements(steps, modulus.ring_degree))
    if not complete:
        raise FrameError("incomplete-keys", "Alice's keys are incomplete: Bob needs relinearisation and Galois keys")
    public = loaded(seal.PublicKey(), context, material.public, "keys") if public_key else None
    return EvaluationKeys(relinearisation, galois), public
