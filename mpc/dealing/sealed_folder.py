"""A folder of encrypted files that one living process owns; the dealer's stock keeps each dealing in one.

Every file is AES-256-GCM under a key of the folder's own, derived from the stock's, with the folder's and the file's
name as associated data.  The folder's state is the suffix of its name; changing it and writing files is durable when
the call returns.  The owner holds a lock that the kernel takes away when he dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sotto.mpc.errors import StockError

KEY_BYTES = 32
FORMAT = b"sotto mpc stock 2\0"
MOST_FILE_BYTES = (1 << 31) - 1024  # what AES-GCM of this library takes at once

_NONCE_BYTES, _TAG_BYTES = 12, 16
_SEALED_BYTES = len(FORMAT) + _NONCE_BYTES + _TAG_BYTES  # what sealing adds

State = Literal["filling", "ready", "used"]


class SealedFolder:
    """One dealing's folder, locked by an open handle.  Left with anything but ``ready`` it is deleted."""

    def __init__(self, path: Path, handle: int, key: bytes) -> None:
        self._path = path
        self._handle = handle
        self._name = path.stem  # digest and dealing, without the state
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=FORMAT + self._name.encode()).derive(key)
        self._cipher = AESGCM(derived)

    @classmethod
    def create(cls, stock: Path, name: str, key: bytes) -> Self:
        path = stock / f"{name}.filling"
        path.mkdir(mode=0o700)
        folder = cls.lock(path, key)
        if folder is None:
            raise StockError("locked", "a new dealing is locked by another process: fill again")
        return folder

    @classmethod
    def lock(cls, path: Path, key: bytes) -> Self | None:
        """The folder at ``path``; None when it has a living owner, who may just have renamed or deleted it."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with contextlib.suppress(FileNotFoundError):
            if try_lock(handle) and os.path.samestat(os.fstat(handle), path.stat()):
                return cls(path, handle, key)
        os.close(handle)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mark_used(self) -> None:
        """Mark the dealing used, durably; it is gone if that fails half-way."""
        try:
            self.rename("used")
        except BaseException:
            os.close(self._handle)
            raise

    def rename(self, state: State) -> None:
        """Change the state, durably."""
        os.fsync(self._handle)
        self._path = self._path.rename(self._path.with_name(f"{self._name}.{state}"))
        sync(self._path.parent)

    def write(self, name: str, content: bytes) -> None:
        """Seal ``content`` into a new file, durably."""
        if len(content) > MOST_FILE_BYTES:
            raise StockError(
                "too-large", "these bundles are too large to be stored: leave the stock out and let them be streamed"
            )
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, content, self._associated(name))
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._handle)
        with os.fdopen(handle, "wb") as file:
            file.writelines([FORMAT, nonce, sealed])
            file.flush()
            os.fsync(file.fileno())

    def read(self, name: str, limit: int, *, exact: bool = False) -> bytes:
        """What a file holds, at most ``limit`` bytes, or just so many.  Raises :class:`StockError` for any other."""
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._handle)
        except OSError:
            raise self.damaged(name) from None
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            size = status.st_size - _SEALED_BYTES
            if not stat.S_ISREG(status.st_mode) or not 0 <= size <= limit or (exact and size != limit):
                raise self.damaged(name)
            content = memoryview(file.read(status.st_size))
        start = len(FORMAT) + _NONCE_BYTES
        if content[: len(FORMAT)] != FORMAT:
            raise self.damaged(name)
        try:
            return self._cipher.decrypt(content[len(FORMAT) : start], content[start:], self._associated(name))
        except InvalidTag:
            raise self.damaged(name) from None

    def remove(self, name: str) -> None:
        """Delete a file.  What makes sure that nobody reads it again is the folder's state."""
        os.unlink(name, dir_fd=self._handle)

    def close(self) -> None:
        """Give the folder up: one that is ready stays, any other is deleted."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        try:
            with of_disk(StockError("cannot-delete", f"dealing {self._short} cannot be deleted from the stock")):
                if self._path.suffix != ".ready":
                    for file in self._path.iterdir():
                        file.unlink()
                    self._path.rmdir()
        finally:
            os.close(handle)

    def damaged(self, name: str) -> StockError:
        return StockError(
            "damaged", f"file '{name}' of the stock's dealing {self._short} is missing, damaged or foreign: ask again"
        )

    @property
    def _short(self) -> str:
        return self._name.rpartition(".")[2][:8]

    def _associated(self, name: str) -> bytes:
        return FORMAT + f"{self._name}/{name}".encode()


@contextlib.contextmanager
def of_disk(error: StockError) -> Iterator[None]:
    """Raise ``error``, with what the system says of it, for an error of the disk within the block."""
    try:
        yield
    except OSError as cause:
        raise StockError(error.code, f"{error} ({cause.strerror})") from None


@contextlib.contextmanager
def folder_handle(path: Path) -> Iterator[int]:
    """A handle of a folder that is no symbolic link, open within the block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def sync(folder: Path) -> None:
    """Have what a folder lists on disk before anything else happens."""
    with folder_handle(folder) as handle:
        os.fsync(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file for this process; False when somebody else has it.  The kernel frees it when they die."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
