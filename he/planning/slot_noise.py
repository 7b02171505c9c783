"""Values and the variance of their CKKS noise over slots or units: how precise a packed or batched program is.

Sources and formulas are those of :mod:`sotto.he.planning.noise`, per real slot in units of the encoded integer, here
with the exact primes and levels, and with three more: a symmetric fresh encryption has the noise of its error alone,
``sqrt(N/2) 3.2``; rescaling a ciphertext of three parts rounds against the square of the secret as well,
``sqrt(N/12) 2N/3`` on average; dividing the special prime away after a key switching rounds like a rescaling.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sotto.he.network.network import Floats
from sotto.he.network.program import Constant, Machine, UnitLayer, Value
from sotto.he.network.schedule import Schedule, phases
from sotto.he.planning.noise import SIGMA

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class NoisyUnits:
    """Values (n, units) real or complex, variance of a real part's error (broadcasts to it), ciphertext parts."""

    values: npt.NDArray[Any]
    variance: Floats
    parts: int = 2


class SlotNoise(Machine[NoisyUnits]):
    """``peaks`` as in :class:`sotto.he.planning.intervals.Intervals`, for the vectors at hand.

    ``memory``: what no schedule changes, the values above all, from other runs of the same program on the same vectors;
    the first run fills it.
    """

    def __init__(self, schedule: Schedule, *, by_unit: bool, memory: list[Any] | None = None) -> None:
        super().__init__(schedule)
        self._memory, self._place = memory, 0
        self._switchings: dict[tuple[int, float], Floats] = {}
        n = schedule.modulus.ring_degree
        self.peaks: list[float] = []
        self._by_unit = by_unit
        self._encoding = n / 2 / 12
        # |s|² of the secret at a slot is exponentially distributed about 2N/3.  A packed program mixes slots; where a
        # slot is a query, the worst of them counts, and where rounding meets s², the fourth moment or the worst again.
        square, fourth = 2 * n / 3, 2 * (2 * n / 3) ** 2
        if by_unit:
            square *= math.log(n / 2)
            fourth = square**2
        self._rounding = n / 24 * (1 + square)
        self._rounding_of_three = self._rounding + n / 24 * fourth
        self._by_slot = _mean_profile(n, by_unit)

    def encrypted(self, values: npt.NDArray[Any]) -> NoisyUnits:
        """Fresh encryptions of ``values`` (n, units)."""
        fresh = self.schedule.modulus.ring_degree / 2 * (SIGMA**2 + 1 / 12) / 4.0**self.schedule.input_bits
        return NoisyUnits(values, np.full(values.shape[1], fresh))

    def _met(self, x: Value[NoisyUnits]) -> Value[NoisyUnits]:
        self.peaks.append(self._known(lambda: self._largest(np.abs(x.payload.values))))
        return x

    def _largest(self, magnitude: Floats) -> float:
        return float(magnitude.max() if self._by_unit else magnitude.mean(axis=1).max())

    def _known(self, compute: Callable[[], T]) -> T:
        """What ``compute`` gives, or gave at this place of the program."""
        if self._memory is None:
            return compute()
        if self._place == len(self._memory):
            self._memory.append(compute())
        self._place += 1
        found: T = self._memory[self._place - 1]
        return found

    def _times(self, x: Value[NoisyUnits], constant: Constant) -> NoisyUnits:
        v, factor = x.payload, constant.value
        rounding = (1 / 12 if np.ndim(factor) == 0 else self._encoding) / constant.scale**2
        gain, power, values = self._known(lambda: (np.abs(factor) ** 2, np.abs(v.values) ** 2, v.values * factor))
        return NoisyUnits(values, v.variance * gain + power * rounding, v.parts)

    def _plus(self, x: Value[NoisyUnits], constant: Constant) -> NoisyUnits:
        v = x.payload
        return NoisyUnits(self._known(lambda: v.values + constant.value), v.variance, v.parts)

    def _add(self, x: Value[NoisyUnits], y: Value[NoisyUnits], related: bool) -> NoisyUnits:
        a, b = x.payload, y.payload
        variance = a.variance + b.variance
        if related:
            variance = variance + 2 * np.sqrt(a.variance * b.variance)
        return NoisyUnits(self._known(lambda: a.values + b.values), variance, max(a.parts, b.parts))

    def _combine(self, x: Value[NoisyUnits], layer: UnitLayer) -> NoisyUnits:
        v = x.payload
        rounding = (v.values**2).sum(axis=1, keepdims=True) / 12 / layer.scale**2
        return NoisyUnits(v.values @ layer.weights + layer.biases, v.variance @ layer.weights**2 + rounding)

    def _square(self, x: Value[NoisyUnits]) -> NoisyUnits:
        v = x.payload
        values, gain = self._known(lambda: (v.values**2, 4 * np.abs(v.values) ** 2))
        return NoisyUnits(values, gain * v.variance + 2 * v.variance**2, 3)

    def _multiply(self, x: Value[NoisyUnits], y: Value[NoisyUnits]) -> NoisyUnits:
        a, b = x.payload, y.payload  # in an activation one comes from the other: their errors add up in full
        one, other, values = self._known(lambda: (np.abs(a.values), np.abs(b.values), a.values * b.values))
        return NoisyUnits(values, (one * np.sqrt(b.variance) + other * np.sqrt(a.variance)) ** 2, 3)

    def _rotate(self, x: Value[NoisyUnits], step: int) -> NoisyUnits:
        v = x.payload
        turned = np.roll(v.variance, -step, axis=-1) + self._switched(x)
        return NoisyUnits(self._known(lambda: np.roll(v.values, -step, axis=-1)), turned)

    def _conjugate(self, x: Value[NoisyUnits]) -> NoisyUnits:
        v = x.payload
        return NoisyUnits(self._known(lambda: np.conj(v.values)), v.variance + self._switched(x))

    def _turn_phase(self, x: Value[NoisyUnits]) -> NoisyUnits:
        v = x.payload
        return NoisyUnits(v.values * phases(v.values.shape[-1]), v.variance, v.parts)

    def _relinearise(self, x: Value[NoisyUnits]) -> NoisyUnits:
        return NoisyUnits(x.payload.values, x.payload.variance + self._switched(x))

    def _rescale(self, x: Value[NoisyUnits], scale: float) -> NoisyUnits:
        v = x.payload
        rounding = self._rounding if v.parts == 2 else self._rounding_of_three
        return NoisyUnits(v.values, v.variance + rounding / scale**2, v.parts)

    def _drop(self, x: Value[NoisyUnits], level: int) -> NoisyUnits:
        return x.payload

    def _switched(self, x: Value[NoisyUnits]) -> Floats:
        """Variance that one key switching adds."""
        if (x.level, x.scale) not in self._switchings:
            self._switchings[x.level, x.scale] = self._switching(x.level, x.scale)
        return self._switchings[x.level, x.scale]

    def _switching(self, level: int, scale: float) -> Floats:
        n, special = self.schedule.modulus.ring_degree, self.primes[-1]
        digits = sum((prime / special) ** 2 for prime in self.primes[:level])
        unit = n / 2 * SIGMA**2 * digits
        return np.asarray((unit * n / 12 + unit * self._by_slot + self._rounding) / scale**2)


@functools.cache
def _mean_profile(n: int, by_unit: bool) -> Floats:
    """What the uncentred digits put on each slot (slots,); where slots are queries, on the worst one."""
    powers = [pow(3, slot, 2 * n) for slot in range(n // 2)]
    profile = 1 / 4 / np.sin(np.pi * np.array(powers) / (2 * n)) ** 2
    return np.array([profile.max()]) if by_unit else profile
