"""What can go wrong with hashes, keys and their files; every message is one line that says what to do."""

from __future__ import annotations

from sotto.link import Coded


class HashingError(Coded, ValueError):
    """Base of this package's errors."""


class KeyFileError(HashingError):
    """A key file is missing, malformed, damaged, readable by others, or already there."""


class HashFileError(HashingError):
    """A file of hashes or of a classifier is missing, too large, malformed, or of another kind."""
