"""The dealer's loop in mode ``crypten``: seeds once both parties have joined, then Alice's requests."""

from __future__ import annotations

from sotto.link import Link, LinkClosed
from sotto.mpc.crypten.triples import REQUEST_BYTES, TripleServer
from sotto.mpc.errors import reason
from sotto.mpc.messages import JOIN_LIMIT, require_party


class CryptenSupply:
    """Serves any number of sessions of one Alice and one Bob, one after the other."""

    def __init__(self, idle_timeout: float) -> None:
        self._idle = idle_timeout

    def serve(self, alice: Link, bob: Link) -> None:
        """Serve until Alice closes her link.  Raises :class:`sotto.link.LinkError` after telling both parties why."""
        server: TripleServer | None = None
        try:
            while True:
                try:
                    limits = {"dealer.join": JOIN_LIMIT} | ({"dealer.request": REQUEST_BYTES} if server else {})
                    name, payload = alice.receive_any(limits, timeout=self._idle)
                except LinkClosed:
                    return
                if name == "dealer.join":
                    require_party(payload, 0, "crypten")
                    require_party(bob.receive("dealer.join", limit=JOIN_LIMIT), 1, "crypten")
                    server = TripleServer((alice, bob))
                elif server:
                    alice.send("dealer.correction", server.correction(payload))
        except BaseException as error:
            for link in (alice, bob):
                link.fail(reason(error))
            raise
