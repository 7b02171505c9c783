"""What can go wrong with keys and keyed models; every message is one line that says what to do."""

from __future__ import annotations

from sotto.link import Coded


class KeyedError(Coded, ValueError):
    """Base of this package's errors."""


class KeyFileError(KeyedError):
    """A key file is missing, malformed, readable by others, or already there."""


class WrongShapeError(KeyedError):
    """The array cannot be divided into blocks of this key."""


class NotEligibleError(KeyedError):
    """The model's first convolution does not read the input in blocks of the key's size."""
