"""Opening links: a pair inside one process, TCP on one machine, TLS 1.3 between machines."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import time
from typing import Self

from sotto.link.errors import BadValue, LinkClosed, LinkError, LinkTimeout
from sotto.link.identity import Role, identity_of, require_role
from sotto.link.link import DEFAULT_TIMEOUT, Link
from sotto.link.shape import LOOPBACK, Shape

log = logging.getLogger("sotto")

_PATIENCE = 2.0  # seconds after which a user should hear what is waited for


def pair(
    first: str = "peer", second: str = "peer", *, timeout: float = DEFAULT_TIMEOUT, shape: Shape = LOOPBACK
) -> tuple[Link, Link]:
    """Two connected links inside one machine: the ``first`` party's, then the ``second``'s.

    For two threads or a parent and its child.  The names are those that errors use for the other side.
    """
    one, other = socket.socketpair()
    return Link(one, timeout=timeout, shape=shape, peer=second), Link(other, timeout=timeout, shape=shape, peer=first)


def listen(host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> Listener:
    """Wait for peers at ``host:port`` (port 0: any free one).  Without ``tls`` only loopback addresses are allowed."""
    require_tls(host, tls)
    try:
        sock = socket.create_server((host, port), family=_family(host), backlog=16)
    except OSError as error:
        raise LinkError(
            "cannot-listen", f"cannot listen on {host}:{port} ({error.strerror}): choose another address or port"
        ) from None
    return Listener(sock, tls)


def connect(
    host: str,
    port: int,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    shape: Shape = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    peer: str = "peer",
    role: Role | None = None,
) -> Link:
    """Connect to a listener, trying until ``timeout`` seconds have passed while nobody listens there yet.

    ``role``: what the listener's certificate must say it is, where there are certificates.
    """
    require_tls(host, tls)
    began = time.monotonic()
    deadline, told = began + timeout, False
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=max(0.01, deadline - time.monotonic()))
            break
        except ConnectionRefusedError:
            if time.monotonic() + 0.05 > deadline:
                raise LinkTimeout(
                    "nobody-listens", f"nobody listens at {host}:{port}: start the other party first"
                ) from None
            if not told and time.monotonic() - began > _PATIENCE:
                log.info("nobody listens at %s:%d yet: trying for %.0f s more", host, port, deadline - time.monotonic())
                told = True
            time.sleep(0.05)
        except TimeoutError:
            raise LinkTimeout(
                "no-answer", f"no answer from {host}:{port}: check the address and the firewall"
            ) from None
        except OSError as error:
            raise LinkError(
                "cannot-connect", f"cannot connect to {host}:{port} ({error.strerror}): check the address"
            ) from None
    sock.settimeout(max(0.01, deadline - time.monotonic()))
    link = _link(sock, tls, timeout, shape, peer, server_name=server_name or host)
    if tls is not None and role is not None:
        try:
            require_role(link.identity, role)
        except LinkError as error:
            link.close()
            raise LinkError("wrong-role", f"{host}:{port} is no {role}: {error}") from None
    return link


class Listener:
    """A listening socket; ``accept`` gives the next peer's link."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._sock = sock
        self._tls = tls

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the port being the real one where 0 was asked for."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def accept(self, *, timeout: float = DEFAULT_TIMEOUT, shape: Shape = LOOPBACK, peer: str = "peer") -> Link:
        """The next peer.  Raises :class:`LinkTimeout` when nobody comes, :class:`LinkError` when TLS refuses it."""
        deadline = time.monotonic() + timeout
        self._sock.settimeout(timeout)
        try:
            sock, _ = self._sock.accept()
        except TimeoutError:
            raise LinkTimeout(
                "nobody-connected", f"nobody connected to {self.address[0]}:{self.address[1]} in {timeout:g} s"
            ) from None
        except OSError:
            raise LinkClosed("listener-closed", "the listener is closed") from None
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        return _link(sock, self._tls, timeout, shape, peer, server_name=None)

    def detach(self) -> socket.socket:
        """The socket itself, for who accepts connections in another way."""
        return self._sock

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _link(
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    timeout: float,
    shape: Shape,
    peer: str,
    *,
    server_name: str | None,
) -> Link:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        try:
            sock = tls.wrap_socket(sock, server_side=server_name is None, server_hostname=server_name)
        except (OSError, ssl.CertificateError) as error:
            sock.close()
            raise LinkError(
                "tls-failed", f"TLS with {peer} failed ({tls_reason(error)}): check both sides' --keys"
            ) from None
        return Link(sock, timeout=timeout, shape=shape, peer=peer, identity=identity_of(sock.getpeercert()))
    return Link(sock, timeout=timeout, shape=shape, peer=peer)


def tls_reason(error: Exception) -> str:
    """Why a TLS handshake failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time: does the other side use certificates too?"
    said = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
    reason = str(said).lower().replace("_", " ")
    return {
        "wrong version number": "the other side does not speak TLS: does it use certificates too?",
        "unsuitable certificate purpose": "the certificate is for another role",
        "peer did not return a certificate": "the other side has no certificate",
    }.get(reason, reason)


def require_tls(host: str, tls: ssl.SSLContext | None) -> None:
    """Raise :class:`LinkError` where messages would leave this machine in the clear.  Loopback needs no TLS."""
    if tls is None and not is_loopback(host):
        raise LinkError(
            "tls-needed", f"{host} is not this machine: links between machines need TLS certificates on both sides"
        )


def address_of(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPv6]:PORT``; port 0 is any.  Raises ``ValueError``, with what it should look like."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) >= 1 << 16:
        raise BadValue("bad-address", f"'{text[:80]}' is no HOST:PORT, as in 127.0.0.1:7100")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine; other names than localhost are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
