"""What a loader does with a file it cannot use: stop with one line, or report it and go on."""

from __future__ import annotations

import logging
from pathlib import Path

from sotto.audio.errors import BrokenClip, CorpusError

_log = logging.getLogger("sotto")


class Faults:
    """Takes unusable files. With `skip` False the first one is raised; with True each is logged and left out."""

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip

    def report(self, error: CorpusError) -> None:
        """Raise `error`, or log it."""
        if not self.skip:
            raise error
        _log.warning("skipped: %s", error)

    def usable(self, path: Path) -> bool:
        """Whether `path` is a file with something in it; reports it when not. Decodes nothing."""
        try:
            size = path.stat().st_size
        except OSError as error:
            self.report(BrokenClip("cannot-read", f"{path}: cannot be read ({error.strerror or error})"))
            return False
        if size == 0:
            self.report(BrokenClip("empty-file", f"{path}: is empty (0 bytes)"))
        return size > 0
