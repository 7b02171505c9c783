"""The first two messages of every session, in every paradigm: who wants what, and what the service is.

    client -> service    session.hello     Hello
    service -> client    session.welcome   Welcome

A client is Alice, or Bob at the dealer.  Whoever finds that the two sides do not fit says why in one line, which both
sides show.  The version stands first and is read before anything else, so that other releases are told apart from
nonsense.  ``session`` is Alice's, 16 secret bytes: under it the dealer brings her and her Bob together.
"""

from __future__ import annotations

import hmac
import secrets

import msgspec

from sotto.link import FrameError, Identity, LinkError, Role, decode
from sotto.link.frames import printable
from sotto.serving.reveal import REVEALS, Reveal
from sotto.serving.terms import Terms, TermsError

VERSION = 1
HELLO, WELCOME = "session.hello", "session.welcome"
HELLO_BYTES = 2048
WELCOME_BYTES = 4 << 20
SESSION_BYTES = 16


class Refused(LinkError):
    """The two sides do not fit, or the service has no place; the text is for both sides."""


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a client wants.

    ``peer``: at the dealer, the name in the certificate of the other party; empty without certificates.
    ``terms``: fingerprint of the terms that Alice holds, empty when she takes Bob's.
    ``token``: what a service on loopback without certificates may ask for.
    """

    version: int = VERSION
    role: Role
    paradigm: str
    mode: str
    reveal: Reveal = "class"
    session: bytes
    peer: str = ""
    terms: str = ""
    token: bytes = b""

    def __repr__(self) -> str:
        return f"<Hello of {self.role} for {self.paradigm}/{self.mode}>"


class Welcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The service is ready for this client.  The dealer has no terms."""

    version: int
    terms: Terms | None


class _Versioned(msgspec.Struct):
    version: int


def new_session() -> bytes:
    """A session's name, secret to its parties."""
    return secrets.token_bytes(SESSION_BYTES)


def read_hello(payload: bytes | bytearray) -> Hello:
    """Raises :class:`sotto.link.FrameError` for another version, or for what is no hello."""
    _require_version(decode(payload, _Versioned).version, "the client")
    hello = decode(payload, Hello)
    if len(hello.session) != SESSION_BYTES:
        raise FrameError("bad-name", "the client's session has no proper name: both sides need the same release")
    return hello


def read_welcome(payload: bytes | bytearray, who: str) -> Welcome:
    """Raises :class:`sotto.link.FrameError` for another version, for what is no welcome, or for impossible terms."""
    _require_version(decode(payload, _Versioned).version, who)
    welcome = decode(payload, Welcome)
    try:
        if welcome.terms:
            welcome.terms.check()
    except TermsError as error:
        raise FrameError("bad-terms", f"{who}: {error}") from None
    return welcome


def require_fit(hello: Hello, terms: Terms) -> None:
    """Raise :class:`Refused` unless a service with ``terms`` is what the client wants."""
    if hello.paradigm != terms.paradigm:
        raise Refused(
            "other-paradigm",
            f"alice wants paradigm '{printable(hello.paradigm, 40)}', bob runs '{terms.paradigm}': start both with one",
        )
    if hello.mode != terms.mode:
        raise Refused(
            "other-mode",
            f"alice wants mode '{printable(hello.mode, 40)}', bob runs '{terms.mode}': start both with one",
        )
    if REVEALS.index(hello.reveal) > REVEALS.index(terms.reveal):
        most = "the class only" if terms.reveal == "class" else terms.reveal
        raise Refused(
            "reveals-less",
            f"bob reveals {most}: ask with --reveal {terms.reveal}, or start it with --reveal {hello.reveal}",
        )
    if hello.terms and not hmac.compare_digest(hello.terms.encode(), terms.fingerprint.encode()):
        raise Refused(
            "other-terms",
            f"alice holds the terms {printable(hello.terms, 40)}, bob serves {terms.fingerprint}: "
            "give alice the folder that was prepared with this model",
        )


def require_token(hello: Hello, token: bytes) -> None:
    """Raise :class:`Refused` unless the client has the service's token."""
    if not hmac.compare_digest(hello.token, token):
        raise Refused("wrong-token", "this service asks for a token, and the client's is another one")


def require_claim(hello: Hello, identity: Identity | None) -> None:
    """Raise :class:`Refused` when the client's certificate does not have the role that the client claims."""
    if identity is not None and identity.role != hello.role:
        raise Refused(
            "wrong-role", f"the certificate is that of {identity}, who cannot act as {hello.role}: use the right keys"
        )


def _require_version(version: int, who: str) -> None:
    if version != VERSION:
        raise FrameError(
            "other-version",
            f"{who} speaks version {version} of the handshake, this side {VERSION}: install one release",
        )
