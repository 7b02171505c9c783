"""The one check before any output: every word opened in a query carried the right tag.

All openings x_j of a query, each with its shares (value and tag) and the low words L_j = lo_0 + lo_1 that both sides
sent, taken as whole numbers.  With joint coins chi_j in Z_2^64, drawn after the last opening:

    p_i     = sum chi_j hi_j,i + rho_i mod 2^64              opened; rho is a fresh authenticated mask
    y       = sum chi_j L_j + 2^64 (p_0 + p_1) mod 2^128
    sigma_i = sum chi_j m_j,i + 2^64 m_rho,i - alpha_i y     committed, then opened

and sigma_0 + sigma_1 must be 0 mod 2^128.  A party who opened anything else than it held passes with probability at
most 2^(-s + log2(s + 1)) < 2^-57 for s = 64.  What was opened enters by two sums only, so a wide product need never be
computed (:class:`mpc.authenticated.Product`).  Source: Cramer et al. 2018 (SPDZ2k), procedure BatchCheck.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from mpc import wide
from mpc.authenticated import Authenticated, Keys
from mpc.material import Stream
from mpc.ring import Words

SIGMA_BYTES = 16
_MOD = 1 << 128


class Held(Protocol):
    """Something opened: ``words`` (N,) are this party's low words, of any shape."""

    @property
    def words(self) -> Words: ...

    def combined(self, coefficients: Words) -> tuple[int, ...]:
        """Sums of coefficient (N,) times share, and times tag, mod 2^128."""


@dataclass(repr=False)
class OpeningLog:
    """Every opening of a query: what this party held, and the low words of the other side."""

    _held: list[tuple[Held, Words]] = field(default_factory=list)

    def add(self, held: Held, received: Words) -> None:
        """Note that ``held`` was opened and the other side's words were ``received``."""
        self._held.append((held, received.ravel()))

    @property
    def count(self) -> int:
        return sum(len(received) for _, received in self._held)

    def combined(self, coins: bytes) -> Combination:
        """The sums of the check under the joint coins."""
        chi = Stream(coins, "check").words(self.count)
        high = lows = tags = start = 0
        for held, received in self._held:
            part = chi[start : start + len(received)]
            start += len(received)
            (own,) = wide.combine(part, wide.of_words(held.words.ravel()))
            share, tag = held.combined(part)
            high += (share - own) % _MOD >> 64
            lows += own + wide.combine(part, wide.of_words(received))[0]
            tags += tag
        return Combination(high, lows, tags)


@dataclass(frozen=True, repr=False)
class Combination:
    """Sums over all openings: chi·hi, chi·L and chi·m."""

    high: int
    lows: int
    tags: int

    def masked(self, rho: Authenticated) -> int:
        """p_i, which may be opened."""
        return (self.high + int(rho.planes[0].ravel()[0])) % (1 << 64)

    def sigma(self, keys: Keys, rho: Authenticated, both: int) -> int:
        """sigma_i from p_0 + p_1."""
        y = self.lows + (both << 64)
        mask = int(rho.planes[2].ravel()[0]) << 64
        return (self.tags + mask - keys.alpha * y) % _MOD


def passes(own: int, theirs: int) -> bool:
    """Whether the two sigmas cancel."""
    return (own + theirs) % _MOD == 0
