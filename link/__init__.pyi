from .connection import Listener, connect, listen, pair
from .errors import (
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
from .identity import ROLES, Identity, Role, require_role
from .link import DEFAULT_TIMEOUT, Link, fault_of_peer, transaction
from .messages import Array, decode, encode
from .queries.answer import MOST_CLASSES, Answer, Reply, Reveal, require_revealed
from .queries.question import as_numbers
from .queries.round_trip import RoundTrip, RoundTripAlice, RoundTripBob
from .shape import LOOPBACK, SHAPES, Shape
from .tls import client_context, server_context
from .traffic import Direction, Observer, Traffic

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
