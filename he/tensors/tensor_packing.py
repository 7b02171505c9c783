"""Layouts for a whole network over tensors: a search for those that take the least time.

Stage by stage, every target that fits (:func:`_targets`) is tried with every way to make its sources complex, and the
cheapest few combinations are kept (a beam search).  Cost is the time of key switchings and plaintext products over as
many primes as are left at the stage.  One ciphertext holds one tensor, so the widest tensor decides what fits.

The last stage gives classes two by two as real and imaginary parts, repeated over all slots, at least half of each
period empty: Alice decrypts nothing else, and overflow shows there (:mod:`sotto.he.planning.overflow`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from sotto.he.network.network import Floats, ModelRefused
from sotto.he.tensors.slot_layout import InputGrid, Layout, Places, power, size, strided
from sotto.he.tensors.slot_product import Plain, SlotProduct, Target, baby_giant, distances, offsets, slot_product, walk
from sotto.he.tensors.tensor_network import FoldedStage, TensorCircuit

_BEAM = 4
_PRODUCT = (
    0.43  # a plaintext product over L primes takes so much of what a key switching over L primes does, times L + 1
)


@dataclass(frozen=True, eq=False, repr=False)
class PackedStage:
    """One affine map over slots: a product for each value it takes, then ``sums``, the conjugate, the bias (S,).

    ``centre`` (S,) is subtracted from the result of the activation that follows (:mod:`sotto.he.tensors.centring`).
    """

    products: Mapping[int, SlotProduct]
    sums: tuple[int, ...]
    conjugate: bool
    bias: Plain
    centre: Floats | None = None

    @property
    def rotations(self) -> tuple[int, ...]:
        """Every rotation done; 0 stands for conjugation."""
        found = [step for product in self.products.values() for step in product.rotations()]
        return (*found, *self.sums, *((0,) if self.conjugate else ()))

    @property
    def diagonals(self) -> int:
        return sum(len(babies) for product in self.products.values() for babies in product.diagonals.values())


@dataclass(frozen=True, eq=False, repr=False)
class TensorPacking:
    """``stages`` over ``slots``; ``period`` and ``paired`` as in :class:`sotto.he.network.packing.Packing`."""

    stages: tuple[PackedStage, ...]
    grid: InputGrid
    period: int
    paired: bool
    slots: int

    @property
    def steps(self) -> tuple[int, ...]:
        """The rotations used, each of which needs a key; 0 stands for conjugation."""
        return tuple(sorted({step % self.slots for stage in self.stages for step in stage.rotations}))

    @property
    def rotations(self) -> int:
        return sum(len(stage.rotations) for stage in self.stages)

    @property
    def diagonals(self) -> int:
        return sum(stage.diagonals for stage in self.stages)


@dataclass(frozen=True, eq=False)
class _State:
    """Layouts of the values so far, the choice at each stage, and what it costs."""

    grid: InputGrid
    layouts: tuple[Layout, ...]
    choices: tuple[tuple[Target, Mapping[int, int]], ...]
    cost: float


def pack_tensors(circuit: TensorCircuit, slots: int) -> TensorPacking:
    """The packing found for ``circuit``.

    Raises
    ------
    ModelRefused
        a tensor does not fit into a ciphertext; the message names it.
    """
    stages = [_Wanted(stage, last=stage is circuit.stages[-1]) for stage in circuit.stages]
    for shape in (stage.shape for stage in circuit.stages[:-1]):
        if size(shape) > slots:
            raise ModelRefused(
                "too-wide",
                f"a hidden tensor of {_named(shape)} = {size(shape)} values, a ciphertext holds {slots}"
                f"{_nearest(shape, slots)}",
            )
    paired = 0 not in circuit.stages[-1].weights
    beam = [_State(grid, (grid.layout(),), (), 0.0) for grid in _grids(circuit.shape, circuit.stages[0].shape, slots)]
    if not beam:
        raise ModelRefused(
            "too-wide", f"an input of {_named(circuit.shape)} values does not fit ciphertexts of {slots} slots"
        )
    for number, wanted in enumerate(stages):
        primes = len(stages) - number + 1
        found = [after for state in beam for after in _extended(state, wanted, paired, slots, primes)]
        if not found:
            raise ModelRefused(
                "no-layout", f"no layout of its tensor {_named(wanted.stage.shape)} fits a ciphertext of {slots} slots"
            )
        beam = _cheapest(found)
    return _built(beam[0], circuit, paired, slots)


class _Wanted:
    """A stage, and the matrices that its last form has."""

    def __init__(self, stage: FoldedStage, *, last: bool) -> None:
        self.stage, self.last = stage, last

    def matrices(self, paired: bool) -> Mapping[int, csr_array]:
        if not (self.last and paired):
            return self.stage.weights
        return {source: _pairs(matrix) for source, matrix in self.stage.weights.items()}


def _extended(state: _State, wanted: _Wanted, paired: bool, slots: int, primes: int) -> Iterator[_State]:
    matrices = wanted.matrices(paired)
    sources = {source: state.layouts[source] for source in matrices}
    widest = max(layout.period for layout in sources.values())
    known: dict[tuple[int, bytes], Places] = {}
    for target in _targets(wanted, sources, paired, slots):
        ways: dict[int, tuple[float, int]] = {}
        for source, layout in sources.items():
            key = source, target.layout.slots.tobytes()
            if key not in known:
                known[key] = distances(matrices[source], layout, target)
            real = not layout.complex and not (wanted.last and paired)
            pairs = {0, *_pairings(layout)} if real else {layout.overlap}
            ways[source] = min(_cost(known[key], layout, pair, target, widest, primes, real) for pair in pairs)
        switched = len(target.sums(widest)) + 1
        cost = state.cost + sum(cost for cost, _ in ways.values()) + switched * primes * (primes + 1)
        yield _State(
            state.grid,
            (*state.layouts, target.layout),
            (*state.choices, (target, {source: pair for source, (_, pair) in ways.items()})),
            cost,
        )


def _cost(
    known: Places, layout: Layout, pair: int, target: Target, widest: int, primes: int, real: bool
) -> tuple[float, int]:
    found = offsets(known, layout.period, pair, target, widest)
    steps = baby_giant(found, layout.period)
    own = 2 if pair and real else 0  # the rotation that pairs, and the conjugation
    rotations = len(walk(steps.babies)) + len(steps.giants) - (0 in steps.giants) + own
    return primes * ((primes + 1) * rotations + _PRODUCT * len(found)), pair


def _pairings(layout: Layout) -> set[int]:
    """Rotations that may make a source complex: half its period, or its spacing along an axis."""
    return {step for step in (layout.period // 2, *layout.strides) if 0 < step < layout.period}


def _cheapest(states: Iterable[_State]) -> list[_State]:
    kept: dict[tuple[bytes, int], _State] = {}
    for state in sorted(states, key=lambda state: state.cost):
        last = state.layouts[-1]
        kept.setdefault((last.slots.tobytes(), last.period), state)
        if len(kept) == _BEAM:
            break
    return list(kept.values())


def _built(state: _State, circuit: TensorCircuit, paired: bool, slots: int) -> TensorPacking:
    stages = []
    for number, stage in enumerate(circuit.stages):
        target, pairs = state.choices[number]
        complex_result = paired and number == len(circuit.stages) - 1
        matrices = _Wanted(stage, last=complex_result).matrices(paired)
        widest = max(state.layouts[source].period for source in matrices)
        conjugate = any(pairs[source] or state.layouts[source].complex for source in matrices) and not complex_result
        products = {}
        for source, matrix in matrices.items():
            layout = state.layouts[source]
            pair = 0 if layout.complex else pairs[source]
            products[source] = slot_product(
                matrix, layout, target, pair=pair, widest=widest, conjugated=conjugate, slots=slots
            )
        bias: Plain = _paired_bias(stage.bias) if complex_result else stage.bias
        stages.append(PackedStage(products, target.sums(widest), conjugate, _placed(bias, target.layout, slots)))
    return TensorPacking(tuple(stages), state.grid, state.layouts[-1].period, paired, slots)


def _grids(shape: tuple[int, ...], after: tuple[int, ...], slots: int) -> Iterator[InputGrid]:
    """Ways for Alice to lay out the input: channels in blocks, half an axis or neighbours as imaginary parts."""
    channels = shape[:1] if len(shape) >= len(after) else ()  # none: all of it is the position in one block
    positions = shape[len(channels) :]
    rank = len(shape)
    splits = [(-1, False)] + [(axis, inner) for axis in range(rank) for inner in (False, True) if shape[axis] > 1]
    for split, inner in splits:
        halved = [(n + 1) // 2 if axis == split else n for axis, n in enumerate(shape)]
        own = halved[len(channels) :]
        inside = [int(np.prod(own[k + 1 :], dtype=int)) for k in range(len(positions))]
        least = power(max(1, int(np.prod(own, dtype=int))))
        for block in (least, 2 * least):
            strides = (*((block,) if channels else ()), *inside)
            period = block * (power(halved[0]) if channels else 1)
            if period > slots or (rank == 1 and channels and block > 1):
                continue
            overlaps = {0} if split >= 0 else {0, period // 2, *(s for s in strides[-1:] if 0 < s < period)}
            yield from (InputGrid(shape, strides, split, inner, overlap, period) for overlap in overlaps)


def _targets(wanted: _Wanted, sources: Mapping[int, Layout], paired: bool, slots: int) -> Iterator[Target]:
    shape = wanted.stage.shape
    if wanted.last:
        count = (size(shape) + 1) // 2 if paired else size(shape)
        yield from _dense(count, 2 * power(count) if paired else power(count), slots, spread=False)
        return
    blocks = list(_blocks(shape, sources[max(sources)], slots))
    yield from blocks
    if not blocks:
        yield from _dense(size(shape), power(size(shape)), slots, spread=True)


def _dense(count: int, least: int, slots: int, *, spread: bool) -> Iterator[Target]:
    """One after the other, repeated every so many slots; or each at the head of a window of partial sums."""
    period = least
    while period <= slots:
        yield Target(Layout(np.arange(count), period, (1,), (1,)))
        period *= 2
    stride = 2
    while spread and least * stride <= slots:
        for period in {least * stride, slots}:
            yield Target(Layout(np.arange(count) * stride, period, (stride,), (stride,)), 1, stride)
        stride *= 2


def _blocks(shape: tuple[int, ...], source: Layout, slots: int) -> Iterator[Target]:
    """Channels in blocks, positions where the source has them, or on every second, and so on."""
    before = source.strides if len(source.strides) == len(shape) else (source.period, *source.strides)
    if len(before) != len(shape) or len(shape) < 2:
        return
    block, pitch = before[0], source.pitch[-len(shape) + 1 :]
    for ratios in itertools.product((1, 2, 3, 4), repeat=len(shape) - 1):
        strides = tuple(stride * ratio for stride, ratio in zip(before[1:], ratios, strict=True))
        position = strided(shape[1:], strides)
        if position[-1] >= block:
            continue
        room = [1 << ((stride // unit).bit_length() - 1) for stride, unit in zip(strides, pitch, strict=True)]
        for gaps, unit, count in _gaps(power(-(-shape[0] // (slots // block))), room, pitch):
            own = (position[:, None, None] + gaps[:, None] + np.arange(count) * unit).ravel()
            if own.max() >= block or len(np.unique(own)) < len(own):
                continue  # two positions meet, or one leaves the block
            blocks = power(-(-shape[0] // len(gaps)))
            channel = np.arange(shape[0])
            head = channel % blocks * block + gaps[channel // blocks]
            places = (head[:, None] + position[None, :]).ravel()
            yield Target(Layout(places, blocks * block, (block, *strides), (block, *pitch)), unit, count)


def _gaps(groups: int, room: Sequence[int], pitch: Sequence[int]) -> Iterator[tuple[Places, int, int]]:
    """Where groups of channels go beside each position, and unit and count of partial sums beside those.

    ``room``: positions that are free along each axis, every ``pitch`` slots; powers of two like ``groups``.
    """
    for own in itertools.product(*([1 << k for k in range(free.bit_length())] for free in room)):
        if math.prod(own) != groups:
            continue
        yield strided(own, tuple(pitch)), 1, 1
        for axis, (mine, free, step) in enumerate(zip(own, room, pitch, strict=True)):
            count = free // mine
            spread = [*pitch]
            spread[axis] = step * count  # each group's sums in a row
            while count >= 1:
                if mine > 1:
                    yield strided(own, tuple(spread)), step, count
                if count > 1:
                    yield strided(own, tuple(pitch)), step * mine, count
                count //= 2


def _pairs(matrix: csr_array) -> csr_array:
    """Rows two by two as one complex row."""
    coo = coo_array(matrix)
    weights = coo.data * np.where(coo.row % 2, 1j, 1.0)
    return csr_array((weights, (coo.row // 2, coo.col)), shape=((matrix.shape[0] + 1) // 2, matrix.shape[1]))


def _placed(bias: Plain, layout: Layout, slots: int) -> Plain:
    one: npt.NDArray[Any] = np.zeros(layout.period, bias.dtype)
    one[layout.slots] = bias
    return np.tile(one, slots // layout.period)


def _paired_bias(bias: Floats) -> npt.NDArray[np.complex128]:
    even = bias if len(bias) % 2 == 0 else np.append(bias, 0.0)
    return np.asarray(even[0::2] + 1j * even[1::2], np.complex128)


def _named(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _nearest(shape: Sequence[int], slots: int) -> str:
    """How many channels of so many positions would fit."""
    positions = math.prod(shape[1:])
    return f": at most {slots // positions} channels of {_named(shape[1:])}" if 1 < positions <= slots else ""
