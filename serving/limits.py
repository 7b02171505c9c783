"""How much of a service anybody may take: places, waiting, memory, time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sotto.link import BadValue


@dataclass(frozen=True)
class Limits:
    """All of a service's limits; each is at least 1 unless 0 is said to mean none.

    Attributes
    ----------
    sessions
        sessions at the same time, each a process.
    per_client
        sessions of one client at the same time; a client is a name in a certificate, or all of loopback.
    starts_per_minute
        sessions that one client may start in a minute.
    waiting
        clients that wait for a place (at the dealer: for their other party); the next one is sent away.
    wait_seconds
        how long they wait.
    arrivals
        connections that have not yet said what they want; the next one is closed.
    arrival_seconds
        how long a connection may take for TLS and its first message.
    idle_seconds
        how long a client may be silent between two queries.
    message_seconds
        how long any single message may take.
    queries
        queries in one session, 0 for any number.
    stocked_per_hour
        sessions of one Alice in an hour that the dealer serves from its stock; further ones are
        dealt fresh bundles, so that nobody empties it for the others.
    session_mb
        memory that a session may take besides what it shares with the model that was loaded.
    drain_seconds
        how long running sessions are given when the service ends.
    """

    sessions: int = 8
    per_client: int = 4
    starts_per_minute: int = 600
    waiting: int = 16
    wait_seconds: float = 30.0
    arrivals: int = 64
    arrival_seconds: float = 10.0
    idle_seconds: float = 600.0
    message_seconds: float = 60.0
    queries: int = 0
    stocked_per_hour: int = 120
    session_mb: int = 4096
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < (0 if field.name == "queries" else 0.05) or value > 1 << 31:
                raise BadValue("bad-limit", f"the limit {field.name} is {value}: use a positive number")
