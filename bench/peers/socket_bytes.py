"""How many bytes this process has sent over TCP, whoever opened its sockets: the kernel's own count.

Libraries that talk through sockets of their own (gloo, brpc) do not count, or count what they think they send.  Linux
keeps ``tcpi_bytes_sent`` for every connection.  This module needs the standard library only, so that it runs in other
systems' environments too.
"""

from __future__ import annotations

import os
import socket
import struct

_BYTES_SENT = 200  # offset of tcpi_bytes_sent in struct tcp_info, Linux 4.19 and later
_NOT_SENT = 144  # offset of tcpi_notsent_bytes
_ROOM = 512


class NotCounted(RuntimeError):
    """This kernel does not say how many bytes a connection has sent."""


def bytes_sent() -> int:
    """Bytes sent on every TCP connection that is open in this process now, those included that wait for the network.

    Raises :class:`NotCounted`.
    """
    return sum(_sent(number) for number in _sockets())


def _sockets() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  a listing of numbers
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith("socket:"):
            found.append(int(name))
    return found


def _sent(number: int) -> int:
    try:
        with socket.socket(fileno=os.dup(number)) as connection:
            if connection.type != socket.SOCK_STREAM or connection.family not in (socket.AF_INET, socket.AF_INET6):
                return 0
            information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROOM)
    except OSError:
        return 0  # closed meanwhile
    if len(information) < _BYTES_SENT + 8:
        raise NotCounted("this kernel does not count the bytes of a connection: Linux 4.19 or later is needed")
    waiting = struct.unpack_from("<I", information, _NOT_SENT)[0]
    return int(struct.unpack_from("<Q", information, _BYTES_SENT)[0] + waiting)
