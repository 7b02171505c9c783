"""The frame: what one message looks like on the wire.

    magic 2 | version 1 | name length 1 | payload length 8 | deliver-at 8 | name | payload        (big endian)

``name`` is short ASCII ("he.keys"), so that a transcript reads without a decoder and a test can point at one message.
``deliver-at`` is zero except on a shaped link (see :mod:`sotto.link.shape`).  The lengths are read, and compared with
what the receiver is willing to take, before anything is allocated.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sotto.link.errors import BadValue, FrameError

MAGIC = b"So"
VERSION = 1
MAX_NAME = 64
ERROR_NAME = "link.error"
MAX_ERROR = 600  # bytes of a peer's reason for giving up

HEADER = struct.Struct("!2sBBQQ")


class Header(NamedTuple):
    """The fixed part of a frame; lengths in bytes, ``deliver_at`` in nanoseconds of the monotonic clock."""

    name_length: int
    payload_length: int
    deliver_at: int


def pack_prefix(name: str, payload_length: int, deliver_at: int = 0) -> bytes:
    """Header and name of a frame.  Raises ``ValueError`` for a name that is empty, too long or not plain ASCII."""
    encoded = name.encode("ascii", "replace")
    if not 0 < len(encoded) <= MAX_NAME or not name.isascii() or not name.isprintable():
        raise BadValue("bad-name", f"a message name is 1 to {MAX_NAME} printable ASCII characters")
    return HEADER.pack(MAGIC, VERSION, len(encoded), payload_length, deliver_at) + encoded


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """Read a header of ``HEADER.size`` bytes.  Raises :class:`FrameError` for a stranger's or another version's."""
    magic, version, name_length, payload_length, deliver_at = HEADER.unpack(data)
    if magic != MAGIC:
        raise FrameError("other-protocol", "the peer does not speak Sotto's protocol: check the address and port")
    if version != VERSION:
        raise FrameError(
            "other-version", f"the peer speaks frame version {version}, this side {VERSION}: install the same release"
        )
    if not 0 < name_length <= MAX_NAME:
        raise FrameError(
            "name-length", f"the peer announced a message name of {name_length} bytes (1 to {MAX_NAME} allowed)"
        )
    return Header(name_length, payload_length, deliver_at)


def printable(text: str, limit: int = MAX_ERROR) -> str:
    """One line fit for a terminal out of text that came from a peer."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()
