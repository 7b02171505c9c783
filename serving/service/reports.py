"""What the processes of one service tell one another: a session its host, the host the process that started it.

All of them are one user's on one machine.  Sessions write lines of JSON into a pipe and never wait for it; the host
sends msgpack over a pipe of its own.  No message holds a secret, a query or an answer.
"""

from __future__ import annotations

import contextlib
import os
from multiprocessing.connection import Connection

import msgspec

MOST_LINE = 2048  # below what a pipe takes in one piece
MOST_ANSWERS = 64  # in one line


class Answered(msgspec.Struct, tag=True):
    """Session: so many queries are answered, at most :data:`MOST_ANSWERS`, each in ``milliseconds``; bytes are what it
    sent and received on all its links since the last report."""

    milliseconds: list[float]
    sent: int
    received: int


class Ended(msgspec.Struct, tag=True):
    """Session, last of all: why it ended; an empty reason is as it should be."""

    reason: str
    sent: int = 0
    received: int = 0


SessionReport = Answered | Ended


class Loaded(msgspec.Struct, tag=True):
    """Host: it serves from now on.  ``terms`` is their fingerprint."""

    paradigm: str
    mode: str
    terms: str


class Opened(msgspec.Struct, tag=True):
    """Host: a session has begun, in the process ``pid``."""

    number: int
    client: str
    pid: int
    running: int
    waited_ms: float


class Progress(msgspec.Struct, tag=True):
    """Host: a session answered so many queries, each in ``milliseconds``."""

    number: int
    milliseconds: list[float]
    sent: int
    received: int


class Closed(msgspec.Struct, tag=True):
    """Host: a session is over.  ``code`` is how its process ended, negative for a signal."""

    number: int
    client: str
    queries: int
    seconds: float
    reason: str
    code: int
    running: int
    sent: int
    received: int


class TurnedAway(msgspec.Struct, tag=True):
    """Host: a connection got no session, and why."""

    client: str
    reason: str


class Queue(msgspec.Struct, tag=True):
    """Host: how many connections arrive, and how many clients wait."""

    arriving: int
    waiting: int


class HostFailed(msgspec.Struct, tag=True):
    """Host: it cannot serve, and why."""

    reason: str
    trace: str


class Retire(msgspec.Struct, tag=True):
    """To the host: take nobody new, and end when the last session has ended of itself."""


class Drain(msgspec.Struct, tag=True):
    """To the host: take nobody new, let every session finish its query, end."""

    seconds: float


HostReport = Loaded | Opened | Progress | Closed | TurnedAway | Queue | HostFailed
_host_reports: msgspec.msgpack.Decoder[HostReport] = msgspec.msgpack.Decoder(HostReport)
_orders: msgspec.msgpack.Decoder[Retire | Drain] = msgspec.msgpack.Decoder(Retire | Drain)
_session_reports: msgspec.json.Decoder[SessionReport] = msgspec.json.Decoder(SessionReport)


def send_report(pipe: Connection, report: HostReport | Retire | Drain) -> None:
    """Send a report or an order to the process at the other end."""
    pipe.send_bytes(msgspec.msgpack.encode(report))


def receive_from_host(pipe: Connection) -> HostReport:
    """The next report of a host; blocks."""
    return _host_reports.decode(pipe.recv_bytes())


def receive_order(pipe: Connection) -> Retire | Drain:
    """The next order to a host; blocks."""
    return _orders.decode(pipe.recv_bytes())


def report(handle: int, what: SessionReport) -> None:
    """Write a report into a session's pipe, or drop it when nobody reads: a session waits for its client only."""
    with contextlib.suppress(OSError):
        os.write(handle, msgspec.json.encode(what) + b"\n")


def read_reports(handle: int, buffer: bytearray) -> tuple[list[SessionReport], bool]:
    """The whole lines that are in a session's pipe, and whether the session still has its end open."""
    open_still = True
    try:
        while data := os.read(handle, 1 << 16):
            buffer += data
        open_still = False
    except BlockingIOError:
        pass
    except OSError:
        open_still = False
    *lines, rest = bytes(buffer).split(b"\n")
    buffer[:] = rest[-MOST_LINE:]
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError, ValueError):  # ValueError: text that is no UTF-8
            found.append(_session_reports.decode(line))
    return found, open_still
