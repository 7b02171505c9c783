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
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

_log = logging.getLogger("sotto")
_TEMPORARY = ".partial-"
_STALE_SECONDS = 24 * 3600.0


def root() -> Path:
    """The cache folder: $SOTTO_CACHE, or the user's cache folder. It need not exist yet."""
    named = os.environ.get("SOTTO_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("sotto", appauthor=False))


def key_of(record: Mapping[str, object]) -> str:
    """A name for everything in `record`, which must be plain JSON: 32 hex digits."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def partial_path(target: Path) -> Path:
    """A fresh name beside `target` to write to before moving it into place (same folder, so the move is atomic)."""
    return target.with_name(f"{target.name}{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")


def remove_stale_partials(folder: Path) -> None:
    """Remove from `folder` what `partial_path` named and a killed process left there more than a day ago."""
    for partial in folder.glob(f"*{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime < _STALE_SECONDS:
                continue
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink()


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
        partial = partial_path(path)
        content = save({"array": np.ascontiguousarray(array)}, {"key": key, "digest": _digest(array)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            self._writable = False
            _log.warning("cache: cannot write to %s (%s); going on without it", self.folder, error.strerror or error)
            with contextlib.suppress(OSError):
                partial.unlink()

    def sweep(self) -> None:
        """Remove what killed processes left half written more than a day ago."""
        with contextlib.suppress(OSError):
            for shelf in self.folder.iterdir():
                remove_stale_partials(shelf)


def _digest(array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
