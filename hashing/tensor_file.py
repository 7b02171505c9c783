"""Files of this package: safetensors with one typed JSON record, sizes checked before anything is read.

A file holds numbers and a record under a schema, never code. ``private`` files (keys) are created with mode 0600,
never replace another file, and are refused on loading when other users may open them; the rest are replaced
atomically, so that an interrupted save leaves the old file.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sotto.hashing.errors import HashFileError, KeyFileError

R = TypeVar("R")
Tensors = dict[str, npt.NDArray[Any]]

_RECORD = "sotto.hashing"
_MOST_RECORD_BYTES = 1 << 20
_MOST_FILE_BYTES = 2 << 30


def write_file(path: str | Path, tensors: Mapping[str, npt.NDArray[Any]], record: Any, *, private: bool) -> None:
    """Write ``tensors`` and ``record`` (a ``msgspec.Struct``) to ``path``.

    Raises:
        KeyFileError (``private``) or HashFileError: the folder cannot be written, or a key stands there already.
    """
    path = Path(path)
    text = msgspec.json.encode(record).decode()
    content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {_RECORD: text})
    try:
        if private:
            _create(path, content)
        else:
            _replace(path, content)
    except FileExistsError:
        raise KeyFileError(f"{path}: is there already, and keys are never overwritten; choose another name") from None
    except OSError as error:
        raise (KeyFileError if private else HashFileError)(f"{path}: cannot be written ({error.strerror})") from None


def read_file(path: str | Path, kind: type[R], names: tuple[str, ...], *, private: bool) -> tuple[R, Tensors]:
    """The record and exactly the tensors ``names`` of a file; the caller checks dtypes and shapes.

    Raises:
        KeyFileError (``private``) or HashFileError: missing, too large, malformed, or other users may open a key.
    """
    error_type = KeyFileError if private else HashFileError
    try:
        status = Path(path).stat()
    except OSError as error:
        raise error_type(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_FILE_BYTES:
        raise error_type(f"{path}: is no file this package wrote")
    if private and os.name == "posix" and status.st_mode & 0o077:
        raise error_type(f"{path}: other users may open this key; run chmod 600 on it")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_RECORD, "")
            if not text or len(text) > _MOST_RECORD_BYTES or sorted(file.keys()) != sorted(names):
                raise error_type(f"{path}: is no {kind.__name__.strip('_')} file of this release")
            record = msgspec.json.decode(text, type=kind)
            return record, {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise error_type(f"{path}: cannot be read ({error.strerror})") from None
    except (SafetensorError, msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        if isinstance(error, error_type):
            raise
        raise error_type(f"{path}: is no {kind.__name__.strip('_')} file of this release") from None


def _create(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write(handle, content)
    except BaseException:
        path.unlink(missing_ok=True)  # half a key would only look like one
        raise


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        _write(handle, content)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
