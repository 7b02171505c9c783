"""What the keys' own errors make of an answer: noise that is alike in every switching with the same key.

Switching keys multiplies the digits of a ciphertext modulo each prime q by the error e of a key and divides by the
special prime P.  SEAL does not centre the digits, so their mean q/2 gives, whatever the ciphertext, the error
``q / P e(ζ) / (1 - ζ)`` at the root ζ of a slot (:mod:`sotto.he.planning.noise` has its size).  A program that goes
step by step uses the same key again and again, and these errors then add up as the weights do, with their signs:
where neighbouring weights are alike, as trained ones are, to several times what independent errors would.

Here such errors are drawn for each key and carried along the program beside the values, exactly to first order.  They
are drawn without chance, so that a plan is the same every time: they are nobody's secret and go into no ciphertext.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.he.network.network import Floats
from sotto.he.network.program import Constant, Machine, UnitLayer, Value
from sotto.he.network.schedule import Schedule, phases
from sotto.he.planning.noise import SIGMA

_DRAWN = 4  # errors of each key; with each another one a quarter turn away, so that one source alone is exact


@dataclass(frozen=True, eq=False, repr=False)
class Erring:
    """Values (n, slots) and their errors (draws, n, slots), real or complex."""

    values: npt.NDArray[Any]
    errors: npt.NDArray[np.complex128]


class KeyErrors(Machine[Erring]):
    """For packed programs; those over units switch keys once in a layer."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule)
        n = schedule.modulus.ring_degree
        powers = np.array([pow(3, slot, 2 * n) for slot in range(n // 2)])  # slot j belongs to the root ζ^(3^j)
        size = SIGMA * np.sqrt(n)  # of e at a root
        self._profile = size / (1 - np.exp(1j * np.pi * powers / n))
        self._known: dict[tuple[Hashable, int], npt.NDArray[np.complex128]] = {}

    def encrypted(self, values: npt.NDArray[Any]) -> Erring:
        """Fresh encryptions of ``values`` (n, slots): no key was used."""
        return Erring(values, np.zeros((2 * _DRAWN, *values.shape), np.complex128))

    def _switched(self, x: Value[Erring], key: Hashable) -> npt.NDArray[np.complex128]:
        """The error (draws, 1, slots) of one switching."""
        if (key, x.level) not in self._known:
            shares = np.array(self.primes[: x.level]) / self.primes[-1]
            drawn = sum(share * self._turned(f"{key}/{digit}") for digit, share in enumerate(shares))
            self._known[key, x.level] = (np.concatenate([drawn, 1j * drawn]) * self._profile)[:, None]
        return self._known[key, x.level] / x.scale

    def _turned(self, name: str) -> npt.NDArray[np.complex128]:
        """Numbers of size 1 (draws, slots) at angles that differ by name."""
        count = len(self._profile)
        angles = np.frombuffer(hashlib.shake_256(name.encode()).digest(_DRAWN * count), np.uint8)
        return np.exp(2j * np.pi / 256 * angles).reshape(_DRAWN, count)

    def _times(self, x: Value[Erring], constant: Constant) -> Erring:
        return Erring(x.payload.values * constant.value, x.payload.errors * constant.value)

    def _plus(self, x: Value[Erring], constant: Constant) -> Erring:
        return Erring(x.payload.values + constant.value, x.payload.errors)

    def _add(self, x: Value[Erring], y: Value[Erring], related: bool) -> Erring:
        return Erring(x.payload.values + y.payload.values, x.payload.errors + y.payload.errors)

    def _combine(self, x: Value[Erring], layer: UnitLayer) -> Erring:
        raise TypeError("a value for each unit has no slots that errors could be carried along")

    def _square(self, x: Value[Erring]) -> Erring:
        return Erring(x.payload.values**2, 2 * x.payload.values * x.payload.errors)

    def _multiply(self, x: Value[Erring], y: Value[Erring]) -> Erring:
        a, b = x.payload, y.payload
        return Erring(a.values * b.values, a.values * b.errors + b.values * a.errors)

    def _rotate(self, x: Value[Erring], step: int) -> Erring:
        values, errors = (np.roll(part, -step, axis=-1) for part in (x.payload.values, x.payload.errors))
        return Erring(values, errors + self._switched(x, step % values.shape[-1]))

    def _conjugate(self, x: Value[Erring]) -> Erring:
        return Erring(np.conj(x.payload.values), np.conj(x.payload.errors) + self._switched(x, "conjugation"))

    def _turn_phase(self, x: Value[Erring]) -> Erring:
        turn = phases(x.payload.values.shape[-1])
        return Erring(x.payload.values * turn, x.payload.errors * turn)

    def _relinearise(self, x: Value[Erring]) -> Erring:
        return Erring(x.payload.values, x.payload.errors + self._switched(x, "relinearisation"))

    def _rescale(self, x: Value[Erring], scale: float) -> Erring:
        return x.payload

    def _drop(self, x: Value[Erring], level: int) -> Erring:
        return x.payload


def deviation(errors: npt.NDArray[np.complex128], period: int) -> Floats:
    """Of the noisiest real or imaginary part among the slots of a period, over draws and copies (n,)."""
    draws, n, slots = errors.shape
    copies = errors.reshape(draws, n, slots // period, period)
    parts = [np.square(part).mean(axis=(0, 2)).max(axis=1) for part in (copies.real, copies.imag)]
    return np.sqrt(np.maximum(*parts))
