"""TLS 1.3 with mutual authentication: each side proves who it is with a certificate of one private authority.

Trust: whoever holds the authority's key can pose as any party.  A link made with these contexts hides and authenticates
the messages on the way; the two ends still see what the protocol shows them.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from sotto.link.errors import LinkError


def server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Context of the listening side; a client without a certificate of ``authority`` (PEM files) is refused."""
    context = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key, authority)
    context.num_tickets = 0  # every session proves itself anew
    return context


def client_context(certificate: Path, key: Path, authority: Path, *, by_role: bool = False) -> ssl.SSLContext:
    """Context of the connecting side; it also checks that the server's certificate names the host it asked for.

    ``by_role``: the caller asks for a role instead (:mod:`sotto.link.identity`), and any host may have it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = not by_role
    return _load(context, certificate, key, authority)


def _no_password() -> str:
    raise ValueError("the key is protected by a password, which is not supported")


def _load(context: ssl.SSLContext, certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    if key.exists() and key.stat().st_mode & 0o077:
        raise LinkError(
            "key-readable", f"{key} can be read by other users of this machine: chmod 600 it, or make new certificates"
        )
    try:
        # Without a callback OpenSSL would ask for the password on the terminal and wait.
        context.load_cert_chain(certificate, key, password=_no_password)
        context.load_verify_locations(authority)
    except (OSError, ValueError) as error:
        raise LinkError(
            "bad-certificate",
            f"cannot use the certificate {certificate}, its key {key} or the authority {authority} "
            f"({getattr(error, 'strerror', None) or type(error).__name__}): make them again",
        ) from None
    return context
