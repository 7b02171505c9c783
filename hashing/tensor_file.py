"""Files of this package: safetensors with one typed JSON record, sizes checked before anything is read.

A file holds numbers and a record under a schema, never code. ``private`` files (keys) are created with mode 0600,
never replace another file, and are refused on loading when other users may open them; the rest are replaced
atomically, so that an interrupted save leaves the old file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sotto.hashing.errors import HashFileError, KeyFileError
from sotto.link.storage import opened, write_new, write_whole

R = TypeVar("R")
Tensors = dict[str, npt.NDArray[Any]]

_RECORD = "sotto.hashing"
_MOST_RECORD_BYTES = 1 << 20
_MOST_FILE_BYTES = 2 << 30


def write_file(path: str | Path, tensors: Mapping[str, npt.NDArray[Any]], record: Any, *, private: bool) -> None:
    """Write ``tensors`` and ``record`` (a ``msgspec.Struct``) to ``path``.

    Raises
    ------
        KeyFileError (``private``) or HashFileError: the folder cannot be written, or a key stands there already.
    """
    path = Path(path)
    text = msgspec.json.encode(record).decode()
    content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {_RECORD: text})
    if private:
        write_new(path, content, KeyFileError)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, private=True, durable=True)
    except OSError as error:
        raise HashFileError("cannot-write", f"{path}: cannot be written ({error.strerror})") from None


def read_file(path: str | Path, kind: type[R], names: tuple[str, ...], *, private: bool) -> tuple[R, Tensors]:
    """The record and exactly the tensors ``names`` of a file; the caller checks dtypes and shapes.

    Raises
    ------
        KeyFileError (``private``) or HashFileError: missing, too large, malformed, or other users may open a key.
    """
    error_type = KeyFileError if private else HashFileError
    try:
        with (
            opened(path, _MOST_FILE_BYTES, error_type, "file this package wrote", private=private),
            safe_open(path, framework="np") as file,
        ):
            text = (file.metadata() or {}).get(_RECORD, "")
            if not text or len(text) > _MOST_RECORD_BYTES or sorted(file.keys()) != sorted(names):
                raise error_type("wrong-file", f"{path}: is no {kind.__name__.strip('_')} file of this release")
            record = msgspec.json.decode(text, type=kind)
            return record, {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise error_type("cannot-read", f"{path}: cannot be read ({error.strerror})") from None
    except (SafetensorError, msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        if isinstance(error, error_type):
            raise
        raise error_type("wrong-file", f"{path}: is no {kind.__name__.strip('_')} file of this release") from None
