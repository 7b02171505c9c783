"""Alice's secret half of a session in each mode: encrypts her vectors, decrypts the logits.

Each takes what Bob described, after it has checked it, and makes fresh keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import tenseal as ts
import tenseal.sealapi as seal

from sotto.he.evaluation.contexts import load_vector, public_material, secret_context
from sotto.he.evaluation.evaluation_keys import SecretKeys
from sotto.he.messages import (
    KEY_LIMIT,
    MAX_PART,
    AnyDescription,
    BatchedDescription,
    Description,
    PackedDescription,
    TensorDescription,
)
from sotto.he.network.network import Floats
from sotto.he.network.schedule import seal_context
from sotto.he.planning.overflow import SPARE_SLOTS, batched_logits, packed_logits
from sotto.he.sealing import load_ciphertext
from sotto.link import FrameError


class Secrets(Protocol):
    """One session's secrets.  ``rows``: vectors of one batch.  ``reply_bytes``: most bytes of an answer."""

    rows: int
    reply_bytes: int

    def public_material(self) -> bytes:
        """What Bob may have."""

    def encrypt(self, vectors: Floats) -> Iterator[bytes]:
        """The ciphertexts of a batch (at most ``rows``, inputs)."""

    def replies(self, count: int) -> int:
        """How many answers come for a batch of ``count`` vectors."""

    def decrypt(self, replies: Sequence[bytes], count: int) -> Floats:
        """The logits (count, classes) in the answers; :class:`sotto.link.FrameError` for malformed ones."""


def make_secrets(description: AnyDescription, threads: int | None, key_limit: int = KEY_LIMIT) -> Secrets:
    """Fresh keys for what Bob described; :class:`sotto.link.FrameError` if it is weak, malformed or asks for too
    many."""
    if description.key_bytes > key_limit:
        raise FrameError(
            "keys-too-large",
            f"Bob asks for up to {description.key_bytes / 1e6:.0f} MB of keys, the limit is {key_limit / 1e6:.0f} MB:"
            " raise Alice's key_limit if you trust Bob with your machine's memory",
        )
    if isinstance(description, PackedDescription | TensorDescription):
        return PackedSecrets(description)
    if isinstance(description, BatchedDescription):
        return BatchedSecrets(description)
    return TensealSecrets(description, threads)


class TensealSecrets:
    """One ``ckks_vector`` for each feature vector."""

    rows = MAX_PART

    def __init__(self, description: Description, threads: int | None) -> None:
        self._parameters = description.parameters()
        self._classes = description.classes
        self._context = secret_context(self._parameters, threads)
        self.reply_bytes = self._parameters.answer_bytes

    def public_material(self) -> bytes:
        return public_material(self._context)

    def encrypt(self, vectors: Floats) -> Iterator[bytes]:
        for vector in vectors:
            yield ts.ckks_vector(self._context, vector.tolist()).serialize()

    def replies(self, count: int) -> int:
        return count

    def decrypt(self, replies: Sequence[bytes], count: int) -> Floats:
        return np.stack([self._decrypted(reply) for reply in replies])

    def _decrypted(self, reply: bytes) -> Floats:
        primes, scale = len(self._parameters.base), 2.0**self._parameters.scale_bits
        return np.array(load_vector(self._context, reply, size=self._classes, primes=primes, scale=scale).decrypt())


class _Sealed:
    """What the hand-packed modes share: the chain, encoding and encryption."""

    def __init__(self, description: PackedDescription | TensorDescription | BatchedDescription) -> None:
        self._modulus = description.modulus()
        self._context = seal_context(self._modulus)
        self._encoder = seal.CKKSEncoder(self._context)
        self._keys = SecretKeys(self._modulus)
        self._scale = 2.0**description.input_bits
        self._answer = description.answer_primes, description.answer_scale
        self.reply_bytes = self._modulus.ciphertext_bytes(description.answer_primes)

    def _encrypted(self, slots: npt.NDArray[np.complex128] | Floats) -> bytes:
        plaintext = seal.Plaintext()
        self._encoder.encode(slots.tolist(), self._scale, plaintext)
        return self._keys.encrypt(plaintext)

    def _slots(self, reply: bytes) -> npt.NDArray[np.complex128]:
        level, scale = self._answer
        ciphertext = load_ciphertext(self._context, reply, level=level, scale=scale)
        return np.array(self._encoder.decode_complex(self._keys.decrypt(ciphertext)))


class PackedSecrets(_Sealed):
    """One ciphertext for each feature vector, laid out as Bob's first layer wants it."""

    rows = MAX_PART

    def __init__(self, description: PackedDescription | TensorDescription) -> None:
        super().__init__(description)
        self._description = description

    def public_material(self) -> bytes:
        return self._keys.public_material(self._description.steps, public_key=self._description.flooded)

    def encrypt(self, vectors: Floats) -> Iterator[bytes]:
        layout = self._description.layout
        for vector in vectors:
            yield self._encrypted(layout.lay_out(vector, self._modulus.slots))

    def replies(self, count: int) -> int:
        return count

    def decrypt(self, replies: Sequence[bytes], count: int) -> Floats:
        told = self._description
        slots = [self._slots(reply) for reply in replies]
        return np.stack([packed_logits(values, told.period, told.classes, told.paired) for values in slots])


class BatchedSecrets(_Sealed):
    """One ciphertext for each feature, a vector in each slot but the spare ones; slots without a vector are zero."""

    def __init__(self, description: BatchedDescription) -> None:
        super().__init__(description)
        self._classes, self._flooded = description.classes, description.flooded
        self.rows = self._modulus.slots - SPARE_SLOTS

    def public_material(self) -> bytes:
        return self._keys.public_material((), public_key=self._flooded)

    def encrypt(self, vectors: Floats) -> Iterator[bytes]:
        for column in vectors.T:
            slots = np.zeros(self._modulus.slots)
            slots[: len(column)] = column
            yield self._encrypted(slots)

    def replies(self, count: int) -> int:
        return self._classes

    def decrypt(self, replies: Sequence[bytes], count: int) -> Floats:
        return np.stack([batched_logits(self._slots(reply), count) for reply in replies], axis=1)
