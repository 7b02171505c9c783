"""Key files: one key, its type and sizes, and its fingerprint; for the model owner and Alice alone.

msgpack under a schema.  A file is created with mode 0600 and never replaces another; one that others may read or change
is refused on loading.  The key stands in it unencrypted: whoever can read the file has the key.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.keyed.encryption.keys import Key, KeyType, check_block, key_class
from sotto.keyed.errors import KeyedError, KeyFileError
from sotto.link import FrameError, decode, encode
from sotto.link.storage import opened, write_new

_MOST_BYTES = (128 << 20) + 4096


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file; ``values`` as uint32, packed bits or float64, little-endian."""

    format: Literal["sotto-keyed-key"]
    version: Literal[1]
    kind: KeyType
    block_size: int
    dimension: int
    fingerprint: str
    salt: bytes
    values: bytes

    def __repr__(self) -> str:
        return "<key file>"


def save_key(path: str | Path, key: Key) -> None:
    """Write ``key`` to a new file that only its owner can read.

    Raises
    ------
    KeyFileError
        something stands at ``path`` already (it is left alone), or the folder cannot be written.
    """
    content = encode(
        _KeyFile("sotto-keyed-key", 1, key.kind, key.block_size, key.dimension, key.fingerprint, key.salt, _packed(key))
    )
    write_new(path, content, KeyFileError)


def load_key(path: str | Path) -> Key:
    """Read a key file.

    Raises
    ------
    KeyFileError
        it is missing, too large, malformed, damaged, or open to other users of the machine.
    """
    with opened(path, _MOST_BYTES, KeyFileError, "key file", private=True) as file:
        content = file.read(_MOST_BYTES)
    try:
        found = decode(content, _KeyFile)
        check_block(found.kind, found.block_size, found.dimension)
        values = _unpacked(found.kind, found.block_size**found.dimension, found.values)
        key = key_class(found.kind)(found.block_size, found.dimension, values, found.salt)
    except FrameError:
        raise KeyFileError("wrong-file", f"{path}: is no key file of this release") from None
    except KeyedError as error:
        raise KeyFileError("bad-key", f"{path}: {error}") from None
    if not hmac.compare_digest(key.fingerprint.encode(), found.fingerprint.encode()):
        raise KeyFileError(
            "damaged", f"{path}: is damaged (its key does not have its fingerprint); get it again from its owner"
        )
    return key


def _packed(key: Key) -> bytes:
    if key.kind == "shuffling":
        return key.values.astype("<u4").tobytes()
    if key.kind == "flipping":
        return np.packbits(key.values.astype(np.uint8)).tobytes()
    return key.values.astype("<f8").tobytes()


def _unpacked(kind: KeyType, length: int, data: bytes) -> npt.NDArray[np.generic]:
    size = {"shuffling": 4 * length, "flipping": (length + 7) // 8, "rom": 8 * length * length}[kind]
    if len(data) != size:
        raise KeyedError("wrong-size", f"holds {len(data)} bytes of key where {size} belong")
    if kind == "shuffling":
        return np.frombuffer(data, "<u4").astype(np.int64)
    if kind == "flipping":
        return np.unpackbits(np.frombuffer(data, np.uint8), count=length)
    return np.frombuffer(data, "<f8").astype(np.float64).reshape(length, length)
