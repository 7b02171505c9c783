"""A stretch of network of our own between two parties: it forwards bytes, and breaks as it is told.

For links without TLS it also reads along: names of messages and the beginning of what the dealer sent, so that
:class:`Ledger` can say whether correlated randomness was ever delivered twice, in part too.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sotto.link.frames import HEADER, MAGIC

Way = Literal["onward", "back"]
Kind = Literal["cut", "stall", "half-close"]

_CHUNK = 1 << 16
_MARK = 16  # bytes that tell one delivery from another: a fresh seed comes first, or after a number of 8 bytes
_DERIVED = frozenset({"dealer.correction"})
_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset


@dataclass(frozen=True)
class Break:
    """What happens to the next connection once ``after`` bytes have gone ``way``: onward is from who connected.

    ``cut``: both ends get a reset; ``stall``: nothing moves any more and nothing is closed; ``half-close``: the
    receiver of that way gets an orderly end, the other way goes on.
    """

    kind: Kind
    way: Way
    after: int


@dataclass
class Ledger:
    """What the dealer dealt, over any number of sessions and restarts: receiver, message, and how it begins.

    Everything called ``dealer.…`` that reaches a party is a delivery, whatever the mode, but for the answers that mode
    ``crypten`` derives from seeds it dealt before.  A delivery counts once its first 16 bytes have passed, or all of a
    shorter one: its receiver then has at most 15 of the 32 bytes of a seed that does not count.  What is seen is a seed
    that is dealt twice; the same mask under two seeds is not.
    """

    dealt: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, receiver: str, name: str, mark: bytes) -> None:
        if name.startswith("dealer.") and name not in _DERIVED:
            with self._lock:
                self.dealt[receiver, name, hashlib.sha256(mark).digest()] += 1

    @property
    def deliveries(self) -> int:
        """Secrets of sessions, bundles and seeds that reached anybody."""
        with self._lock:
            return self.dealt.total()

    @property
    def repeated(self) -> int:
        """How many of them their receiver had been sent before."""
        with self._lock:
            return self.dealt.total() - len(self.dealt)

    @property
    def names(self) -> set[str]:
        """The messages in which something was dealt."""
        with self._lock:
            return {name for _, name, _ in self.dealt}


class Proxy:
    """Listens on loopback and forwards every connection to ``target``; ``receiver`` is who gets what goes back."""

    def __init__(self, target: tuple[str, int], *, receiver: str = "", ledger: Ledger | None = None) -> None:
        self.target = target
        self._receiver = receiver
        self._ledger = ledger
        self._planned: Break | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._closed = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.last: dict[Way, int] = {"onward": 0, "back": 0}
        self.broke = threading.Event()
        threading.Thread(target=self._serve, name="proxy", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect instead of at the target."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def plan(self, what: Break | None) -> None:
        """Break the next connection like this, and that one only; None: break none."""
        self.broke.clear()
        with self._lock:
            self._planned = what

    def cut_all(self) -> None:
        """Reset every connection that stands, stalled ones too."""
        with self._lock:
            for sock in list(self._open):
                _reset(sock)

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.cut_all()

    def _serve(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with self._lock:
            planned, self._planned = self._planned, None
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            _reset(client)
            return
        for sock in (client, server):
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        connection = _Connection(self, client, server, planned)
        threads = [threading.Thread(target=connection.pump, args=(way,), daemon=True) for way in ("onward", "back")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with self._lock:
            self._open -= {client, server}
        for sock in (client, server):
            sock.close()

    def note(self, name: str, mark: bytes) -> None:
        if self._ledger:
            self._ledger.note(self._receiver, name, mark)


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, planned: Break | None) -> None:
        self._proxy = proxy
        self._ends: Mapping[Way, tuple[socket.socket, socket.socket]] = {
            "onward": (client, server),
            "back": (server, client),
        }
        self._planned = planned
        self._moved: dict[Way, int] = {"onward": 0, "back": 0}
        self._stalled = threading.Event()
        proxy.last = self._moved

    def pump(self, way: Way) -> None:
        source, sink = self._ends[way]
        scanner = _Scanner(self._proxy) if way == "back" else None
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if self._stalled.is_set():
                    self._hang(source)
                    return
                left = self._left(way)
                passed = data if left is None else data[:left]
                if scanner:
                    scanner.feed(passed)  # first, so that nobody has what is not in the ledger
                sink.sendall(passed)
                self._moved[way] += len(passed)
                if left is not None and len(data) >= left:
                    self._break(source, sink)
                    return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _left(self, way: Way) -> int | None:
        """How many more bytes may go this way before the link breaks; None: any number."""
        planned = self._planned
        return None if planned is None or planned.way != way else max(0, planned.after - self._moved[way])

    def _break(self, source: socket.socket, sink: socket.socket) -> None:
        if self._planned is None:
            return
        self._proxy.broke.set()
        if self._planned.kind == "cut":
            _reset(source)
            _reset(sink)
        elif self._planned.kind == "half-close":
            sink.shutdown(socket.SHUT_WR)
            while source.recv(_CHUNK):  # what comes after is lost
                pass
        else:
            self._stalled.set()
            self._hang(source)

    @staticmethod
    def _hang(source: socket.socket) -> None:
        """Move nothing until one of the ends gives up."""
        while True:
            time.sleep(0.05)
            source.setblocking(False)
            try:
                if not source.recv(_CHUNK, socket.MSG_PEEK):
                    return
            except BlockingIOError:
                continue
            finally:
                source.setblocking(True)
            # Bytes wait that nobody will take; the end shows as an error in the other direction or a reset.
            if source.fileno() < 0 or _gone(source):
                return


def _gone(sock: socket.socket) -> bool:
    """Whether the other end has closed, which waiting bytes would hide from a read."""
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] if hasattr(socket, "TCP_INFO") else 1
    return state != 1  # established


class _Scanner:
    """Reads frames along as they go back, and notes how each begins."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._head = bytearray()
        self._name = ""
        self._left = 0
        self._mark = bytearray()
        self._unread = 0
        self._lost = False

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._lost:
            if self._left:
                taken = view[: self._left]
                self._left -= len(taken)
                view = view[len(taken) :]
                self._read(taken)
                continue
            self._head += view[:1]
            view = view[1:]
            self._begin()

    def _begin(self) -> None:
        """Look whether header and name are complete."""
        if len(self._head) < HEADER.size:
            return
        magic, _, name_length, payload, _ = HEADER.unpack(self._head[: HEADER.size])
        if magic != MAGIC:
            self._lost = True  # encrypted, or nonsense: nothing to read
        elif len(self._head) == HEADER.size + name_length:
            self._name = self._head[HEADER.size :].decode("ascii", "replace")
            self._head.clear()
            self._left, self._unread = payload, min(payload, _MARK)
            self._mark.clear()
            if not payload:
                self._proxy.note(self._name, b"")

    def _read(self, payload: memoryview) -> None:
        """Some more of a payload: note the message as soon as it can be told from others."""
        if not self._unread:
            return
        self._mark += payload[: self._unread]
        self._unread -= min(self._unread, len(payload))
        if not self._unread:
            self._proxy.note(self._name, bytes(self._mark))


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
