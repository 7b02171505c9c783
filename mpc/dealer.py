"""The dealer: gives Alice and Bob correlated randomness, sees no input and no output, and must side with
neither."""

from __future__ import annotations

from sotto.link import BadValue, Link
from sotto.mpc.dealing.dealings import dealing_of
from sotto.mpc.dealing.stock import Stock
from sotto.mpc.dealing.supply import BundleSupply
from sotto.mpc.messages import Mode
from sotto.mpc.modes import needs_dealer, require_mode
from sotto.mpc.protocols import memory


class Dealer:
    """Serves one Alice and one Bob.  Gives up when Alice asks for nothing in ``idle_timeout`` seconds.

    ``stock``: bundles made ahead of time, used where they fit; not for mode ``crypten``, which has none.
    """

    def __init__(self, *, mode: Mode = "malicious", stock: Stock | None = None, idle_timeout: float = 600.0) -> None:
        self._mode = require_mode(mode)
        if not needs_dealer(self._mode):
            raise BadValue("no-dealer", f"mode '{mode}' has no dealer")
        if stock:
            dealing_of(self._mode)
        self._stock = stock
        self._idle = idle_timeout

    def __repr__(self) -> str:
        return f"<mpc.Dealer mode={self._mode}>"

    def serve(self, alice_link: Link, bob_link: Link) -> None:
        """Serve until Alice closes her link.  Raises :class:`sotto.link.LinkError`."""
        memory.keep_freed()
        if self._mode == "crypten":
            from sotto.mpc.crypten.supply import CryptenSupply  # CrypTen may be missing: only who uses it needs it

            CryptenSupply(self._idle).serve(alice_link, bob_link)
        else:
            supply = BundleSupply(self._mode, dealing_of(self._mode), self._idle, self._stock)
            supply.serve(alice_link, bob_link)
