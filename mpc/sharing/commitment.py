"""Commitments and joint coins: what two parties who do not trust one another need to toss a coin.

A commitment is SHA-256 over a label, the committer's number and place, a fresh 32-byte nonce and the value: hiding
because of the nonce, binding because of the hash.  The committer's number is hashed in, so a party who sends the
other's commitment back cannot open it.  Joint coins come from both parties' seeds, committed before anything is
opened and opened after everything is: whoever is honest makes them uniform and unknown until then.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

NONCE_BYTES = 32


@dataclass(frozen=True, repr=False)
class Committed:
    """A value this party is bound to: ``commitment`` is sent now, ``opening`` later."""

    commitment: bytes
    opening: bytes


def commit(value: bytes, party: int, place: bytes) -> Committed:
    """Bind ``party`` to ``value`` at ``place``, which names the session, the bundle and what is committed to."""
    opening = secrets.token_bytes(NONCE_BYTES) + value
    return Committed(digest(b"commitment", party, place, opening), opening)


def opened(commitment: bytes | bytearray, opening: bytes | bytearray, party: int, place: bytes) -> bytes | None:
    """The value that ``party`` committed to, or None when ``opening`` does not open ``commitment``."""
    if not hmac.compare_digest(digest(b"commitment", party, place, opening), commitment):
        return None
    return bytes(opening[NONCE_BYTES:])


def digest(purpose: bytes, party: int, place: bytes, data: bytes | bytearray) -> bytes:
    """SHA-256 of ``data``, apart for each purpose, party and place."""
    state = hashlib.sha256(b"sotto mpc ")
    for part in (purpose, bytes([party]), place, data):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()
