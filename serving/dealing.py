"""What the dealer serves: correlated randomness for any pair of an Alice and a Bob, from a stock where there is one."""

from __future__ import annotations

from pathlib import Path

from link import Link
from mpc import Dealer, Stock, dcf, sessions


class Dealing:
    """The dealer's side of any session in one of ``modes``.  ``stock``: folder of bundles made ahead of time."""

    def __init__(self, modes: tuple[str, ...], stock: Path | None, idle_seconds: float) -> None:
        self.modes = tuple(sessions.require_mode(mode) for mode in modes)
        self._stock = Stock(stock) if stock else None
        self._idle = idle_seconds
        if self.modes != ("crypten",):
            dcf.warm_up()  # once for all sessions

    def serve(self, mode: str, alice: Link, bob: Link) -> None:
        known = sessions.require_mode(mode)
        stock = None if known == "crypten" else self._stock
        Dealer(mode=known, stock=stock, idle_timeout=self._idle).serve(alice, bob)
