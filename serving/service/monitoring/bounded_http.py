"""An HTTP server on threads that answers only so many requests at once and hangs up on whoever comes beyond."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """One request, of which nothing is written down."""

    server_version, sys_version = "sotto", ""

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """The whole answer."""
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: monitoring asks all day, and a page's requests hold the names of clips."""


class BoundedHTTPServer(ThreadingHTTPServer):
    """``most`` requests are answered at a time; a connection beyond takes no thread."""

    def __init__(self, address: Any, handler: type[BaseHTTPRequestHandler], *, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()
