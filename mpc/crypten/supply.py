"""What the dealer does in mode ``crypten``: seeds once both parties have joined, then Alice's requests."""

from __future__ import annotations

from sotto.link import Link
from sotto.mpc.crypten.triples import REQUEST_BYTES, TripleServer
from sotto.mpc.dealing.supply import DealerSession, Supply


class CryptenSupply(Supply):
    """Triples, asked for one by one."""

    request_bytes = REQUEST_BYTES

    def __init__(self, idle_timeout: float) -> None:
        super().__init__("crypten", idle_timeout)

    def _opened(self, alice: Link, bob: Link) -> DealerSession:
        return _Session(alice, bob)


class _Session:
    def __init__(self, alice: Link, bob: Link) -> None:
        self._alice = alice
        self._server = TripleServer((alice, bob))

    def serve(self, request: bytearray) -> None:
        self._alice.send("dealer.correction", self._server.correction(request))

    def close(self) -> None:
        """Nothing is held."""
