"""A connection that has not said yet what it wants: TLS and the first message, a step at a time, never waiting.

One process reads the first messages of all clients, so nothing here may block, and no client is trusted with more than
one bounded message.  Not a byte more than that message is read: what follows belongs to the session's own process.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time

from sotto.link import FrameError, Identity, Link, LinkError, Shape
from sotto.link.connection import tls_reason
from sotto.link.frames import ERROR_NAME, HEADER, MAX_ERROR, Header, pack_prefix, parse_header, printable
from sotto.link.identity import identity_of, require_role
from sotto.serving.handshake import HELLO, HELLO_BYTES, Hello, read_hello, require_claim

_TLS_RECORD = b"\x16\x03"


class Disconnected(LinkError):
    """The client closed the connection before it said anything."""


class Arrival:
    """One connection on its way to a session.  ``hello`` and ``identity`` are there when :meth:`step` returns None."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None, seconds: float, shaped: bool) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket = sock
        self.began = time.monotonic()
        self.deadline = self.began + seconds
        self.hello: Hello | None = None
        self.identity: Identity | None = None
        self._encrypted = tls is not None
        self._shaking = tls is not None
        self._shaped = shaped
        self._buffer = bytearray()
        self._header: Header | None = None
        if tls is not None:
            self.sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    @property
    def client(self) -> str:
        """The name that limits go by."""
        return self.identity.name if self.identity else "loopback"

    def step(self) -> int | None:
        """Go on as far as possible: the events to wait for, or None when the hello is there.

        Raises :class:`sotto.link.LinkError`, one line, for whatever ends it.
        """
        try:
            if self._shaking:
                self._shake_hands()
            while self.hello is None:
                self._read()
        except (ssl.SSLWantReadError, BlockingIOError):
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise LinkError("tls-failed", f"TLS with a client failed ({tls_reason(error)})") from None
        except OSError:
            raise Disconnected("left-early", "a client left before it said what it wants") from None
        return None

    def link(self, *, timeout: float, shape: Shape, peer: str) -> Link:
        """The connection as a link; what was read here counts as received."""
        link = Link(self.sock, timeout=timeout, shape=shape, peer=peer, identity=self.identity)
        link.traffic.received(len(self._buffer))
        return link

    def refuse(self, reason: str) -> None:
        """Tell the client in one line why, if its socket takes that at once, and close."""
        with contextlib.suppress(OSError, ValueError):
            if not self._shaking:
                text = printable(reason).encode()[:MAX_ERROR]
                self.sock.send(pack_prefix(ERROR_NAME, len(text)) + text)
                self.sock.shutdown(socket.SHUT_WR)
        self.close()

    def gone(self) -> bool:
        """Whether a client that waits has left, or has spoken out of turn."""
        try:
            self.sock.recv(1)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def _shake_hands(self) -> None:
        if not isinstance(self.sock, ssl.SSLSocket):
            raise TypeError("a plain connection shakes no hands")
        self.sock.do_handshake()
        self._shaking = False
        self.identity = identity_of(self.sock.getpeercert())

    def _read(self) -> None:
        """Read what is missing of the header, of the name, of the payload."""
        header = self._header
        wanted = HEADER.size if header is None else HEADER.size + header.name_length + header.payload_length
        while len(self._buffer) < wanted:
            data = self.sock.recv(wanted - len(self._buffer))
            if not data:
                raise Disconnected("left-early", "a client left before it said what it wants")
            self._buffer += data
        if header is None:
            self._header = self._checked_header()
            return
        start = HEADER.size + header.name_length
        name = self._buffer[HEADER.size : start].decode("ascii", "replace")
        if name != HELLO:
            raise FrameError(
                "wrong-message",
                f"the client sent '{printable(name)}' where '{HELLO}' was expected: start both from one release",
            )
        hello = read_hello(self._buffer[start:])
        if self._encrypted:
            require_claim(hello, require_role(self.identity, "alice", "bob", "dealer"))
        self.hello = hello

    def _checked_header(self) -> Header:
        if not self._encrypted and self._buffer.startswith(_TLS_RECORD):
            raise FrameError(
                "keys-on-one-side",
                "the client uses certificates and this service has none: start both with --keys or neither",
            )
        header = parse_header(self._buffer)
        if header.payload_length > HELLO_BYTES:
            raise FrameError(
                "too-large", f"the client's first message has {header.payload_length} bytes, {HELLO_BYTES} are allowed"
            )
        if header.deliver_at and not self._shaped:
            raise FrameError(
                "net-differs", "the client shapes the link and this side does not: start both with the same --net"
            )
        return header
