"""Length-prefixed messages over a TCP connection: bounded in size and in time.

Programs in other systems' environments import this module by its path: it needs the standard library only, and
Python 3.10.
"""

from __future__ import annotations

import socket
import struct
import time

_PREFIX = struct.Struct("!Q")
MEGABYTE = 1 << 20


class FramingError(RuntimeError):
    """The other side sent what it may not, went away, or is late."""


class Connection:
    """One side of a connection.  Each message has to be through within ``patience`` seconds of being waited for."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._patience = connection, patience

    def send(self, payload: bytes) -> None:
        """Raises :class:`FramingError`."""
        self._socket.settimeout(self._patience)
        try:
            self._socket.sendall(_PREFIX.pack(len(payload)))
            self._socket.sendall(payload)
        except TimeoutError:
            raise FramingError("the other side takes no message in time") from None
        except OSError as error:
            raise FramingError(f"the connection broke: {error.strerror}") from None

    def receive(self, limit: int) -> bytes:
        """The next message, of at most ``limit`` bytes.  Raises :class:`FramingError`."""
        until = time.monotonic() + self._patience
        (size,) = _PREFIX.unpack(self._exactly(_PREFIX.size, until))
        if size > limit:
            raise FramingError(f"the other side announces {size} bytes where at most {limit} are allowed")
        return bytes(self._exactly(size, until))

    def _exactly(self, size: int, until: float) -> bytearray:
        """So many bytes; memory is taken as they come, not as they are announced."""
        found = bytearray()
        while len(found) < size:
            if (left := until - time.monotonic()) <= 0:
                raise FramingError("the other side is late")
            self._socket.settimeout(left)
            try:
                part = self._socket.recv(min(size - len(found), MEGABYTE))
            except TimeoutError:
                raise FramingError("the other side is late") from None
            except OSError as error:
                raise FramingError(f"the connection broke: {error.strerror}") from None
            if not part:
                raise FramingError("the other side closed the connection")
            found += part
        return found
