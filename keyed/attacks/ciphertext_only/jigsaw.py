"""Ciphertext-only attack on Shuffling: putting samples back in order by which of them go together.

Neighbouring samples are alike, the last of one block is like the first of the next, and how alike is known from any
public speech.  Orders that explain the correlations within and between encrypted blocks are found by the FAQ method for
quadratic assignment (Vogelstein et al. 2015), and improved by exchanges.

In a waveform, pairs are exchanged, the best pair at a time: first until the correlations are most like those of public
speech, then until the decrypted speech is most plausible (:mod:`sotto.keyed.attacks.ciphertext_only.plausibility`).  In
a spectrogram the pieces found first are whole bands and moments, in the wrong places: those are moved, then pairs
exchanged, until the speech is least surprising (:mod:`sotto.keyed.attacks.ciphertext_only.public_model`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import quadratic_assignment
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.moments import Moments
from sotto.keyed.attacks.ciphertext_only.plausibility import Judge
from sotto.keyed.attacks.ciphertext_only.public_model import PublicModel, Windows
from sotto.keyed.encryption.keys import Key, guessed_key

Order = npt.NDArray[np.intp]
"""order[i] is where number i of a plain block went."""

_FINALISTS = 3
_WAVEFORM_STARTS, _SPECTROGRAM_STARTS = 16, 6
_LONG, _LONG_STARTS = 32, 4  # numbers in a block beyond which plausibility, pair by pair, takes minutes and is left out


def shuffling_from_statistics(
    encrypted: Tensor, public: Tensor, block_size: int, dimension: int, *, seed: int = 0
) -> Key | None:
    """The key as the attacker guesses it from ``encrypted`` and any plain speech; None when he finds nothing moved."""
    generator = np.random.default_rng(seed)  # an attacker's coin tosses, not a key's
    search = _waveform_order if dimension == 1 else _spectrogram_order
    order = search(encrypted, public, block_size, generator)
    return guessed_key("shuffling", block_size, dimension, np.argsort(order))


def _waveform_order(encrypted: Tensor, public: Tensor, block_size: int, generator: np.random.Generator) -> Order:
    known, seen = Moments.of(public, block_size, 1), Moments.of(encrypted, block_size, 1)
    plain, shuffled = _fingerprints(known), _fingerprints(seen)
    judge = Judge(known, block_size, 1)

    def implausibility(order: Order) -> float:
        return float(judge.implausibility(seen.covariances[None, :, order][:, :, :, order]))

    attempts = range(_WAVEFORM_STARTS if block_size <= _LONG else _LONG_STARTS)
    starts = [_assigned(plain, shuffled, attempt, generator) for attempt in attempts]
    found = sorted((_exchanged(start, plain, shuffled) for start in starts), key=implausibility)
    if block_size > _LONG:
        return found[0]
    pairs = _pairs(block_size)
    return min((_rearranged(order, implausibility, pairs) for order in found[:_FINALISTS]), key=implausibility)


def _spectrogram_order(encrypted: Tensor, public: Tensor, block_size: int, generator: np.random.Generator) -> Order:
    plain, shuffled = (_fingerprints(Moments.of(speech, block_size, 2)) for speech in (public, encrypted))
    model, seen = PublicModel(Windows.of(public, block_size, 2)), Windows.of(encrypted, block_size, 2)

    def surprise(order: Order) -> float:
        return model.surprise_of_order(torch.from_numpy(order), seen)

    whole = _whole_lines(block_size)
    starts = [_assigned(plain, shuffled, attempt, generator) for attempt in range(_SPECTROGRAM_STARTS)]
    best = min((_rearranged(start, surprise, whole) for start in starts), key=surprise)
    return _rearranged(best, surprise, [*whole, *_pairs(block_size**2)])


def _fingerprints(moments: Moments) -> npt.NDArray[np.float64]:
    """Matrices (k, N, N) that a shuffling permutes on both sides: correlations, and mean and spread on a diagonal."""
    spread = moments.covariances[0].diagonal().clamp(min=1e-30).sqrt()
    correlations = (moments.covariances / (spread[:, None] * spread)).numpy()
    return np.concatenate([correlations, np.diag((moments.mean / spread).numpy())[None], np.diag(spread.numpy())[None]])


def _assigned(
    plain: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], attempt: int, generator: np.random.Generator
) -> Order:
    """A first order.  Any mixture of the matrices is permuted alike, so each attempt looks at another one."""
    weights = np.ones(len(plain)) if attempt == 0 else generator.dirichlet(np.ones(len(plain)))
    one, other = np.tensordot(weights, plain, 1), np.tensordot(weights, seen, 1)
    options = {"maximize": True, "P0": "randomized" if attempt else "barycenter", "rng": generator}
    order: Order = quadratic_assignment(one, other, method="faq", options=options)["col_ind"]
    return order


def _exchanged(order: Order, plain: npt.NDArray[np.float64], seen: npt.NDArray[np.float64]) -> Order:
    """Exchange the two places that bring the matrices nearest to those of plain speech, until no two do."""
    gains = _gains(plain, seen[:, order][:, :, order])
    while gains.max() > 1e-12:
        i, j = np.unravel_index(int(gains.argmax()), gains.shape)
        order = _changed(order, [int(i), int(j)], [order[j], order[i]])
        gains = _gains(plain, seen[:, order][:, :, order])
    return order


def _gains(plain: npt.NDArray[np.float64], seen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much larger Σ plain seen, over matrices (k, N, N), gets by exchanging places i and j of ``seen``: (N, N).

    The squares in the distance stay as they are, so that it falls by twice as much.
    """
    across = sum(a.T @ b + a @ b.T for a, b in zip(plain, seen, strict=True))
    whole = across + across.T - across.diagonal()[:, None] - across.diagonal()
    a, b = plain, seen
    a_i, b_i = (m.diagonal(axis1=1, axis2=2)[:, :, None] for m in (a, b))
    a_j, b_j, a_t, b_t = a_i.transpose(0, 2, 1), b_i.transpose(0, 2, 1), a.transpose(0, 2, 1), b.transpose(0, 2, 1)
    # The sums over all places above count the places i and j themselves as if the others' columns met them alone.
    counted = (a_i - a) * (b - b_i) + (a_t - a_j) * (b_j - b_t) + (a_i - a_t) * (b_t - b_i) + (a - a_j) * (b_j - b)
    gained = (a_i - a_j) * (b_j - b_i) + (a - a_t) * (b_t - b)
    total: npt.NDArray[np.float64] = whole + (gained - counted).sum(0)
    return total


def _rearranged(order: Order, cost: Callable[[Order], float], moves: Sequence[Order]) -> Order:
    """Make any of the moves, each a rearrangement of all places, while that costs less."""
    least = cost(order)
    improved = True
    while improved:
        improved = False
        for move in moves:
            value = cost(order[move])
            if value < least - 1e-12:
                order, least, improved = order[move], value, True
    return order


def _pairs(length: int) -> list[Order]:
    """Two places exchanged."""
    return [_changed(np.arange(length), [i, j], [j, i]) for i in range(length) for j in range(i + 1, length)]


def _whole_lines(block_size: int) -> list[Order]:
    """Bands, or moments, exchanged, reversed or moved along as wholes; and bands taken for moments."""
    grid = np.arange(block_size**2).reshape(block_size, block_size)
    moves = [grid.T.ravel()]
    for i in range(block_size):
        for j in range(i + 1, block_size):
            lines, span = np.arange(block_size), np.arange(i, j + 1)
            changed = [_changed(lines, [i, j], [j, i])]
            if j > i + 1:
                changed += [_changed(lines, span, other) for other in (span[::-1], np.roll(span, 1), np.roll(span, -1))]
            moves += [np.take(grid, places, axis).ravel() for places in changed for axis in (0, 1)]
    return moves


def _changed(places: Order, at: Sequence[int] | Order, to: Sequence[int] | Order) -> Order:
    changed = places.copy()
    changed[at] = to
    return changed
