"""Secret randomness for keys and masks: AES-256 in counter mode, keyed by the operating system or by a seed.

Without a seed the stream starts from 32 bytes of the operating system's generator.  With a seed (for experiments that
must repeat) it starts from HKDF-SHA256 of the seed: such a key is exactly as secret as its seed, and a small integer is
not a secret.  Either way a key has at most 256 bits of uncertainty, whatever the size of its key space.
"""

from __future__ import annotations

import os
import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sotto.link.errors import BadValue

Seed = int | bytes | str


class SecretStream:
    """Uniform bytes, integers and numbers, and standard normal ones.  ``label`` separates the uses of one seed."""

    def __init__(self, label: str, seed: Seed | None = None) -> None:
        self._owner = os.getpid() if seed is None else None
        self._cipher = _cipher(secrets.token_bytes(32) if seed is None else _derive(seed, label))

    def __repr__(self) -> str:
        return "<SecretStream>"

    def bytes(self, count: int) -> bytes:
        """The next ``count`` uniform bytes."""
        if self._owner is not None and self._owner != os.getpid():
            # A forked process must not give out what its parent gives out.
            self._owner = os.getpid()
            self._cipher = _cipher(secrets.token_bytes(32))
        return self._cipher.update(bytes(count))

    def below(self, bound: int) -> int:
        """Uniform on 0 … ``bound`` - 1: values at or above ``bound`` are drawn again, never reduced."""
        if bound < 1:
            raise BadValue("out-of-range", "the bound of a random integer is at least 1")
        bits = (bound - 1).bit_length()
        size = (bits + 7) // 8
        while True:
            value = int.from_bytes(self.bytes(size)) >> (8 * size - bits)
            if value < bound:
                return value

    def bits(self, count: int) -> npt.NDArray[np.uint8]:
        """``count`` fair bits, one per element."""
        packed = np.frombuffer(self.bytes((count + 7) // 8), np.uint8)
        return np.unpackbits(packed, count=count)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` numbers uniform on the open interval (0, 1), 52 bits each, float64."""
        words = np.frombuffer(self.bytes(8 * count), "<u8") >> np.uint64(12)
        return (words.astype(np.float64) + 0.5) * 2.0**-52

    def normal(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` independent standard normal numbers (Box and Muller 1958), float64."""
        pairs = (count + 1) // 2
        first, second = self.uniform(2 * pairs).reshape(2, pairs)
        radius, angle = np.sqrt(-2.0 * np.log(first)), 2.0 * np.pi * second
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def _cipher(key: bytes) -> CipherContext:
    # Every stream has a key of its own, so its counter may start at zero.
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


def _derive(seed: Seed, label: str) -> bytes:
    """32 bytes from a seed; the type goes in, so that 1, "1" and b"1" are three seeds."""
    if isinstance(seed, bytes):
        material = b"bytes:" + seed
    elif isinstance(seed, str):
        material = b"text:" + seed.encode()
    else:
        material = b"integer:" + str(int(seed)).encode()
    return HKDF(SHA256(), 32, salt=None, info=b"sotto " + label.encode()).derive(material)
