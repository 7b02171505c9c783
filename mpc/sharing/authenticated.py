"""Authenticated shares: what SPDZ2k adds to additive ones.

A value x lives modulo 2^64.  Its two shares are added up modulo 2^128, the low half of the sum is x, and each share
comes with a share of a tag: sum of tags = alpha · (sum of shares) mod 2^128, under a key alpha = alpha_0 + alpha_1,
alpha_i in Z_2^64, that neither party knows.  Whoever changes what he opens of x by e != 0 mod 2^64 must
change the tag by alpha · e, and guesses that with probability 2^-64.  Low halves of shares are CrypTen's shares.

Linear maps act on share and tag alike; a public constant c is added to one party's share and alpha_i · c to each tag.
Source: Cramer, Damgård, Escudero, Scholl and Xing 2018, "SPDZ2k: Efficient MPC mod 2^k for dishonest majority", k =
s = 64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sotto.mpc.graph.layers import Layer
from sotto.mpc.sharing import uint128
from sotto.mpc.sharing.ring import Words
from sotto.mpc.sharing.uint128 import Planes


@dataclass(frozen=True, repr=False, eq=False)
class Authenticated:
    """One party's authenticated shares: planes (4, n, *shape), low and high words of the share, then of its tag."""

    planes: Planes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.planes.shape[1:]

    @property
    def words(self) -> Words:
        """Low halves of the shares: CrypTen's share."""
        return self.planes[0]

    @property
    def opening(self) -> Planes:
        """The share (2, n, *shape), without its tag: what is sent to open the value."""
        return self.planes[:2]

    def __len__(self) -> int:
        return self.planes.shape[1]

    def __add__(self, other: Authenticated) -> Authenticated:
        return Authenticated(uint128.add(self.planes, other.planes))

    def __sub__(self, other: Authenticated) -> Authenticated:
        return Authenticated(uint128.subtract(self.planes, other.planes))

    def __mul__(self, factor: int | Words) -> Authenticated:
        return Authenticated(uint128.scale(self.planes, factor))

    def sum(self, *, axis: int | tuple[int, ...], keepdims: bool) -> Authenticated:
        axes = (axis,) if isinstance(axis, int) else axis
        planes = self.planes
        for each in axes:
            planes = uint128.total(planes, each + 1)
        return Authenticated(planes if keepdims else planes.squeeze(tuple(each + 1 for each in axes)))

    def rearranged(self, change: Callable[..., npt.NDArray[np.uint64]], *others: Authenticated) -> Authenticated:
        """``change`` applied to each plane; it moves elements and does no arithmetic."""
        each = zip(self.planes, *(other.planes for other in others), strict=True)
        return Authenticated(np.stack([change(*planes) for planes in each]))

    def tags(self, coefficients: Words) -> int:
        """Sum of coefficient (N,) times tag, mod 2^128."""
        return uint128.combine(coefficients, self.planes[2:])


@dataclass(repr=False, eq=False)
class Product:
    """The share of ``layer`` applied to public words ``given`` (n, *in), plus ``added`` (4, n, *out), lazily.

    What is opened is computed element by element.  The check needs the tags in one random combination only, and that is
    the weights' tags times what the coefficients make of ``given``: half the work of the tags themselves.

    ``still``: this party's shares of the weights are zero, so its share of the product is ``added``'s whatever is
    given.
    """

    layer: Layer
    weights: Authenticated
    given: Words
    added: Authenticated
    still: bool = False

    @cached_property
    def opening(self) -> Planes:
        if self.still:
            return self.added.opening
        product = uint128.product(self.layer, self.weights.opening, self.given)
        return uint128.add(product, self.added.opening)

    def full(self) -> Authenticated:
        """The share itself, for steps that need more of it than its opening."""
        tags = uint128.product(self.layer, self.weights.planes[2:], self.given)
        return Authenticated(np.concatenate([self.opening, uint128.add(tags, self.added.planes[2:])]))

    def tags(self, coefficients: Words) -> int:
        sums = uint128.weight_sums(self.layer, coefficients.reshape(self.added.shape), self.given)
        return (uint128.inner(self.weights.planes[2:], sums) + self.added.tags(coefficients)) % (1 << 128)


@dataclass(frozen=True, repr=False)
class Keys:
    """One party's share of the keys: ``alpha`` of the tags, ``delta`` (2,) of the bits; ``party`` 0 or 1."""

    party: int
    alpha: int
    delta: Words

    def constant(self, words: Words, shape: tuple[int, ...] | None = None, *, holder: int = 0) -> Authenticated:
        """This party's share of public ``words``, broadcast to ``shape``; ``holder`` has the value."""
        values = np.broadcast_to(words, words.shape if shape is None else shape)
        value = uint128.of_words(values if self.party == holder else np.zeros_like(values))
        tag = uint128.scale(uint128.of_integer(self.alpha, values.shape), values)
        return Authenticated(np.concatenate([value, tag]))

    def weighted_sum(self, factors: Words, rows: Authenticated, last: Authenticated | None) -> Authenticated:
        """This party's share (N,) of public ``factors`` (k, N) times 1, ``rows`` (r, N) and ``last`` (N,), added up."""
        ones = np.array([1 - self.party, self.alpha], np.uint64)  # the shares of 1: value and tag
        return Authenticated(uint128.weighted_sum(factors, rows.planes, None if last is None else last.planes, ones))


def opened_minus(keys: Keys, opened: Words, mask: Authenticated) -> Authenticated:
    """The share of party 1's own x, from the public x + lambda and the share of the lambda that it alone knows: x
    itself, and zero for party 0."""
    return keys.constant(opened, holder=1) - mask
