"""A folder of arrays that can be killed at any moment and never hands back a broken one.

An entry is a safetensors file named after what it depends on. It is written beside its final place and moved there in
one step, so a reader sees all of it or nothing. On reading, the header must name the same key and the digest of the
data must match: a file that was cut short by a power failure, edited, or put there by something else is thrown away
with one line in the log, and its content is computed again. A cache that cannot be written is no cache, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sotto.link.storage import remove_stale_partials, write_whole

_log = logging.getLogger("sotto")


def root() -> Path:
    """The cache folder: $SOTTO_CACHE, or the user's cache folder. It need not exist yet."""
    named = os.environ.get("SOTTO_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("sotto", appauthor=False))


def key_of(record: Mapping[str, object]) -> str:
    """A name for everything in `record`, which must be plain JSON: 32 hex digits."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class ArrayCache:
    """Arrays by key, below `root() / section`. Safe for several processes at once."""

    def __init__(self, section: str, folder: Path | None = None) -> None:
        """Args: section: the kind of thing, a folder name. folder: instead of `root()`."""
        self.folder = (folder or root()) / section
        self._writable = True

    def path(self, key: str) -> Path:
        """Where the entry `key` is kept."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def load(self, key: str) -> np.ndarray | None:
        """The array stored under `key`, or None when there is none or it is not intact (it is then removed)."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                about = file.metadata() or {}
                array: np.ndarray = file.get_tensor("array")
            if about.get("key") == key and about.get("digest") == _digest(array):
                return array
        except (SafetensorError, OSError, ValueError):
            pass
        _log.warning("cache: discarded %s, which is damaged or foreign; its content is computed again", path)
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def store(self, key: str, array: np.ndarray) -> None:
        """Keep `array` under `key`. When the disk is full or read-only, says so once and goes on without a cache."""
        if not self._writable:
            return
        path = self.path(key)
        content = save({"array": np.ascontiguousarray(array)}, {"key": key, "digest": _digest(array)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            self._writable = False
            _log.warning("cache: cannot write to %s (%s); going on without it", self.folder, error.strerror or error)

    def sweep(self) -> None:
        """Remove what killed processes left half written more than a day ago."""
        with contextlib.suppress(OSError):
            for shelf in self.folder.iterdir():
                remove_stale_partials(shelf)


def _digest(array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
