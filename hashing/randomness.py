"""Secret randomness for hash keys: AES-256 in counter mode, keyed by the operating system or by a seed.

Without a seed the stream starts from 32 bytes of the operating system's generator. With a seed, for experiments that
must repeat, it starts from HKDF-SHA256 of the seed: whoever can guess the seed has the key.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from scipy.special import ndtri

Seed = int | bytes | str


class KeyStream:
    """Uniform and standard normal numbers. ``label`` separates the uses of one seed."""

    def __init__(self, label: str, seed: Seed | None = None) -> None:
        key = secrets.token_bytes(32) if seed is None else _derive(seed, label)
        # No two streams share a key, so the counter may start at zero.
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def __repr__(self) -> str:
        return "<KeyStream>"

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` numbers uniform on the open interval (0, 1), 53 bits each."""
        words = np.frombuffer(self._cipher.update(bytes(8 * count)), "<u8") >> np.uint64(11)
        return (words.astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` independent standard normal numbers: the normal quantile function of uniform ones."""
        return np.asarray(ndtri(self.uniform(count)), np.float64)


def _derive(seed: Seed, label: str) -> bytes:
    """32 bytes from a seed; its type goes in, so that 1, "1" and b"1" are three seeds."""
    if isinstance(seed, bytes):
        material = b"bytes:" + seed
    elif isinstance(seed, str):
        material = b"text:" + seed.encode()
    else:
        material = b"integer:" + str(int(seed)).encode()
    return HKDF(SHA256(), 32, salt=None, info=b"sotto hashing 1 " + label.encode()).derive(material)
