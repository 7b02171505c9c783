"""Polynomials in and out of SEAL's objects, as NumPy arrays.

The binding reads and writes coefficients one by one or whole objects through files.  Whole objects are much faster, so
they go through an anonymous file in memory (where the system has none, through a temporary one).  An object's
coefficients are the last thing in its serialisation, so a new object of the same kind is a template's beginning with
other coefficients behind it, uncompressed.  What comes from the peer is put into a template of this side's own making
and then loaded by SEAL, which checks that every coefficient is below its modulus: SEAL never parses a header, a size or
a compressed stream that a peer made.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal
import zstandard

from sotto.link import BadValue, FrameError
from sotto.mpc.sharing.ring import Words

_HEADER = struct.Struct("<HBBBBHQ")  # magic, header size, version, compression, reserved, size of the whole
SEED_BYTES = 64
_SEED_RECORD = _HEADER.size + 1 + SEED_BYTES  # a generator's kind and its seed


class Template:
    """How a kind of object is serialised, learnt from ``example``; ``words`` coefficients stand at its end.

    ``seeded``: the record of a seed follows them.
    """

    def __init__(self, example: Any, words: int, *, seeded: bool = False) -> None:
        header, content = _content(example)
        tail = _SEED_RECORD if seeded else 0
        self._words = words
        self._end = len(content) - tail
        self._start = self._end - 8 * words
        self._before, self._after = content[: self._start], content[self._end : len(content) - SEED_BYTES]
        total = _HEADER.size + len(content)
        self._header = _HEADER.pack(*header[:4], 0, *header[5:6], total)
        self._seeded = seeded

    def read(self, saveable: Any) -> Words:
        """The coefficients (words,) of an object of this kind."""
        _, content = _content(saveable)
        if len(content) < self._end:
            raise BadValue("other-kind", "the object is of another kind than its template")
        return np.frombuffer(content, np.uint64, self._words, self._start)

    def seed(self, saveable: Any) -> tuple[Words, bytes]:
        """The coefficients and the seed of a seeded object."""
        _, content = _content(saveable)
        return np.frombuffer(content, np.uint64, self._words, self._start), content[-SEED_BYTES:]

    def fill(self, empty: Any, context: seal.SEALContext, words: Words, seed: bytes = b"") -> Any:
        """``empty`` with these coefficients.

        Raises
        ------
        FrameError
            a coefficient is not below its modulus; the words came from a peer.
        """
        if words.size != self._words or len(seed) != (SEED_BYTES if self._seeded else 0):
            raise BadValue("other-number", "another number of coefficients than the template's")
        with _file() as path:
            tail = self._after + seed if self._seeded else b""
            path.write_bytes(self._header + self._before + words.tobytes() + tail)
            try:
                empty.load(context, str(path))
            except Exception:  # the binding throws whatever SEAL threw
                raise FrameError(
                    "malformed-ciphertext", "the peer sent a malformed ciphertext: both sides need the same release"
                ) from None
        return empty


def _content(saveable: Any) -> tuple[tuple[int, ...], bytes]:
    """Header and uncompressed content of an object of this process's own."""
    with _file() as path:
        saveable.save(str(path))
        data = path.read_bytes()
    header = _HEADER.unpack_from(data)
    compression, body = header[4], data[_HEADER.size :]
    if compression == 0:
        return header, body
    if compression == 1:
        return header, zlib.decompress(body)
    return header, zstandard.ZstdDecompressor().decompress(body)


@contextlib.contextmanager
def _file() -> Iterator[Path]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("sotto", os.MFD_CLOEXEC)
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory(prefix="sotto-") as folder:
            yield Path(folder) / "seal"
