"""The steps that each party does by itself: public linear maps of shares, the same for every kind of share.

A share is a uint64 array (n, *shape), or an object of the same interface that holds several such arrays (see
:mod:`sotto.mpc.sharing.authenticated`): it can be added, subtracted, multiplied by a whole number, summed over axes
with ``sum``, and rearranged with ``rearranged``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.link import BadType
from sotto.mpc.graph import layers
from sotto.mpc.graph.program import (
    WORD_BITS,
    Differences,
    Local,
    Pairs,
    Ranked,
    Step,
    Windows,
    Winners,
    adaptive_divisor,
    adaptive_windows,
    pairs,
)

_Rearrange = Callable[..., npt.NDArray[np.uint64]]


def apply(step: Step, sources: Sequence[Any]) -> Any:
    """The share of ``step``'s output from the shares of its sources.  Public constants are :func:`constant`'s."""
    first = sources[0]
    match step:
        case Windows():
            return _candidates(step, first)
        case Differences():
            half = step.shape[0]
            lower = rearranged(lambda x: x[:, half : 2 * half], first)
            return rearranged(lambda x: x[:, :half], first) - lower
        case Pairs():
            left, right = zip(*pairs(first.shape[1]), strict=True)
            return rearranged(lambda x: x[:, list(left)], first) - rearranged(lambda x: x[:, list(right)], first)
        case Winners():
            return _winners(first, sources[1])
        case Ranked():
            return first * (1 << step.bits)
        case Local():
            return _layer(step, sources)
    raise BadType("not-local", f"{type(step).__name__} is no local step")


def constant(step: Step) -> npt.NDArray[np.uint64] | None:
    """What the step adds to its output, to be added by one party alone; broadcasts over (n, *shape)."""
    if isinstance(step, Ranked):
        return np.arange(step.shape[0], dtype=np.uint64)[::-1]
    return None


def rearranged(change: _Rearrange, *shares: Any) -> Any:
    """``change``, which moves elements without arithmetic, applied to shares of any kind."""
    first = shares[0]
    return change(*shares) if isinstance(first, np.ndarray) else first.rearranged(change, *shares[1:])


def _layer(step: Local, sources: Sequence[Any]) -> Any:
    layer, first = step.layer, sources[0]
    match layer:
        case layers.Reshape():
            return rearranged(lambda x: x.reshape(len(x), *layer.shape), first)
        case layers.Mean():
            return first.sum(axis=tuple(axis + 1 for axis in layer.axes), keepdims=layer.keep)
        case layers.AveragePool():
            windows = rearranged(lambda x: _slide(x, layer), first)
            count = len(layer.kernel)
            return windows.sum(axis=tuple(range(2 + count, 2 + 2 * count)), keepdims=False)
        case layers.AdaptiveAveragePool():
            return _adaptive(layer, first)
        case layers.Add():
            left, right = _scaled(step, sources)
            return left + right
        case layers.Concat():
            return rearranged(lambda *xs: np.concatenate(xs, axis=layer.axis + 1), *_scaled(step, sources))
        case layers.Strided():
            places = layer.places()
            return rearranged(lambda x: x.reshape(len(x), -1)[:, places], first)
        case layers.Take():
            return rearranged(lambda x: _taken(x, layer), first)
        case layers.Total():
            return first.sum(axis=tuple(axis + 1 for axis in layer.axes), keepdims=False)
        case layers.Times():
            return first * np.uint64(layer.factor % (1 << WORD_BITS))
        case layers.WindowMeans():
            whole = math.lcm(*(divisor for _, _, divisor in layer.windows))
            axis = layer.axis + 1
            parts = [_window_sum(first, axis, a, b) * (whole // divisor) for a, b, divisor in layer.windows]
            return rearranged(lambda *xs: np.concatenate(xs, axis=axis), *parts)
    raise BadType("not-local", f"{type(layer).__name__} is no local layer")


def _taken(x: npt.NDArray[np.uint64], layer: layers.Take) -> npt.NDArray[np.uint64]:
    places = np.array(layer.places)
    taken = np.take(x, np.maximum(places, 0), axis=layer.axis + 1)
    if (places < 0).any():
        taken[(slice(None),) * (layer.axis + 1) + (places < 0,)] = 0
    return taken


def _scaled(step: Local, sources: Sequence[Any]) -> list[Any]:
    pairs = zip(sources, step.factors, strict=True)
    return [source if factor == 1 else source * factor for source, factor in pairs]


def _slide(x: npt.NDArray[np.uint64], pool: layers.AveragePool | layers.MaxPool) -> npt.NDArray[np.uint64]:
    """Windows of ``x`` (n, C, *axes) as (n, C, *places, *kernel)."""
    if any(pool.padding):
        x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pool.padding)))
    view = np.lib.stride_tricks.sliding_window_view(x, pool.kernel, axis=tuple(range(2, x.ndim)))
    return view[(slice(None), slice(None), *(slice(None, None, s) for s in pool.stride))]


def _candidates(step: Windows, share: Any) -> Any:
    """(n, candidates, …): what competes for a maximum along the first axis of the example."""
    if step.pool is None:
        return rearranged(lambda x: x.reshape(len(x), *step.shape), share)
    pool = step.pool
    count = len(pool.kernel)
    order = (0, *range(2 + count, 2 + 2 * count), 1, *range(2, 2 + count))
    return rearranged(lambda x: _slide(x, pool).transpose(order).reshape(len(x), *step.shape), share)


def _winners(candidates: Any, larger: Any) -> Any:
    """Of each pair its second plus what the first has more, then the candidate without a partner."""
    pairs = larger.shape[1]
    lower = rearranged(lambda x: x[:, pairs : 2 * pairs], candidates)
    odd = rearranged(lambda x: x[:, 2 * pairs :], candidates)
    return rearranged(lambda won, rest: np.concatenate([won, rest], axis=1), lower + larger, odd)


def _adaptive(layer: layers.AdaptiveAveragePool, share: Any) -> Any:
    """Sums over windows of several lengths, each weighted so that all are the same multiple of their means."""
    axis_count = len(layer.size)
    for axis in range(axis_count):
        length = share.shape[2 + axis]
        windows = adaptive_windows(length, layer.size[axis])
        whole = adaptive_divisor(layers.AdaptiveAveragePool(0, (layer.size[axis],)), (1, length))
        parts = [_window_sum(share, 2 + axis, start, stop) * (whole // (stop - start)) for start, stop in windows]
        share = rearranged(lambda *xs, at=2 + axis: np.concatenate(xs, axis=at), *parts)
    return share


def _window_sum(share: Any, axis: int, start: int, stop: int) -> Any:
    index = (slice(None),) * axis + (slice(start, stop),)
    return rearranged(lambda x: x[index], share).sum(axis=axis, keepdims=True)
