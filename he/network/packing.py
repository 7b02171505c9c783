"""Where every number sits: matrix products over the slots of one ciphertext with few rotations.

A ciphertext has S = N/2 complex slots; it can be multiplied slot by slot with plaintext diagonals, rotated cyclically,
conjugated, added.  A product ``W x`` is a Horner scheme over diagonals, ``acc <- rotate(acc, h) + x * D_k``, and then
rotate-and-sum over powers of two.  Every rotation switches keys, which is nearly all of the time, so layouts are chosen
for few of them (slots, widths and counts below are rounded up to powers of two):

* ``first``: Alice lays her features out as the first layer wants them, two to a slot, ``x[2p] + i x[2p+1]``, pair by
  pair over blocks of m slots.  Output o of m comes out in every slot ``s = o mod m``: *replicated* with period m.
* ``spread``: from replicated with period n to m outputs, each gathered over a window of t = S/m slots.  Right in the
  first slot of each window (*sparse*), garbage behind it: sums over two windows' weights, never read.
* ``collect``: from sparse to m <= t outputs, the weights of the garbage zero.  Replicated with period t.
* ``diagonal``: from replicated to replicated, the plain diagonal method; many rotations where layers are wide.

The last layer is never ``spread``: Alice decrypts every slot of the answer, and partial sums would tell her about
weights.  Its outputs go two to a slot, the real and the imaginary part, and at least half of each period stays empty:
overflow shows there (:mod:`sotto.he.planning.overflow`).  88-100-50-2 takes 7 + 7 + 6 rotations.

(The diagonal method: Halevi and Shoup, "Algorithms in HElib", CRYPTO 2014; mixing it with rotate-and-sum: Juvekar,
Vaikuntanathan, Chandrakasan, "GAZELLE", USENIX Security 2018.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import Circuit
from sotto.he.network.network import Floats, ModelRefused

Plain = npt.NDArray[Any]  # float64 or complex128, one value per slot
Kind = Literal["first", "spread", "collect", "diagonal"]


@dataclass(frozen=True, eq=False, repr=False)
class PackedLayer:
    """One affine map over slots.

    ``diagonals``: Horner coefficients (S,), None where all zero.  ``horner``: rotation between them.  ``sums``:
    rotations of the rotate-and-sum.  ``conjugate``: the conjugate is added at the end.  ``bias`` (S,).
    """

    kind: Kind
    diagonals: tuple[Plain | None, ...]
    horner: int
    sums: tuple[int, ...]
    conjugate: bool
    bias: Plain

    @property
    def rotations(self) -> int:
        """Key switchings, the conjugation included."""
        first = max(k for k, diagonal in enumerate(self.diagonals) if diagonal is not None)
        return first + len(self.sums) + self.conjugate


@dataclass(frozen=True)
class InputLayout:
    """How Alice lays features out: pair p of ``pairs`` (a power of two) in the slots that :meth:`pair_of_slot` says.

    ``block``: slots of one block.  ``interleaved``: pairs that alternate within a block.
    """

    block: int
    interleaved: int
    pairs: int

    def pair_of_slot(self, slots: int) -> npt.NDArray[np.int64]:
        """The pair each slot holds (slots,)."""
        slot = np.arange(slots)
        blocks = self.pairs // self.interleaved
        return (slot // self.block) % blocks * self.interleaved + slot % self.block % self.interleaved

    def lay_out(self, vector: Floats, slots: int) -> npt.NDArray[np.complex128]:
        """Slot values (slots,) for one feature vector (inputs,)."""
        padded = np.zeros(2 * self.pairs)
        padded[: len(vector)] = vector
        return (padded[0::2] + 1j * padded[1::2])[self.pair_of_slot(slots)]


@dataclass(frozen=True, eq=False, repr=False)
class Packing:
    """A whole network over slots.

    ``period``: the answer repeats every so many slots.  ``paired``: its slot o holds logits 2o and 2o + 1 as real and
    imaginary part; otherwise logit o.
    """

    layers: tuple[PackedLayer, ...]
    layout: InputLayout
    period: int
    paired: bool
    slots: int

    @property
    def steps(self) -> tuple[int, ...]:
        """The rotations used, each of which needs a key; 0 stands for conjugation."""
        found: set[int] = set()
        for layer in self.layers:
            found.update(layer.sums)
            if layer.rotations - len(layer.sums) - layer.conjugate:
                found.add(layer.horner)
            if layer.conjugate:
                found.add(0)
        return tuple(sorted(found))

    @property
    def rotations(self) -> int:
        return sum(layer.rotations for layer in self.layers)


@dataclass(frozen=True)
class _Replicated:
    period: int


@dataclass(frozen=True)
class _Sparse:
    stride: int
    count: int


_Layout = _Replicated | _Sparse


def pack(circuit: Circuit, slots: int) -> Packing:
    """The packing of ``circuit`` with the fewest rotations.

    Raises
    ------
    ModelRefused
        a layer is wider than a ciphertext, or all its weights are zero.
    """
    widths = [circuit.weights[0].shape[0], *(weight.shape[1] for weight in circuit.weights)]
    if max(_power(width) for width in widths) > slots:
        raise ModelRefused("too-wide", f"its widest layer has {max(widths)} units, a ciphertext has {slots} slots")
    if not all(weight.any() for weight in circuit.weights):
        raise ModelRefused("zero-layer", "the model has a layer whose weights are all zero: train it again")
    paired = len(circuit.weights) > 1
    first, layout = _first(circuit.weights[0], circuit.biases[0], slots)
    choices: list[tuple[list[PackedLayer], _Layout]] = [([first], _Replicated(layout.block))]
    for index in range(1, len(circuit.weights)):
        weight: Plain = circuit.weights[index]
        bias: Plain = circuit.biases[index]
        last = index == len(circuit.weights) - 1
        if last:
            weight, bias = _pairs(weight), _pairs(bias[None])[0]
        choices = [
            ([*layers, layer], after)
            for layers, before in choices
            for layer, after in _ways(weight, bias, before, slots, last)
        ]
    layers, found = min(choices, key=lambda choice: sum(layer.rotations for layer in choice[0]))
    period = found.period if isinstance(found, _Replicated) else slots
    return Packing(tuple(layers), layout, period, paired, slots)


def _ways(weight: Plain, bias: Plain, before: _Layout, slots: int, last: bool) -> list[tuple[PackedLayer, _Layout]]:
    if isinstance(before, _Sparse):
        return [_collect(weight, bias, before, slots)] if weight.shape[1] * (2 if last else 1) <= before.stride else []
    ways = [_diagonal(weight, bias, before, slots, last)]
    if not last:
        ways.append(_spread(weight, bias, before, slots))
    return ways


def _first(weight: Floats, bias: Floats, slots: int) -> tuple[PackedLayer, InputLayout]:
    inputs, outputs = weight.shape
    m, pairs = _power(outputs), _power((inputs + 1) // 2)
    interleaved = max(1, pairs * m // slots)
    layout = InputLayout(m, interleaved, pairs)
    padded = np.zeros((2 * pairs, m))
    padded[:inputs, :outputs] = weight
    both = (padded[0::2] - 1j * padded[1::2]) / 2  # x * both + its conjugate is the inner product
    pair, slot = layout.pair_of_slot(slots), np.arange(slots)
    diagonals = [both[pair, (slot - k) % m] for k in range(interleaved)]
    sums = _doublings(m, pairs // interleaved)
    layer = PackedLayer("first", _nonzero(diagonals), 1, sums, True, _tiled(bias, m, slots))
    return layer, layout


def _spread(weight: Plain, bias: Plain, before: _Replicated, slots: int) -> tuple[PackedLayer, _Layout]:
    n, m = before.period, _power(weight.shape[1])
    t = min(n, slots // m)
    padded = _padded(weight, n, m)
    slot = np.arange(slots)
    window = slot // t
    diagonals = [padded[slot % n, (window - k) % (slots // t) % m] for k in range(n // t)]
    placed = np.zeros(slots, bias.dtype)
    placed[::t] = _tiled(bias, m, slots // t)
    return PackedLayer("spread", _nonzero(diagonals), t, _doublings(1, t), False, placed), _Sparse(t, m)


def _collect(weight: Plain, bias: Plain, before: _Sparse, slots: int) -> tuple[PackedLayer, _Layout]:
    t, n = before.stride, before.count
    padded = _padded(weight, n, weight.shape[1])
    diagonals = []
    for output in range(weight.shape[1]):
        diagonal = np.zeros(slots, weight.dtype)
        diagonal[::t] = padded[np.arange(slots // t) % n, output]
        diagonals.append(diagonal)
    # Turning right by one slot is turning left by all but one.
    layer = PackedLayer("collect", _nonzero(diagonals), slots - 1, _doublings(t, n), False, _tiled(bias, t, slots))
    return layer, _Replicated(t)


def _diagonal(weight: Plain, bias: Plain, before: _Replicated, slots: int, last: bool) -> tuple[PackedLayer, _Layout]:
    n, m = before.period, _power(weight.shape[1]) * (2 if last else 1)
    padded = _padded(weight, n, m)
    slot = np.arange(slots)
    diagonals = [padded[slot % n, (slot - k) % m] for k in range(min(n, m))]
    sums = _doublings(m, max(1, n // m))
    return PackedLayer("diagonal", _nonzero(diagonals), 1, sums, False, _tiled(bias, m, slots)), _Replicated(m)


def _pairs(weight: Floats) -> npt.NDArray[np.complex128]:
    """Columns two by two as one complex column."""
    even = weight if weight.shape[1] % 2 == 0 else np.pad(weight, ((0, 0), (0, 1)))
    return even[:, 0::2] + 1j * even[:, 1::2]


def _padded(weight: Plain, rows: int, columns: int) -> Plain:
    padded = np.zeros((rows, columns), weight.dtype)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    return padded


def _tiled(bias: Plain, period: int, slots: int) -> Plain:
    padded = np.zeros(period, bias.dtype)
    padded[: len(bias)] = bias
    return np.tile(padded, slots // period)


def _nonzero(diagonals: list[Plain]) -> tuple[Plain | None, ...]:
    """None for a diagonal of zeros: SEAL refuses the product with one as a transparent ciphertext."""
    return tuple(diagonal if diagonal.any() else None for diagonal in diagonals)


def _doublings(step: int, count: int) -> tuple[int, ...]:
    """``step, 2 step, 4 step, ...``: the rotations that sum ``count`` (a power of two) values ``step`` apart."""
    return tuple(step << k for k in range(count.bit_length() - 1))


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
