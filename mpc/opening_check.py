"""The one check before any output: every word opened in a query carried the right tag.

All openings x_j of a query, each with its shares (value and tag) and the low words L_j = lo_0 + lo_1 that both sides
sent, taken as whole numbers.  With joint coins chi_j in Z_2^64, drawn after the last opening:

    p_i     = sum chi_j hi_j,i + rho_i mod 2^64              opened; rho is a fresh authenticated mask
    y       = sum chi_j L_j + 2^64 (p_0 + p_1) mod 2^128
    sigma_i = sum chi_j m_j,i + 2^64 m_rho,i - alpha_i y     committed, then opened

and sigma_0 + sigma_1 must be 0 mod 2^128.  A party who opened anything else than it held passes with probability at
most 2^(-s + log2(s + 1)) < 2^-57 for s = 64.  Source: Cramer et al. 2018 (SPDZ2k), procedure BatchCheck.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mpc import wide
from mpc.authenticated import Authenticated, Keys
from mpc.material import Stream
from mpc.ring import Words
from mpc.wide import Planes

SIGMA_BYTES = 16
_MOD = 1 << 128


@dataclass(repr=False)
class OpeningLog:
    """Every opening of a query: this party's shares, and the low words of both sides."""

    _planes: list[Planes] = field(default_factory=list)
    _sent: list[Words] = field(default_factory=list)
    _received: list[Words] = field(default_factory=list)

    def add(self, share: Authenticated, received: Words) -> None:
        """Note an opening of ``share`` (any shape) whose other share's words were ``received``."""
        self._planes.append(share.planes.reshape(4, -1))
        self._sent.append(share.words.ravel())
        self._received.append(received.ravel())

    @property
    def count(self) -> int:
        return sum(map(len, self._sent))

    def combined(self, coins: bytes) -> Combination:
        """The sums of the check under the joint coins."""
        chi = Stream(coins, "check").words(self.count)
        high = lows = tags = start = 0
        for planes, sent, received in zip(self._planes, self._sent, self._received, strict=True):
            part = chi[start : start + len(sent)]
            start += len(sent)
            high += int((part * planes[1]).sum(dtype=np.uint64))
            lows += wide.combine(part, wide.of_words(sent))[0] + wide.combine(part, wide.of_words(received))[0]
            tags += wide.combine(part, planes[2:])[0]
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
