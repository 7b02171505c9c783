"""The one check before any output: every value opened in a query carried the right tag.

A value is opened by both parties sending their whole shares, X_j = x_0 + x_1 mod 2^128.  Its high half says nothing,
because every opened value is masked by one that the dealer drew uniformly modulo 2^128 for this opening alone.  With
joint coins chi_j in Z_2^64, drawn after the last opening:

    y       = sum chi_j X_j mod 2^128
    sigma_i = sum chi_j m_j,i - alpha_i y        committed, then opened

and sigma_0 + sigma_1 must be 0 mod 2^128.  A party who opened anything else than it held, by errors e_j of which one
is not 0 mod 2^64, must guess alpha · sum chi_j e_j, and does so with probability at most (s + 1) 2^-s, s = 64.

The last opening is checked without coins, so that these can be told beside it, and save a message: for each of its
words both have m_j,i - alpha_i X_j, the one's the other's negative, and commit to a hash of them, with sigma_i.  For an
error e_j that is not 0 mod 2^64, alpha -> alpha · e_j mod 2^128 takes each of the 2^64 halves alpha_i of the honest
party elsewhere, so a cheater commits to the right hash with probability 2^-s (or finds a collision), whatever it knows
of the coins when it chooses e_j.

**A session, however many checks it has, accepts a wrong opening with probability at most (s + 1) 2^-s < 2^-57.9.**  An
error that is 0 mod 2^64 changes no word, and passes with a probability that depends on the key alone: e_j = 2^127
passes three times in four, every second time in the last opening, and tells a bit of alpha_i.  Over many queries that
gains nothing.  Until the session ends, all that its checks tell a cheater is that they passed, because a sigma or a
hash that passes is the cheater's own.  So its errors and guesses depend on coins and masks, not on alpha_i, up to the
first check in which a word is wrong, and that one passes for at most s + 1 of the 2^s keys on average over its coins,
whichever keys the checks before it would have passed for.  A check that fails tells sigma_i, and may tell alpha_i; with
it the session ends, its keys and what was dealt under them.  ``tests/mpc/protocols/malicious/test_opening_check.py``
counts the best cheater of several checks in small rings.

The first part holds because all its e_j are fixed before chi_j is known: a party tells its half of the coins when it
has the other's shares of all openings but the last.  It would not if only low halves were opened and a party
told its sum of chi_j · (high half of j) afterwards: whenever sum chi_j e_j is 0 mod 2^64, which for e = 2^63 is every
second time, such a sum repairs the error without any guess.  Source: Cramer et al. 2018 (SPDZ2k), section 3, without
its saving of the high halves.  Lazy products need never compute their tags
(:class:`sotto.mpc.sharing.authenticated.Product`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sotto.mpc.protocols.semi_honest.preprocessing import Stream
from sotto.mpc.sharing import uint128
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.ring import Words
from sotto.mpc.sharing.uint128 import Planes

SIGMA_BYTES = 16
_MOD = 1 << 128


class Openable(Protocol):
    """Something to open: ``opening`` (2, …) is this party's share."""

    @property
    def opening(self) -> Planes: ...

    def tags(self, coefficients: Words) -> int:
        """Sum of coefficient (N,) times this party's share of the tag, mod 2^128."""


@dataclass(repr=False)
class OpeningLog:
    """Every opening of a query but the last: what this party held, and what was opened."""

    _opened: list[tuple[Openable, Planes]] = field(default_factory=list)

    def add(self, held: Openable, received: Planes) -> Words:
        """Open ``held`` with the other side's share ``received``, and note it; the value's words."""
        value = uint128.add(held.opening, received)
        self._opened.append((held, value))
        return value[0]

    @property
    def count(self) -> int:
        return sum(value[0].size for _, value in self._opened)

    def sigma(self, keys: Keys, coins: bytes) -> int:
        """This party's sigma_i under the joint coins."""
        chi = Stream(coins, "check").words(self.count)
        start = y = tags = 0
        for held, value in self._opened:
            part = chi[start : start + value[0].size]
            start += part.size
            y += uint128.combine(part, value)
            tags += held.tags(part)
        return (tags - keys.alpha * y) % _MOD


def proof_of(held: Authenticated, received: Planes, keys: Keys) -> tuple[Words, bytes]:
    """The last opening's words, and a hash that is the same at both parties if each sent what it held."""
    value = uint128.add(held.opening, received)
    left = uint128.subtract(held.planes[2:], uint128.scale(value, keys.alpha))
    if keys.party:
        left = uint128.subtract(np.zeros_like(left), left)
    return value[0], hashlib.sha256(left.tobytes()).digest()


def passes(own: int, theirs: int) -> bool:
    """Whether the two sigmas cancel."""
    return (own + theirs) % _MOD == 0
