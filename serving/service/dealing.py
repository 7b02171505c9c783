"""What the dealer serves: correlated randomness for any pair of an Alice and a Bob, from a stock where there is one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Self

from sotto.link import Link
from sotto.mpc import Dealer, Stock
from sotto.mpc import modes as mpc_modes


class Dealing:
    """The dealer's side of any session in one of ``modes``.  ``stock``: folder of bundles made ahead of time."""

    def __init__(self, modes: tuple[str, ...], stock: Path | None, idle_seconds: float) -> None:
        self.modes = tuple(mpc_modes.require_mode(mode) for mode in modes)
        self._stock = Stock(stock) if stock else None
        self._idle = idle_seconds
        for mode in self.modes:
            mpc_modes.warm_up(mode, dealing=True)  # once for all sessions

    def fresh(self) -> Self:
        """The same without a stock."""
        other = copy.copy(self)
        other._stock = None
        return other

    def serve(self, mode: str, alice: Link, bob: Link) -> None:
        known = mpc_modes.require_mode(mode)
        stock = None if known == "crypten" else self._stock
        Dealer(mode=known, stock=stock, idle_timeout=self._idle).serve(alice, bob)
