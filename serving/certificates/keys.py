"""A party's folder of keys: its certificate, its private key, and the authority that both sides trust."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATE, KEY, AUTHORITY, REQUEST = "certificate.pem", "key.pem", "authority.pem", "request.pem"
PARTY_DAYS = 397  # how long a party's certificate is valid unless told otherwise


def server_tls(folder: Path | None) -> ssl.SSLContext | None:
    """TLS of a listening party; None without a folder, which is for loopback alone.  Raises
    :class:`sotto.link.LinkError`."""
    from sotto.link import server_context  # here, so that the names above cost nothing

    return server_context(*_files(folder)) if folder else None


def client_tls(folder: Path | None) -> ssl.SSLContext | None:
    """TLS of a connecting party, which asks the other side for its role.  Raises :class:`sotto.link.LinkError`."""
    from sotto.link import client_context

    return client_context(*_files(folder), by_role=True) if folder else None


def _files(folder: Path) -> tuple[Path, Path, Path]:
    return folder / CERTIFICATE, folder / KEY, folder / AUTHORITY
