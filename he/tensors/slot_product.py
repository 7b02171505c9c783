"""A sparse matrix over the slots of a ciphertext: diagonals in baby steps and giant steps.

Each weight connects a slot of the source with a slot of the target; their distance is its *offset*, and all weights of
one offset are a plaintext diagonal by which the rotated source is multiplied.  What counts is the number of different
offsets, and there are ways to choose among several for one weight, which reduce offsets by multiples of a unit:

* the source repeats after ``period`` slots: any copy will do;
* the source is made complex, ``x ± i rotate(x, pair)``, minus in odd slots, so that each slot holds two elements (the
  real part of the result is taken by adding its conjugate);
* the target is a sum over several slots, ``unit`` apart, filled with partial sums and then added by rotations.

Rotations switch keys, which is nearly all of the time: with b baby steps (of the source) and g giant steps (of sums of
products) b g offsets take b + g rotations.  Both go step by step, each from the one before, so that few keys do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from sotto.he.tensors.slot_layout import Layout, Places

Plain = npt.NDArray[np.complex128] | npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """Where the results of an affine map go, and the partial sums on the way.

    Attributes
    ----------
    layout
        of the results.
    unit, count
        each result is first ``count`` partial sums, ``unit`` slots apart, a power of two.
    """

    layout: Layout
    unit: int = 1
    count: int = 1

    def reductions(self, period: int) -> tuple[tuple[int, int], ...]:
        """Unit and count of the partial sums when the sources repeat after ``period`` slots."""
        around = max(1, period // self.layout.period)
        return tuple((u, c) for u, c in ((self.unit, self.count), (self.layout.period, around)) if c > 1)

    def sums(self, period: int) -> tuple[int, ...]:
        """The rotations that add the partial sums."""
        return tuple(unit << k for unit, count in self.reductions(period) for k in range(count.bit_length() - 1))


@dataclass(frozen=True)
class Steps:
    """``babies`` and ``giants``, the one that every offset (mod the period) is the sum of by ``parts``."""

    babies: tuple[int, ...]
    giants: tuple[int, ...]
    parts: Mapping[int, tuple[int, int]]

    @property
    def rotations(self) -> int:
        return len(set(self.babies) - {0}) + len(set(self.giants) - {0})


@dataclass(frozen=True, eq=False, repr=False)
class SlotProduct:
    """The diagonals of one source: ``diagonals[giant][baby]`` (S,), each turned for its giant step."""

    pair: int
    steps: Steps
    diagonals: Mapping[int, Mapping[int, Plain]]

    def rotations(self) -> Iterator[int]:
        """Every rotation done, in no order."""
        if self.pair:
            yield self.pair
        yield from (step for _, _, step in walk(self.steps.babies))
        giants = sorted(self.steps.giants, reverse=True)
        yield from (high - low for high, low in zip(giants, [*giants[1:], 0], strict=True) if high != low)


def walk(steps: Iterable[int]) -> list[tuple[int, int, int]]:
    """How to reach every one of ``steps`` from 0: (from, to, rotation), in order, upwards and downwards."""
    found = []
    for side in (sorted(s for s in steps if s > 0), sorted((s for s in steps if s < 0), reverse=True)):
        before = 0
        for step in side:
            found.append((before, step, step - before))
            before = step
    return found


def reduced(offsets: Places, reductions: Iterable[tuple[int, int]]) -> tuple[Places, Places]:
    """Offsets reduced by each (unit, count), and how far each was reduced altogether."""
    moved = np.zeros_like(offsets)
    for unit, count in reductions:
        part = (offsets - moved) // unit % count * unit
        moved = moved + part
    return offsets - moved, moved


def distances(matrix: csr_array, source: Layout, target: Target) -> Places:
    """The different offsets of the weights, not yet reduced by more than the period of the source."""
    coo = coo_array(matrix)
    found = (source.slots[coo.col] - target.layout.slots[coo.row]) % source.period
    return np.flatnonzero(np.bincount(found, minlength=source.period))


def offsets(distances: Places, period: int, pair: int, target: Target, widest: int) -> Places:
    """The different offsets left; ``period`` and ``pair`` of the source, ``widest`` the largest period of any."""
    pairs = ((pair, 2),) if pair else ()
    left, _ = reduced(distances, (*pairs, *target.reductions(widest)))
    return np.unique(left % period)


def baby_giant(found: Places, period: int) -> Steps:
    """Baby and giant steps for offsets (different ones) modulo ``period``, with the fewest rotations."""
    return _baby_giant(np.asarray(found, np.int64).tobytes(), period)


@functools.lru_cache(maxsize=1 << 14)
def _baby_giant(packed: bytes, period: int) -> Steps:
    found = np.frombuffer(packed, np.int64)
    best: tuple[int, npt.NDArray[np.int64]] | None = None
    for bits in range(period.bit_length()):
        modulus = 1 << bits
        for shift in {0, modulus // 2, modulus // 4}:
            babies = (found + shift) % modulus - shift
            giants = (found - babies) % period
            count = len(np.unique(babies[babies != 0])) + len(np.unique(giants[giants != 0]))
            if best is None or count < best[0]:
                best = count, babies
    if best is None:
        raise ValueError("a product has offsets")
    babies = best[1]
    giants = (found - babies) % period
    parts = {int(o): (int(b), int(g)) for o, b, g in zip(found, babies, giants, strict=True)}
    return Steps(tuple(sorted({b for b, _ in parts.values()})), tuple(sorted({g for _, g in parts.values()})), parts)


def slot_product(
    matrix: csr_array, source: Layout, target: Target, *, pair: int, widest: int, conjugated: bool, slots: int
) -> SlotProduct:
    """The diagonals of ``matrix`` (elements of the target, elements of the source).

    Parameters
    ----------
    matrix
        real, or complex for two results in a slot.
    source
        where its elements are.
    target
        where the results go.
    pair
        the source is made complex by this rotation first; 0 for not, or because Alice has done it.
    widest
        the largest period among the sources of the target.
    conjugated
        the conjugate is added to the result, so that weights count twice.
    slots
        of a ciphertext.
    """
    coo = coo_array(matrix)
    coupled = pair or source.overlap
    found = (source.slots[coo.col] - target.layout.slots[coo.row]) % source.period
    found, taken = reduced(found, ((coupled, 2),) if coupled else ())
    found, moved = reduced(found, target.reductions(widest))
    place = (target.layout.slots[coo.row] + moved) % slots
    factor = np.where(taken > 0, -1j, 1.0)
    if pair:
        factor = np.where((taken > 0) & ((place + found) % 2 == 1), 1j, factor)
    if source.imaginary is not None:
        factor = np.where(source.imaginary[coo.col], -1j, 1.0)
    weights = coo.data * factor * (0.5 if conjugated else 1.0)
    found %= source.period
    steps = baby_giant(np.unique(found), source.period)
    domain = max(widest, target.layout.period)  # results repeat: the diagonals do
    diagonals: dict[int, dict[int, Plain]] = {}
    order = np.argsort(found, kind="stable")
    bounds = np.flatnonzero(np.diff(found[order], prepend=-1))
    for start, end in zip(bounds, [*bounds[1:], len(order)], strict=True):
        chosen = order[start:end]
        baby, giant = steps.parts[int(found[chosen[0]])]
        diagonal = np.zeros(domain, np.complex128)
        np.add.at(diagonal, place[chosen] % domain, weights[chosen])
        whole = np.roll(np.tile(diagonal, slots // domain), giant)
        diagonals.setdefault(giant, {})[baby] = whole if whole.imag.any() else whole.real.copy()
    return SlotProduct(pair, steps, diagonals)
