"""What a loader does with a file it cannot use: stop with one line, or report it and go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Report what is wrong with one file or row, which the block then leaves out."""
        try:
            yield
        except CorpusError as error:
            self.report(error)


def require_content(path: Path) -> None:
    """Raise BrokenClip unless `path` is a file with something in it. Decodes nothing."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BrokenClip("cannot-read", f"{path}: cannot be read ({error.strerror or error})") from None
    if not size:
        raise BrokenClip("empty-file", f"{path}: is empty (0 bytes)")
