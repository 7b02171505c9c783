"""What every slot of a ciphertext holds, in the clear: the exact twin of TenSEAL's vector arithmetic.

TenSEAL fills a ciphertext's slots with copies of the vector.  Its matrix product (the diagonal method) reads slot
``j + i`` for output ``j``, which is right while the copies go on and mixes units up where they meet the end.  The
mixed-up slots grow from the end with every layer and never reach the front, but their magnitude counts towards
overflow.  Where no worst-case bound fits, they are computed for calibration features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import Circuit, evaluate
from sotto.he.network.network import Floats
from sotto.he.planning.ranges import Peak


@dataclass(frozen=True, eq=False, repr=False)
class Filled:
    """Slot values (n, slots) and the levels consumed so far."""

    values: Floats
    consumed: int


@dataclass
class Slots:
    """Arithmetic on all the slots of ``n`` ciphertexts; ``peaks`` collects the largest mean magnitude."""

    circuit: Circuit
    peaks: list[Peak] = field(default_factory=list)

    def affine(self, x: Filled, layer: int) -> Filled:
        weight, bias = self.circuit.weights[layer], self.circuit.biases[layer]
        rows, columns = weight.shape
        slot = np.arange(x.values.shape[1])
        result = np.tile(bias, len(slot) // columns + 1)[: len(slot)] + np.zeros_like(x.values)
        for i in range(rows):
            result += np.roll(x.values, -i, axis=1) * weight[(slot + i) % rows, slot % columns]
        return self._met(Filled(result, x.consumed + 1))

    def square(self, x: Filled) -> Filled:
        return self._met(Filled(x.values * x.values, x.consumed + 1))

    def multiply(self, x: Filled, y: Filled) -> Filled:
        return self._met(Filled(x.values * y.values, max(x.consumed, y.consumed) + 1))

    def scale(self, x: Filled, factor: float) -> Filled:
        return self._met(Filled(x.values * factor, x.consumed + 1))

    def shift(self, x: Filled, constant: float) -> Filled:
        return self._met(Filled(x.values + constant, x.consumed))

    def add(self, x: Filled, y: Filled) -> Filled:
        return self._met(Filled(x.values + y.values, max(x.consumed, y.consumed)))

    def _met(self, x: Filled) -> Filled:
        mean = float(np.abs(x.values).mean(axis=1).max())
        self.peaks.append(Peak(mean, mean, self.circuit.levels - x.consumed))
        return x


def fill(vectors: npt.ArrayLike, slots: int) -> Floats:
    """Copies of each of ``vectors`` (n, width) over ``slots`` slots, as encryption lays them out."""
    values = np.asarray(vectors, np.float64)
    return np.tile(values, (1, slots // values.shape[1] + 1))[:, :slots]


def simulate(circuit: Circuit, features: npt.ArrayLike, slots: int) -> tuple[Floats, list[Peak]]:
    """All slots of the result (n, slots) for ``features`` (n, inputs), and the peaks on the way."""
    arithmetic = Slots(circuit)
    return evaluate(circuit, Filled(fill(features, slots), 0), arithmetic).values, arithmetic.peaks
