"""A link: named, counted messages of at most the size asked for, between two parties over one connected stream socket.

Trust: the peer is not trusted.  A frame is taken only under the name and up to the size its receiver asked for, checked
before allocation; every wait ends at a deadline.  A link on which something went wrong is over: what arrives later
could belong to an earlier question, so it is never handed out.  That holds for an interrupt at any instruction, because
a link is marked as over before each message and sound again after it; what goes for several messages together is
:func:`sotto.link.transaction`.  Secrecy and the peer's identity are TLS's business (:mod:`sotto.link.tls`); a plain
link is for one machine.  A link belongs to one thread.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from sotto.link.errors import BadValue, CertificateRefused, FrameError, LinkClosed, LinkError, LinkTimeout, PeerError
from sotto.link.frames import ERROR_NAME, HEADER, MAX_ERROR, pack_prefix, parse_header, printable
from sotto.link.identity import Identity
from sotto.link.shape import LOOPBACK, Pacer, Shape
from sotto.link.traffic import Observer, Traffic

DEFAULT_TIMEOUT = 60.0
_JOIN_BELOW = 1 << 16  # a smaller payload is copied behind its header: one system call instead of two
_READ_AHEAD = 1 << 16
_LAST_WORDS = 64  # messages looked through for the reason of a peer that has left


class Link:
    """One end of a connection.  ``timeout`` (seconds) bounds every single wait unless a call names another.

    ``identity`` is what the peer's certificate proved; None without certificates.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        shape: Shape = LOOPBACK,
        peer: str = "peer",
        identity: Identity | None = None,
    ) -> None:
        if timeout <= 0:
            raise BadValue("bad-timeout", "the timeout of a link is a positive number of seconds")
        sock.setblocking(False)
        self._sock = sock
        self._poll = select.poll()
        self._ahead = bytearray(_READ_AHEAD)
        self._ahead_start = self._ahead_end = 0
        self._outgoing: list[memoryview] = []
        self._pacer = Pacer(shape)
        self._closed = False
        self._spoiled = False  # also while a message is on its way
        self._unfinished = False  # a transaction has begun
        self._torn = False  # how much of a frame went out is not known
        self._told = False  # the peer knows, or cannot be told
        self.timeout = timeout
        self.peer = peer
        self.identity = identity
        self.traffic = Traffic()
        self.observer: Observer | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Link to {self.peer}, {self._pacer.shape.name}, {state}>"

    @property
    def shape(self) -> Shape:
        return self._pacer.shape

    @property
    def sound(self) -> bool:
        """Whether the next message can follow: this end is open, without an error, and nothing is half said."""
        return not (self._closed or self._spoiled or self._unfinished)

    # -- sending ------------------------------------------------------------------------------------------------

    def send(self, name: str, payload: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Send one message.  Raises :class:`LinkTimeout` when the peer does not take it, :class:`LinkClosed`."""
        self._queue(name, payload)
        self._flush(name, self._deadline(timeout))

    def fail(self, reason: str) -> None:
        """End the link and tell the peer in one line why; its next receive raises :class:`PeerError`.

        Best effort and bounded to two seconds: the peer may be the reason.  A peer that cannot be told, because a
        frame was cut in the middle, finds the connection closed.  Only the first reason is told.  Never pass secrets.
        """
        self._spoiled = True
        if self._told or self._closed:
            return
        self._told = True
        if not self._torn:
            with contextlib.suppress(LinkError):
                self._append(ERROR_NAME, printable(reason).encode()[:MAX_ERROR])
                self._drain(ERROR_NAME, self._deadline(2.0))
                return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def begin(self) -> None:
        """Begin messages that belong together, see :func:`transaction`.  Raises :class:`LinkClosed`."""
        self._require_sound()
        if self._unfinished:
            raise LinkClosed("link-over", f"the link to {self.peer} is over after an error: open a new one")
        self._unfinished = True

    def commit(self) -> None:
        """All messages that belong together have been sent and received."""
        self._unfinished = False

    def _queue(self, name: str, payload: bytes | bytearray | memoryview) -> None:
        """The link is over from here until :meth:`_flush` has come to its end."""
        self._require_sound()
        self._append(name, payload)

    def _append(self, name: str, payload: bytes | bytearray | memoryview) -> None:
        view = memoryview(payload).cast("B")
        size = HEADER.size + len(name) + view.nbytes
        prefix = pack_prefix(name, view.nbytes, self._pacer.deliver_at(size))
        self._spoiled = True
        if view.nbytes < _JOIN_BELOW:
            self._outgoing.append(memoryview(prefix + view))
        else:
            self._outgoing += [memoryview(prefix), view]
        self.traffic.sent(size)
        if self.observer:
            self.observer("sent", name, view)

    def _flush(self, name: str, deadline: float) -> None:
        self._drain(name, deadline)
        self._spoiled = False

    def _drain(self, name: str, deadline: float) -> None:
        while self._outgoing:
            if not self._push():
                self._wait(select.POLLOUT, deadline, f"could not send '{name}' to {self.peer}")

    def _push(self) -> bool:
        """Write what the socket takes now; False when it takes nothing."""
        self._torn = True
        try:
            written = self._sock.send(self._outgoing[0])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._torn = False
            return False
        except OSError:
            # The peer may have said why before it left; what it said is still to be read.
            self._outgoing.clear()
            raise self._last_words() from None
        if written == len(self._outgoing[0]):
            self._outgoing.pop(0)
        else:
            self._outgoing[0] = self._outgoing[0][written:]
        self._torn = False
        return True

    def _last_words(self) -> LinkError:
        """Why the peer left, when it said so before; otherwise that it closed the connection."""
        deadline = time.monotonic() + 0.2
        try:
            for _ in range(_LAST_WORDS):
                self._take({}, deadline, keep_other=True)
        except (PeerError, CertificateRefused) as reason:
            return reason
        except LinkError:
            pass
        return LinkClosed("peer-closed", f"{self.peer} closed the connection")

    # -- receiving ----------------------------------------------------------------------------------------------

    def receive(self, name: str, *, limit: int, timeout: float | None = None) -> bytearray:
        """The payload of the next message, which must be called ``name`` and hold at most ``limit`` bytes.

        Raises :class:`FrameError` (another name, too large, malformed), :class:`LinkTimeout`, :class:`LinkClosed`,
        :class:`PeerError` when the peer said that it gives up.
        """
        return self.receive_any({name: limit}, timeout=timeout)[1]

    def receive_any(self, limits: Mapping[str, int], *, timeout: float | None = None) -> tuple[str, bytearray]:
        """The next message when it is one of ``limits`` (name → most bytes): its name and payload."""
        self._require_sound()
        self._spoiled = True  # until the message is here in one piece
        message = self._take(limits, self._deadline(timeout))
        self._spoiled = False
        return message

    def exchange(
        self, name: str, payload: bytes | bytearray | memoryview, *, limit: int, timeout: float | None = None
    ) -> bytearray:
        """Send ``payload`` and take the peer's message of the same name, both at once.

        Neither side waits for the other to finish sending, so two large messages cannot block one another.
        """
        deadline = self._deadline(timeout)
        self._queue(name, payload)
        _, received = self._take({name: limit}, deadline)
        self._flush(name, deadline)
        return received

    def _take(self, limits: Mapping[str, int], deadline: float, *, keep_other: bool = False) -> tuple[str, bytearray]:
        awaited = " or ".join(f"'{name}'" for name in limits) or "a message"
        prefix = self._read(HEADER.size, deadline, awaited)
        header = parse_header(prefix)
        name = self._read(header.name_length, deadline, awaited).decode("ascii", "replace")
        if name == ERROR_NAME:
            self._told = True  # who has given up needs no answer
            reason = self._read(min(header.payload_length, MAX_ERROR), deadline, awaited)
            raise PeerError("peer-gave-up", f"{self.peer} gave up: {printable(reason.decode('utf-8', 'replace'))}")
        if name not in limits and not keep_other:
            raise FrameError("wrong-message", f"{self.peer} sent '{printable(name)}' where {awaited} was expected")
        limit = limits.get(name, _READ_AHEAD)
        if header.payload_length > limit:
            raise FrameError(
                "too-large",
                f"{self.peer} announced {header.payload_length} bytes of '{name}', at most {limit} are accepted",
            )
        payload = self._read(header.payload_length, deadline, awaited)
        self._hold(header.deliver_at, deadline, awaited)
        self.traffic.received(HEADER.size + header.name_length + header.payload_length)
        if self.observer:
            self.observer("received", name, memoryview(payload))
        return name, payload

    def _hold(self, deliver_at: int, deadline: float, awaited: str) -> None:
        """Wait until a frame of a shaped link has arrived; the peer's instant counts only on a link shaped here."""
        if not deliver_at:
            return
        if not self.shape.shaped:
            raise FrameError(
                "net-differs", f"{self.peer} shapes the link and this side does not: start both with the same --net"
            )
        arrival = deliver_at / 1e9
        if arrival > deadline:
            raise self._timed_out(f"no {awaited} from {self.peer}")
        time.sleep(max(0.0, arrival - time.monotonic()))

    def _read(self, size: int, deadline: float, awaited: str) -> bytearray:
        """Exactly ``size`` bytes, first what was read ahead, the rest straight into its place."""
        data = bytearray(size)
        view = memoryview(data)
        while view.nbytes:
            buffered = self._ahead_end - self._ahead_start
            if buffered:
                taken = min(buffered, view.nbytes)
                view[:taken] = memoryview(self._ahead)[self._ahead_start : self._ahead_start + taken]
                self._ahead_start += taken
            elif view.nbytes < _READ_AHEAD:
                self._ahead_start, self._ahead_end = 0, self._pull(memoryview(self._ahead), deadline, awaited)
                continue
            else:
                taken = self._pull(view, deadline, awaited)
            view = view[taken:]
        return data

    def _pull(self, into: memoryview, deadline: float, awaited: str) -> int:
        """Bytes read into ``into``, at least one; pushes queued bytes out while it waits."""
        while True:
            while self._outgoing and self._push():
                pass
            try:
                count = self._sock.recv_into(into)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                events = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
                self._wait(events, deadline, f"no {awaited} from {self.peer}")
                continue
            except ssl.SSLEOFError:
                raise LinkClosed("peer-closed", f"{self.peer} closed the connection before {awaited} arrived") from None
            except ssl.SSLError as error:
                raise self._broken_tls(error) from None
            except OSError:
                raise LinkClosed("peer-closed", f"{self.peer} closed the connection before {awaited} arrived") from None
            if not count:
                raise LinkClosed("peer-closed", f"{self.peer} closed the connection before {awaited} arrived")
            return count

    def _broken_tls(self, error: ssl.SSLError) -> LinkError:
        """In TLS 1.3 a client hears only now that its certificate was refused."""
        reason = (error.reason or "").lower().replace("_", " ")
        _, alert, what = reason.rpartition(" alert ")
        what = {"unsupported certificate": "it is for another role"}.get(what, what)
        if not alert:
            return LinkClosed(
                "tls-broke", f"TLS with {self.peer} broke ({reason or 'no reason given'}): open a new link"
            )
        return CertificateRefused(
            "certificate-refused",
            f"{self.peer} refused this side's certificate ({what}): use keys of one authority, and renew old ones",
        )

    def _require_sound(self) -> None:
        if self._closed or self._spoiled:
            raise LinkClosed(
                "link-over",
                f"the link to {self.peer} is {'closed' if self._closed else 'over after an error'}: open a new one",
            )

    # -- waiting and closing ------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> bool:
        """Whether something is there to receive, a message or the peer's end, within ``seconds``."""
        self._require_sound()
        decrypted = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        if decrypted or self._ahead_end > self._ahead_start:
            return True
        self._poll.register(self._sock, select.POLLIN)
        return bool(self._poll.poll(seconds * 1000))

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def _wait(self, events: int, deadline: float, what: str) -> None:
        remaining = deadline - time.monotonic()
        if remaining > 0:
            self._poll.register(self._sock, events)
            if self._poll.poll(remaining * 1000):
                return
        raise self._timed_out(what)

    @staticmethod
    def _timed_out(what: str) -> LinkTimeout:
        return LinkTimeout(
            "timed-out", f"{what} before the deadline: is it still running? (raise the timeout if it is slow)"
        )

    def close(self) -> None:
        """Close this end; harmless when closed already."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fault_of_peer(error: BaseException) -> str:
    """A ``reason`` of :func:`transaction`: what the peer sent that is not accepted, and nothing of any other error."""
    return str(error) if isinstance(error, FrameError) else "stopped in the middle of a question"


@contextlib.contextmanager
def transaction(*links: Link, reason: Callable[[BaseException], str] | None = None) -> Iterator[None]:
    """Come to the end of the block, or end ``links`` on both sides: what is still on its way answers no later question.

    That holds for whatever leaves the block, interrupts and cancellation included, and at whatever instruction: the
    links are marked first and free for the next transaction only after the end.  What must not end a link is raised
    before the block or after it.

    Parameters
    ----------
    reason
        what the peers are told of the error; by default they only find the links closed.

    Raises
    ------
    LinkClosed
        an earlier transaction did not come to its end, or a link is over.
    """
    try:
        for link in links:
            link.begin()
        yield
        for link in links:
            link.commit()
    except BaseException as error:
        for link in links:
            if reason:
                link.fail(reason(error))
            else:
                link.close()
        raise
