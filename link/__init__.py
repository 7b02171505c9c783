"""Framed, counted messages between parties: inside one process, over TCP on one machine, over TLS 1.3 between machines.

Threat model: the peer may send anything at any time.  A message is accepted only under the name and size its receiver
asked for, sizes are checked before allocation, every wait has a deadline, and nothing received is ever unpickled.  A
question that is given up, by an interrupt too, ends its link on both sides: no late answer is taken for the next one.

On one machine links are plain TCP on loopback, readable by the machine's administrator, and any account of that machine
may connect to a port before the intended peer does: callers check who it is (the harness with a token), or use TLS.
Between machines links must be TLS 1.3 with certificates on both sides, and plain TCP is refused.  A link does not hide
sizes or timing, nor that one side gave up.
"""

from sotto.link.connection import Listener, connect, listen, pair
from sotto.link.errors import (
    BadType,
    BadValue,
    CertificateRefused,
    Coded,
    FrameError,
    LinkClosed,
    LinkError,
    LinkTimeout,
    PeerError,
    WrongState,
)
from sotto.link.identity import ROLES, Identity, Role, require_role
from sotto.link.link import DEFAULT_TIMEOUT, Link
from sotto.link.messages import Array, decode, encode
from sotto.link.queries.answer import MOST_CLASSES, Answer, Reply, Reveal, require_revealed
from sotto.link.queries.question import as_numbers
from sotto.link.queries.round_trip import RoundTrip, RoundTripAlice, RoundTripBob
from sotto.link.shape import LOOPBACK, SHAPES, Shape
from sotto.link.tls import client_context, server_context
from sotto.link.traffic import Direction, Observer, Traffic
from sotto.link.transaction import fault_of_peer, transaction

__all__ = [
    "DEFAULT_TIMEOUT",
    "LOOPBACK",
    "MOST_CLASSES",
    "ROLES",
    "SHAPES",
    "Answer",
    "Array",
    "BadType",
    "BadValue",
    "CertificateRefused",
    "Coded",
    "Direction",
    "FrameError",
    "Identity",
    "Link",
    "LinkClosed",
    "LinkError",
    "LinkTimeout",
    "Listener",
    "Observer",
    "PeerError",
    "Reply",
    "Reveal",
    "Role",
    "RoundTrip",
    "RoundTripAlice",
    "RoundTripBob",
    "Shape",
    "Traffic",
    "WrongState",
    "as_numbers",
    "client_context",
    "connect",
    "decode",
    "encode",
    "fault_of_peer",
    "listen",
    "pair",
    "require_revealed",
    "require_role",
    "server_context",
    "transaction",
]
