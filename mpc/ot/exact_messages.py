"""Messages whose size both sides know: anything shorter or longer is another program's."""

from __future__ import annotations

from sotto.link import FrameError, Link


def receive_exactly(link: Link, name: str, size: int) -> bytearray:
    """The next message, called ``name`` and of ``size`` bytes.  Raises :class:`sotto.link.LinkError`."""
    return _checked(link, name, link.receive(name, limit=size), size)


def exchange_exactly(link: Link, name: str, payload: bytes, size: int | None = None) -> bytearray:
    """Both sides' messages called ``name`` at once; the peer's has ``size`` bytes, or as many as this side's."""
    size = len(payload) if size is None else size
    return _checked(link, name, link.exchange(name, payload, limit=size), size)


def _checked(link: Link, name: str, received: bytearray, size: int) -> bytearray:
    if len(received) != size:
        raise FrameError("wrong-length", f"{link.peer} sent another number of bytes of '{name}' than the network has")
    return received
