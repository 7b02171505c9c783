"""The demonstration's HTTP server: loopback only, eight routes, a token, small bounds on everything."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from sotto.demo.engine import DemoRequest, Refused
from sotto.demo.runs import Busy, Runs
from sotto.report.page import asset
from sotto.serving.service.monitoring.bounded_http import BoundedHTTPServer, QuietHandler

MOST_UPLOAD = 8 << 20  # bytes: fifteen seconds of two channels in 24 bits and some more
PATIENCE = 10.0  # seconds that one request for events waits
_SOCKET_SECONDS = 20.0
_MOST_CONNECTIONS = 32
TOKEN_HEADER = "X-Sotto-Token"  # noqa: S105  a header's name

_STATIC = {
    "/": ("demo.html", "text/html; charset=utf-8"),
    "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
_RUN = re.compile(r"/api/runs/([A-Za-z0-9_-]{8,32})")
_WAV, _FLAC = b"RIFF", b"fLaC"


class Server(BoundedHTTPServer):
    """Listens on 127.0.0.1 alone.  ``address`` is what the visitor opens; the token is behind its ``#``.

    A browser sends what is behind the ``#`` to nobody, so the token is in no log and no Referer.
    """

    allow_reuse_address = True

    def __init__(self, runs: Runs, offer: dict[str, Any], folder: Path, port: int = 0) -> None:
        self.runs, self.offer, self.folder = runs, offer, folder
        self.token = secrets.token_urlsafe(24)
        super().__init__(("127.0.0.1", port), Handler, most=_MOST_CONNECTIONS)
        self.hosts = {f"{name}:{self.server_address[1]}" for name in ("127.0.0.1", "localhost")}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/#{self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is nobody's business."""


class Handler(QuietHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _SOCKET_SECONDS

    def do_GET(self) -> None:  # noqa: N802  the library's name
        path = urlsplit(self.path).path
        if not self._is_ours():
            return
        if path in _STATIC:
            name, kind = _STATIC[path]
            self._send(200, asset(name).encode(), kind)
        elif not self._has_token():
            return
        elif path == "/api/offer":
            self._json(200, self.server.offer)
        elif (found := _RUN.fullmatch(path)) and (run := self.server.runs.get(found[1])):
            events, done = run.since(self._number("after"), PATIENCE)
            self._json(200, {"events": events, "done": done})
        else:
            self._refuse(404, "there is nothing here")

    def do_POST(self) -> None:  # noqa: N802  the library's name
        if not self._is_ours() or not self._has_token():
            return
        if urlsplit(self.path).path != "/api/runs":
            self._refuse(404, "there is nothing here")
            return
        size = self.headers.get("Content-Length", "")
        if not size.isascii() or not size.isdigit() or self.headers.get("Transfer-Encoding"):
            self._refuse(411, "the length of the clip must be announced")
        elif int(size) > MOST_UPLOAD:
            self._refuse(413, f"the clip has more than {MOST_UPLOAD >> 20} MB")
        else:
            self._start(self.rfile.read(int(size)) if int(size) else b"", int(size))

    def _start(self, body: bytes, announced: int) -> None:
        try:
            request = msgspec.convert(dict(parse_qsl(urlsplit(self.path).query)), DemoRequest)
            if len(body) != announced:
                raise Refused("clip-cut-short", "the clip did not arrive whole")
            if bool(body) == bool(request.sample):
                raise Refused("no-clip", "send a clip, or name one of the corpus")
            if body and body[:4] not in (_WAV, _FLAC):
                raise Refused("not-a-sound", "the clip is neither WAV nor FLAC")
            run = self.server.runs.add(request, lambda: self._store(body))
        except msgspec.ValidationError:
            self._refuse(400, "paradigm, mode and model must be given, and nothing unknown")
        except Refused as error:
            self._refuse(400, str(error))
        except Busy as error:
            self._refuse(503, str(error))
        else:
            self._json(200, {"id": run.id})

    def _store(self, body: bytes) -> Path | None:
        """The upload as a file that only this user can read; the run deletes it."""
        if not body:
            return None
        path = self.server.folder / f"upload-{secrets.token_hex(8)}"
        path.touch(mode=0o600)
        path.write_bytes(body)
        return path

    def _is_ours(self) -> bool:
        """Refuse what a page of another name or origin has sent (DNS rebinding, cross-site requests)."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        foreign = origin is not None and origin not in {f"http://{known}" for known in self.server.hosts}
        crossed = self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
        if host not in self.server.hosts:
            self._refuse(403, "this page is at 127.0.0.1 only")
            return False
        if foreign or crossed:
            self._refuse(403, "another page may not ask here")
            return False
        return True

    def _has_token(self) -> bool:
        given = self.headers.get(TOKEN_HEADER, "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.server.token.encode()):
            return True
        self._refuse(403, "open the address that sotto demo printed; it holds the token")
        return False

    def _number(self, name: str) -> int:
        value = dict(parse_qsl(urlsplit(self.path).query)).get(name, "0")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0

    def _refuse(self, status: int, reason: str) -> None:
        # A body that was not read would be taken for the next request.
        self.close_connection = True
        self._json(status, {"error": reason})

    def _json(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        closing = {"Connection": "close"} if self.close_connection else {}
        self.send(status, body, {**_HEADERS, "Content-Type": kind, **closing})
