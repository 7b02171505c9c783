"""Who gets a session: the checks of a client's first message, its limits, and who belongs together at the dealer."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from typing import Any

from sotto.link.frames import printable
from sotto.serving.handshake import Hello, Refused, require_fit, require_token
from sotto.serving.service.arrivals import Arrival
from sotto.serving.service.sessions import ServiceConfig

_MOST_CLIENTS = 4096  # whose starts are remembered


class _Rate:
    """At most ``most`` of each client's requests in ``seconds``."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, client: str) -> bool:
        """Whether another one is within the rate; it then counts as one."""
        times, now = self._times[client], time.monotonic()
        while times and times[0] < now - self._seconds:
            times.popleft()
        if len(times) >= self._most:
            return False
        times.append(now)
        if len(self._times) > _MOST_CLIENTS:
            for name in [name for name, old in self._times.items() if not old or old[-1] < now - self._seconds]:
                del self._times[name]
        return True


class Admission:
    """The rules of one service.  ``hosted`` is what it serves."""

    def __init__(self, config: ServiceConfig, hosted: Any) -> None:
        self._orders = config
        self._limits = config.limits
        self._hosted = hosted
        self._starts = _Rate(config.limits.starts_per_minute, 60)
        self._stocked = _Rate(config.limits.stocked_per_hour, 3600)

    def check(self, arrival: Arrival, hello: Hello, waiting: Collection[Arrival]) -> None:
        """Raise :class:`Refused` unless the client may have a session, or wait for one."""
        require_token(hello, self._orders.token)
        client = arrival.client
        if client in self._orders.denied:
            raise Refused(
                "certificate-withdrawn", "this certificate is not served here any more: ask whoever runs the service"
            )
        if self._orders.role == "dealer":
            self._check_party(hello)
        elif hello.role != "alice":
            raise Refused("wrong-role", f"bob serves alice, not {hello.role}")
        else:
            require_fit(hello, self._hosted.terms)
        if not self._starts.take(client):
            raise Refused(
                "too-many-sessions",
                f"{self._limits.starts_per_minute} sessions a minute are allowed to one client: slow down",
            )
        if sum(other.client == client for other in waiting) >= self._limits.per_client:
            raise Refused(
                "too-many-waiting", f"{self._limits.per_client} of this client's sessions wait already: try again later"
            )

    def may_take_stock(self, client: str) -> bool:
        """Whether another session of this Alice's may be served from the dealer's stock; it counts as one."""
        return self._stocked.take(client)

    def why_it_waited(self, arrival: Arrival, running: int) -> str:
        """What a client is told whose time to wait is over."""
        seconds = self._limits.wait_seconds
        if self._orders.role == "dealer" and arrival.hello and running < self._limits.sessions:
            other = "bob" if arrival.hello.role == "alice" else "alice"
            return f"{other} did not come to the dealer within {seconds:g} s: do both use the same dealer and names?"
        return f"no place became free within {seconds:g} s: try again later"

    def _check_party(self, hello: Hello) -> None:
        if hello.role not in ("alice", "bob"):
            raise Refused("wrong-role", "the dealer serves alice and bob")
        if hello.mode not in self._hosted.modes:
            served = ", ".join(self._hosted.modes)
            raise Refused("mode-not-served", f"the dealer does not serve mode '{printable(hello.mode, 40)}': {served}")


def partner(arrival: Arrival, waiting: Iterable[Arrival]) -> Arrival | None:
    """At the dealer: the other party of a client's session, when it waits and each names the other."""
    hello = arrival.hello
    for other in waiting:
        theirs = other.hello
        if hello is None or theirs is None or theirs.session != hello.session or theirs.role == hello.role:
            continue
        alices, bobs = (hello, theirs) if hello.role == "alice" else (theirs, hello)
        if alices.mode != bobs.mode:
            continue
        names = [(hello.peer, other.identity), (theirs.peer, arrival.identity)]
        if all(identity is None or identity.name == name for name, identity in names):
            return other
    return None
