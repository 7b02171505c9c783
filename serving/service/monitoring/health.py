"""The health endpoint: ``/health`` says whether the service takes clients, ``/metrics`` its counters.

Plain HTTP for the machine's own monitoring: on loopback or on a unix socket only, since it has no authentication.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from sotto.link import LinkError
from sotto.link.connection import address_of, is_loopback
from sotto.serving.service.monitoring.bounded_http import BoundedHTTPServer, QuietHandler
from sotto.serving.service.monitoring.counters import Counters

_REQUEST_SECONDS = 5.0
_MOST_AT_ONCE = 16  # requests; who comes beyond that is hung up on


def serve_health(address: str, counters: Counters) -> Health:
    """Serve at ``HOST:PORT`` or ``unix:PATH`` from a thread of its own.  Raises :class:`sotto.link.LinkError`."""
    try:
        if address.startswith("unix:"):
            return Health(_UnixServer(address.removeprefix("unix:"), _handler(counters)))
        host, port = address_of(address)
        if not is_loopback(host):
            raise LinkError(
                "not-local", f"the health endpoint is for this machine alone: use 127.0.0.1:{port} or unix:PATH"
            )
        return Health(_Server((host, port), _handler(counters)))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "no HOST:PORT or unix:PATH"
        raise LinkError("no-endpoint", f"no health endpoint at {address} ({reason}): choose another address") from None


class Health:
    """A running endpoint."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is: ``HOST:PORT``, or the path of its socket."""
        where = self._server.server_address
        return f"{where[0]!s}:{where[1]!s}" if isinstance(where, tuple) else str(where)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(BoundedHTTPServer):
    request_queue_size = 8

    def __init__(self, address: Any, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler, most=_MOST_AT_ONCE)


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def __init__(self, path: str, handler: type[BaseHTTPRequestHandler]) -> None:
        self._path = Path(path)
        if self._path.is_socket():
            self._path.unlink()  # of a service that died
        super().__init__(path, handler)
        self._path.chmod(0o600)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer would look up the name of the host
        self.server_name, self.server_port = "localhost", 0

    def server_close(self) -> None:
        super().server_close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _handler(counters: Counters) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:  # noqa: N802  the library's name
            if self.path == "/metrics":
                self._send(200, counters.text(), "text/plain; version=0.0.4")
            elif self.path == "/health":
                up = bool(counters.get("up"))
                self._send(200 if up else 503, "serving\n" if up else "not serving\n", "text/plain")
            else:
                self._send(404, "there is /health and /metrics\n", "text/plain")

        def _send(self, code: int, text: str, kind: str) -> None:
            self.send(code, text.encode(), {"Content-Type": f"{kind}; charset=utf-8"})

        def address_string(self) -> str:
            return "local"

    return Handler
