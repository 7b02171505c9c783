"""The secret key of a Secure Modular Hash: the Gaussian matrix A and the dither w.

The key holder (Alice, and with her everyone who makes training hashes) keeps it; the server that trains and classifies
must never have it. Whoever has key and hash gets the features back (:mod:`sotto.hashing.attacks.known_key`). A key does
one thing: it is bound to its k, Δ, size and dither, and another setting needs another key.

Drawn from AES-256 in counter mode (:mod:`sotto.link.secret_stream`). Kept in a safetensors file of mode 0600 of its
own, never pickled, never printed.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError, KeyFileError
from sotto.hashing.smh.parameters import HashParameters
from sotto.hashing.tensor_file import read_file, write_file
from sotto.link import BadType
from sotto.link.secret_stream import SecretStream, Seed


class _HashKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record in a key file."""

    format: Literal["sotto-hash-key"]
    version: Literal[1]
    parameters: HashParameters
    fingerprint: str


class HashKey:
    """A secret (A, w) with its public parameters; immutable.

    Use :meth:`generate` or :meth:`load`.

    Raises
    ------
    HashingError
        the numbers do not fit the parameters.
    """

    __slots__ = ("_dither", "_fingerprint", "_matrix", "_parameters")

    def __init__(
        self, parameters: HashParameters, matrix: npt.NDArray[np.float64], dither: npt.NDArray[np.float64]
    ) -> None:
        shape = (parameters.symbols, parameters.inputs)
        if matrix.dtype != np.float64 or dither.dtype != np.float64:
            raise HashingError("wrong-dtype", "the matrix and the dither of a hash key are float64")
        if matrix.shape != shape or dither.shape != shape[:1]:
            raise HashingError(
                "wrong-shape", f"the matrix of this hash key has to be {shape[0]} × {shape[1]}, with as many dithers"
            )
        in_range = bool((dither >= 0).all() and (dither < parameters.dither_width).all())
        if not (np.isfinite(matrix).all() and in_range):
            raise HashingError("out-of-range", "the numbers of this hash key are out of range")
        self._parameters = parameters
        self._matrix = _frozen(matrix)
        self._dither = _frozen(dither)
        self._fingerprint = self._digest()

    @classmethod
    def generate(cls, parameters: HashParameters, *, seed: Seed | None = None) -> Self:
        """A new key. With ``seed`` the same one every time: for experiments only, it is as secret as the seed."""
        stream = SecretStream(f"hashing 1 key {parameters.label}", seed)
        matrix = stream.normal(parameters.symbols * parameters.inputs).reshape(parameters.symbols, -1)
        # A product that rounds up to the end of the interval stays inside it.
        end = np.nextafter(parameters.dither_width, 0.0)
        return cls(parameters, matrix, np.minimum(stream.uniform(parameters.symbols) * parameters.dither_width, end))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a key file.

        Raises
        ------
        KeyFileError
            missing, malformed, damaged, or other users of the machine may open it.
        """
        record, tensors = read_file(path, _HashKey, ("dither", "matrix"), private=True)
        try:
            key = cls(record.parameters, tensors["matrix"], tensors["dither"])
        except HashingError as error:
            raise KeyFileError("bad-key", f"{path}: {error}") from None
        if not hmac.compare_digest(key.fingerprint.encode(), record.fingerprint.encode()):
            raise KeyFileError(
                "damaged", f"{path}: is damaged (its key does not have its fingerprint); ask its owner for it again"
            )
        return key

    def save(self, path: str | Path) -> None:
        """Write the key, unencrypted, to a new file that only its owner can open.

        Raises
        ------
        KeyFileError
            something stands at ``path`` already (it is left alone), or the folder cannot be written.
        """
        record = _HashKey("sotto-hash-key", 1, self._parameters, self._fingerprint)
        write_file(path, {"matrix": self._matrix, "dither": self._dither}, record, private=True)

    @property
    def parameters(self) -> HashParameters:
        """What is public about the key."""
        return self._parameters

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """A (M, L), standard normal, read-only. Secret."""
        return self._matrix

    @property
    def dither(self) -> npt.NDArray[np.float64]:
        """w (M,), uniform over [0, kΔ) or, as the paper prints it, [0, k); read-only. Secret."""
        return self._dither

    @property
    def fingerprint(self) -> str:
        """Public name of the key, 32 hexadecimal digits of SHA-256; it says which hashes can be compared."""
        return self._fingerprint

    def _digest(self) -> str:
        digest = hashlib.sha256(f"sotto hash key 1 {self._parameters.label} ".encode())
        for numbers in (self._matrix, self._dither):
            digest.update(numbers.astype("<f8", copy=False).tobytes())
        return digest.hexdigest()[:32]

    def __repr__(self) -> str:
        p = self._parameters
        size = f"{p.inputs} features, {p.symbols} symbols, k={p.k}, delta={p.delta:g}, dither={p.dither}"
        return f"<HashKey for {size}, fingerprint {self._fingerprint}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HashKey):
            return NotImplemented
        return hmac.compare_digest(self._fingerprint, other._fingerprint)

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # immutable; this is also what lets scikit-learn clone an estimator that holds a key

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise BadType("never-pickled", "a hash key is never pickled: save it with key.save(path) and pass the path")


def _frozen(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    copy = np.array(numbers, np.float64, copy=True, order="C")
    copy.setflags(write=False)
    return copy
