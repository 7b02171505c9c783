"""Results by address: one JSON file a task, written whole or not at all, checked against the row's schema when read."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from sotto.bench.rows.results import write_whole
from sotto.bench.rows.row import Row

_log = logging.getLogger("sotto")
_LARGEST = 1 << 20  # bytes; a row has a few thousand


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """``address`` stands inside too, so that a file that was renamed or copied is noticed.  ``seconds`` of work."""

    address: str
    seconds: float
    row: Row


class Store:
    """A folder of results.  Safe for several sweeps at once: the same address is the same result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, address: str) -> Path:
        """Where the result of ``address`` is kept."""
        return self.folder / address[:2] / f"{address}.json"

    def load(self, address: str) -> tuple[Row, float] | None:
        """The row and the seconds it took, or None where there is no intact result (a damaged one is removed)."""
        path = self.path(address)
        try:
            if path.stat().st_size > _LARGEST:
                raise msgspec.ValidationError("too large")
            stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
            if stored.address == address:
                return stored.row, stored.seconds
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError):
            pass
        _log.warning("sweep: discarded %s, which is damaged or foreign; its task runs again", path)
        path.unlink(missing_ok=True)
        return None

    def save(self, address: str, row: Row, seconds: float) -> None:
        """Keep a result.  Raises OSError when the folder cannot be written."""
        path = self.path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(_Stored(address, seconds, row)).decode())
