"""The dealer's loop in mode ``crypten``: seeds once both parties have joined, then Alice's requests."""

from __future__ import annotations

from link import FrameError, Link, LinkClosed, decode
from mpc.crypten_triples import REQUEST_BYTES, TripleServer
from mpc.errors import reason
from mpc.messages import JOIN_BYTES, Join, require_same


class CryptenSupply:
    """Serves any number of sessions of one Alice and one Bob, one after the other."""

    def __init__(self, idle_timeout: float) -> None:
        self._idle = idle_timeout

    def serve(self, alice: Link, bob: Link) -> None:
        """Serve until Alice closes her link.  Raises :class:`link.LinkError` after telling both parties why."""
        server: TripleServer | None = None
        try:
            while True:
                try:
                    limits = {"dealer.join": JOIN_BYTES} | ({"dealer.request": REQUEST_BYTES} if server else {})
                    name, payload = alice.receive_any(limits, timeout=self._idle)
                except LinkClosed:
                    return
                if name == "dealer.join":
                    _require_party(payload, 0, "alice")
                    _require_party(bob.receive("dealer.join", limit=JOIN_BYTES), 1, "bob")
                    server = TripleServer((alice, bob))
                elif server:
                    alice.send("dealer.correction", server.correction(payload))
        except Exception as error:
            for link in (alice, bob):
                link.fail(reason(error))
            raise


def _require_party(payload: bytearray, rank: int, who: str) -> None:
    join = decode(payload, Join)
    require_same(join.version, join.mode, "crypten", who)
    if join.rank != rank:
        raise FrameError(f"the link given to the dealer as {who}'s is the other party's: swap them")
