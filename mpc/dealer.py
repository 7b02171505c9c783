"""The dealer: gives Alice and Bob correlated randomness, sees no input and no output, and must side with
neither."""

from __future__ import annotations

from link import Link
from mpc.messages import Mode
from mpc.sessions import open_supply, require_mode


class Dealer:
    """Serves one Alice and one Bob.  Gives up when Alice asks for nothing in ``idle_timeout`` seconds."""

    def __init__(self, *, mode: Mode = "crypten", idle_timeout: float = 600.0) -> None:
        self._mode = require_mode(mode)
        self._idle = idle_timeout

    def __repr__(self) -> str:
        return f"<mpc.Dealer mode={self._mode}>"

    def serve(self, alice_link: Link, bob_link: Link) -> None:
        """Serve until Alice closes her link.  Raises :class:`link.LinkError`."""
        open_supply(self._mode, self._idle).serve(alice_link, bob_link)
