"""The three secret keys: Shuffling, Flipping, and the random orthogonal matrix (ROM).

A key acts on one block at a time: M samples of a waveform (dimension 1), or M mel bands × M frames of a spectrogram
(dimension 2), flattened row by row to N = M or N = M² numbers.  The model owner makes it and gives it to Alice; the
provider must never have it.  As row vectors, x' = x K with K orthogonal in all three cases.

Source: Niwa, Shiota, Kiya, secret-key speech privacy, §III-A and Algorithms 2, 4, 6; key space §III-C.  The papers
draw keys with a statistical generator; here they come from :mod:`sotto.link.secret_stream`.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self, SupportsIndex, get_args

import numpy as np
import numpy.typing as npt

from sotto.keyed.errors import KeyedError
from sotto.link.secret_stream import SecretStream, Seed

KeyType = Literal["shuffling", "flipping", "rom"]
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)

SALT_BYTES = 32
_MOST_NUMBERS = 1 << 20  # of a block
_MOST_ROM_NUMBERS = 4096  # of a block: the matrix then has 128 MiB
_ORTHOGONAL_TO = 1e-10
_IDENTITY_WITHIN = 1e-3


@dataclass(frozen=True, repr=False, eq=False)
class Key(ABC):
    """A secret key for blocks of ``block_size`` (dimension 1) or ``block_size`` × ``block_size`` (dimension 2).

    ``values`` is the secret itself, read-only; its form is the subclass's.  ``salt`` (32 bytes, as secret as the key)
    goes into the fingerprint.  Keys compare equal when they transform alike.

    Raises
    ------
    KeyedError
        sizes out of range, ``values`` is no key of this type, or it would leave every block as it is or
        only change the sign of all of it.
    """

    kind: ClassVar[KeyType]

    block_size: int
    dimension: int
    values: npt.NDArray[np.generic] = field(repr=False)
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        block_size, dimension = check_block(self.kind, self.block_size, self.dimension)
        object.__setattr__(self, "block_size", block_size)
        object.__setattr__(self, "dimension", dimension)
        if len(self.salt) != SALT_BYTES:
            raise KeyedError("bad-salt", f"the salt of a key has {SALT_BYTES} bytes")
        values = np.array(self.values, copy=True, order="C")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        self._check()

    @classmethod
    def generate(cls, block_size: int, dimension: int = 1, *, seed: Seed | None = None) -> Self:
        """A new key, drawn again while it is the identity.

        With ``seed`` the same key every time (for experiments): it is then only as secret as the seed.  A seeded ROM
        repeats to rounding error where the linear algebra library differs; keep the key file rather than the seed.
        """
        block_size, dimension = check_block(cls.kind, block_size, dimension)
        stream = SecretStream(f"keyed 1 {cls.kind} {block_size} {dimension}", seed)
        salt = stream.bytes(SALT_BYTES)
        while True:
            values = cls._draw(block_size**dimension, stream)
            if not cls._is_identity(values):
                return cls(block_size, dimension, values, salt)

    @property
    def length(self) -> int:
        """N, how many numbers a block holds."""
        return self.block_size**self.dimension

    @property
    @abstractmethod
    def space_bits(self) -> float:
        """log₂ of how many keys there are (§III-C).  No security level: see :mod:`sotto.keyed.attacks`."""

    @property
    def fingerprint(self) -> str:
        """Public name of this key, 32 hexadecimal digits: SHA-256 of key and secret salt.

        Without the salt a small key space could be searched for the key that has this fingerprint.
        """
        about = f"sotto keyed 1 {self.kind} {self.block_size} {self.dimension} ".encode()
        return hashlib.sha256(about + self.salt + self.values.tobytes()).hexdigest()[:32]

    @abstractmethod
    def matrix(self) -> npt.NDArray[np.float64]:
        """K (N, N), orthogonal: a flattened block x becomes x K."""

    def __repr__(self) -> str:
        size = " × ".join([str(self.block_size)] * self.dimension)
        return f"<{type(self).__name__} key for blocks of {size}, fingerprint {self.fingerprint}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        same_form = (self.kind, self.block_size, self.dimension) == (other.kind, other.block_size, other.dimension)
        return same_form and hmac.compare_digest(self.values.tobytes(), other.values.tobytes())

    def __hash__(self) -> int:
        return hash((self.kind, self.block_size, self.dimension, self.values.tobytes()))

    @classmethod
    @abstractmethod
    def _draw(cls, length: int, stream: SecretStream) -> npt.NDArray[np.generic]: ...

    @classmethod
    @abstractmethod
    def _is_identity(cls, values: npt.NDArray[np.generic]) -> bool:
        """Leaves blocks as they are, or changes only the sign of the whole: inaudible, so no key."""

    @abstractmethod
    def _well_formed(self) -> bool: ...

    def _check(self) -> None:
        if not self._well_formed():
            raise KeyedError("not-a-key", f"these values are no {self.kind} key for blocks of {self.length} numbers")
        if self._is_identity(self.values):
            raise KeyedError("changes-nothing", "this key leaves the speech as it is: generate another one")


class Shuffling(Key):
    """A permutation, ``values`` (N,) int64: x'(i) = x(values(i)) (eq. 4 to 6)."""

    kind = "shuffling"

    @property
    def space_bits(self) -> float:
        """log₂(N! - 1)."""
        bits = math.lgamma(self.length + 1) / math.log(2)
        return bits if bits > 50 else math.log2(math.factorial(self.length) - 1)

    def matrix(self) -> npt.NDArray[np.float64]:
        return np.eye(self.length)[:, self.values.astype(np.int64)]

    @classmethod
    def _draw(cls, length: int, stream: SecretStream) -> npt.NDArray[np.int64]:
        """Algorithm 2 (Fisher and Yates)."""
        order = list(range(length))
        for i in range(length - 1, 0, -1):
            j = stream.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    @classmethod
    def _is_identity(cls, values: npt.NDArray[np.generic]) -> bool:
        return bool((values == np.arange(values.size)).all())

    def _well_formed(self) -> bool:
        values = self.values
        if values.shape != (self.length,) or values.dtype != np.int64:
            return False
        return bool((np.sort(values) == np.arange(self.length)).all())


class Flipping(Key):
    """Fair bits, ``values`` (N,) uint8: x'(i) = -x(i) where values(i) is 1 (eq. 9 to 11)."""

    kind = "flipping"

    @property
    def space_bits(self) -> float:
        """log₂(2^N - 2): all zeros and all ones are no keys."""
        return math.log2(2**self.length - 2) if self.length < 1000 else float(self.length)

    @property
    def signs(self) -> npt.NDArray[np.float64]:
        """(N,) of -1 and 1 (eq. 10)."""
        return 1.0 - 2.0 * self.values.astype(np.float64)

    def matrix(self) -> npt.NDArray[np.float64]:
        return np.diag(self.signs)

    @classmethod
    def _draw(cls, length: int, stream: SecretStream) -> npt.NDArray[np.uint8]:
        """Algorithm 4."""
        return stream.bits(length)

    @classmethod
    def _is_identity(cls, values: npt.NDArray[np.generic]) -> bool:
        return bool((values == values[0]).all())

    def _well_formed(self) -> bool:
        values = self.values
        return values.shape == (self.length,) and values.dtype == np.uint8 and bool(np.isin(values, (0, 1)).all())


class ROM(Key):
    """A uniformly random orthogonal matrix, ``values`` (N, N) float64: x' = x values (eq. 12 and 13)."""

    kind = "rom"

    @property
    def space_bits(self) -> float:
        """An upper bound: N(N-1)/2 free numbers at float32's 24 bits each; neighbouring keys decrypt nearly alike."""
        return 24.0 * self.length * (self.length - 1) / 2

    def matrix(self) -> npt.NDArray[np.float64]:
        return self.values.astype(np.float64)

    @classmethod
    def _draw(cls, length: int, stream: SecretStream) -> npt.NDArray[np.float64]:
        """Algorithm 6: QR of a Gaussian matrix, columns negated where R's diagonal is negative."""
        q, r = np.linalg.qr(stream.normal(length * length).reshape(length, length))
        return np.ascontiguousarray(q * np.where(np.diagonal(r) < 0, -1.0, 1.0))

    @classmethod
    def _is_identity(cls, values: npt.NDArray[np.generic]) -> bool:
        matrix = values.astype(np.float64)
        return any(np.abs(matrix - sign * np.eye(len(matrix))).max() < _IDENTITY_WITHIN for sign in (1, -1))

    def _well_formed(self) -> bool:
        values = self.values
        if values.shape != (self.length, self.length) or values.dtype != np.float64 or not np.isfinite(values).all():
            return False
        matrix = values.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # numbers so large are not orthogonal
            return bool(np.abs(matrix.T @ matrix - np.eye(self.length)).max() < _ORTHOGONAL_TO)


_CLASSES: dict[KeyType, type[Key]] = {"shuffling": Shuffling, "flipping": Flipping, "rom": ROM}


def key_class(kind: str) -> type[Key]:
    """The class behind a key type's name; raises KeyedError for a name that is none."""
    for name, cls in _CLASSES.items():
        if name == kind:
            return cls
    raise KeyedError("unknown-kind", f"{kind[:20]!r} is no key type: use one of {', '.join(KEY_TYPES)}")


def generate_key(kind: str, block_size: int, dimension: int = 1, *, seed: Seed | None = None) -> Key:
    """A new key of type ``"shuffling"``, ``"flipping"`` or ``"rom"``; see :meth:`Key.generate`."""
    return key_class(kind).generate(block_size, dimension, seed=seed)


def guessed_key(kind: KeyType, block_size: int, dimension: int, values: npt.ArrayLike) -> Key | None:
    """A key as somebody guesses its values, who does not know its salt; None for what is no key."""
    typed = np.asarray(values).astype({"shuffling": np.int64, "flipping": np.uint8, "rom": np.float64}[kind])
    try:
        return key_class(kind)(block_size, dimension, typed, bytes(SALT_BYTES))
    except KeyedError:
        return None


def check_block(kind: str, block_size: SupportsIndex, dimension: SupportsIndex) -> tuple[int, int]:
    """Both as int; raises KeyedError unless there can be a key of this type for blocks of this size."""
    block_size, dimension = _whole("block size", block_size), _whole("dimension", dimension)
    if dimension not in (1, 2):
        raise KeyedError(
            "bad-dimension", f"the dimension of a key is 1 (waveforms) or 2 (spectrograms), not {dimension}"
        )
    most = _MOST_ROM_NUMBERS if kind == "rom" else _MOST_NUMBERS
    if block_size < 2 or block_size**dimension > most:
        raise KeyedError(
            "bad-block-size", f"a {kind} key needs a block size of at least 2 and blocks of at most {most} numbers"
        )
    return block_size, dimension


def _whole(name: str, number: SupportsIndex) -> int:
    try:
        if isinstance(number, bool):
            raise TypeError
        return int(operator.index(number))
    except TypeError:
        raise KeyedError(
            "not-whole", f"the {name} of a key is a whole number (int), not {type(number).__name__}"
        ) from None
