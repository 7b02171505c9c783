"""Files on disk: secrets that their owner alone may open, and files that are there whole or not at all.

What is read is opened first and looked at then, through its handle, without waiting for the other end of a named pipe;
its size is known before a byte is read.  Errors are of the class that the caller names, one line each.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sotto.link.errors import Coded

_PARTIAL = ".partial-"
_STALE_SECONDS = 24 * 3600.0


@contextlib.contextmanager
def opened(
    path: str | Path,
    most: int,
    error: type[Coded],
    what: str,
    *,
    private: bool = False,
    follow: bool = True,
    advice: str = "",
) -> Iterator[BinaryIO]:
    """A regular file of at most ``most`` bytes, to be read.

    Parameters
    ----------
    error
        raised for a file that cannot be read, or is another kind of thing or larger: no ``what``.
    private
        refuse a file that other users of the machine may open.
    follow
        whether it may be reached by a symbolic link.
    advice
        what to do about a file that cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except OSError as cause:
        raise error("cannot-read", f"{path}: cannot be read ({cause.strerror}){advice}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise error("wrong-file", f"{path}: is no {what}")
        if private and os.name == "posix" and status.st_mode & 0o077:
            raise error("key-readable", f"{path}: other users may open this key; run chmod 600 on it")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def write_new(path: str | Path, content: bytes, error: type[Coded]) -> None:
    """A file of mode 0600 that was not there before, durable when the call returns; half of it is never left.

    Raises ``error`` when something stands at ``path`` (it is left alone), or the folder cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise error("exists", f"{path}: is there already and is never overwritten; choose another name") from None
    except OSError as cause:
        raise error("cannot-write", f"{path}: cannot be written ({cause.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as cause:
        Path(path).unlink(missing_ok=True)  # half a key would only look like one
        if isinstance(cause, OSError):
            raise error("cannot-write", f"{path}: cannot be written ({cause.strerror or cause})") from None
        raise


@contextlib.contextmanager
def replacing(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """A fresh file beside ``path`` to write to, of mode 0600 if ``private``, that takes its place at the end.

    A block that is left by an error, and a process that dies in it, leave the former file.
    """
    partial = partial_path(Path(path))
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o666))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes | str, *, private: bool = False, durable: bool = False) -> None:
    """Replace ``path`` by ``content`` (text in UTF-8) in one step; ``durable``: on the disk when the call returns."""
    with replacing(path, private=private) as partial, partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def partial_path(target: Path) -> Path:
    """A fresh name beside ``target`` to write to before moving it into place (one folder, so the move is atomic)."""
    return target.with_name(f"{target.name}{_PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")


def remove_stale_partials(folder: Path) -> None:
    """Remove from ``folder`` what :func:`partial_path` named and a killed process left there over a day ago."""
    for partial in folder.glob(f"*{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime < _STALE_SECONDS:
                continue
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink()
