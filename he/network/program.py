"""The operations of a packed or batched evaluation in their order, over any :class:`Machine`.

The same program runs over ciphertexts (:mod:`sotto.he.evaluation.ciphertexts`), over worst-case intervals
(:mod:`sotto.he.planning.intervals`), over values with the variance of their noise (:mod:`sotto.he.planning.slot_noise`)
and over nothing but scales, so that bounds and estimates are of exactly what is computed.  A value carries its scale
and its level, the number of primes left; adding keeps scales equal by the choice of the constants' scales, so that
nothing is lost to mismatched primes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy.typing as npt

from sotto.he.network.circuit import Activation, Circuit
from sotto.he.network.network import Floats
from sotto.he.network.packing import PackedLayer, Packing
from sotto.he.network.schedule import Schedule
from sotto.link import BadValue, WrongState

P = TypeVar("P")


@dataclass(frozen=True, eq=False)
class Value(Generic[P]):
    """A payload, the scale it is encoded at, and how many primes its modulus has."""

    payload: P
    scale: float
    level: int


@dataclass(frozen=True, eq=False, repr=False)
class Constant:
    """Something of Bob's to multiply by or to add: one number, or one per slot.

    ``name`` tells constants of one program apart, so that each is encoded once.
    """

    name: Hashable
    value: float | npt.NDArray[Any]
    scale: float


class Machine(ABC, Generic[P]):
    """Arithmetic on payloads; this class keeps scales and levels, subclasses do the work."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.primes = schedule.modulus.primes

    def fresh(self, payload: P) -> Value[P]:
        """An encryption by Alice."""
        return self._met(Value(payload, 2.0**self.schedule.input_bits, self.schedule.modulus.top))

    def times(self, x: Value[P], constant: Constant) -> Value[P]:
        return self._met(Value(self._times(x, constant), x.scale * constant.scale, x.level))

    def plus(self, x: Value[P], constant: Constant) -> Value[P]:
        return self._met(Value(self._plus(x, constant), x.scale, x.level))

    def add(self, x: Value[P], y: Value[P], *, related: bool = False) -> Value[P]:
        """The sum; ``related`` says that the noise of one comes from the other's."""
        if x.level != y.level or not math.isclose(x.scale, y.scale, rel_tol=1e-9):
            raise WrongState("scales-differ", "the program adds values of different scales")
        return self._met(Value(self._add(x, y, related), x.scale, x.level))

    def combine(self, x: Value[P], layer: UnitLayer) -> Value[P]:
        return self._met(Value(self._combine(x, layer), x.scale * layer.scale, x.level))

    def square(self, x: Value[P]) -> Value[P]:
        return self._met(Value(self._square(x), x.scale**2, x.level))

    def multiply(self, x: Value[P], y: Value[P]) -> Value[P]:
        return self._met(Value(self._multiply(x, y), x.scale * y.scale, x.level))

    def rotate(self, x: Value[P], step: int) -> Value[P]:
        return Value(self._rotate(x, step), x.scale, x.level)

    def conjugate(self, x: Value[P]) -> Value[P]:
        return Value(self._conjugate(x), x.scale, x.level)

    def turn_phase(self, x: Value[P]) -> Value[P]:
        """``x`` times i in even slots and times -i in odd ones: a monomial, so exact and free of scale."""
        return Value(self._turn_phase(x), x.scale, x.level)

    def relinearise(self, x: Value[P]) -> Value[P]:
        return Value(self._relinearise(x), x.scale, x.level)

    def rescale(self, x: Value[P], count: int) -> Value[P]:
        for _ in range(count):
            scale = x.scale / self.primes[x.level - 1]
            x = Value(self._rescale(x, scale), scale, x.level - 1)
        return self._met(x)

    def drop(self, x: Value[P], level: int) -> Value[P]:
        """The same value modulo fewer primes."""
        return x if x.level == level else Value(self._drop(x, level), x.scale, level)

    def _met(self, x: Value[P]) -> Value[P]:
        """Called with every new value; for machines that watch magnitudes."""
        return x

    @abstractmethod
    def _times(self, x: Value[P], constant: Constant) -> P: ...

    @abstractmethod
    def _plus(self, x: Value[P], constant: Constant) -> P: ...

    @abstractmethod
    def _add(self, x: Value[P], y: Value[P], related: bool) -> P: ...

    @abstractmethod
    def _combine(self, x: Value[P], layer: UnitLayer) -> P: ...

    @abstractmethod
    def _square(self, x: Value[P]) -> P: ...

    @abstractmethod
    def _multiply(self, x: Value[P], y: Value[P]) -> P: ...

    @abstractmethod
    def _rotate(self, x: Value[P], step: int) -> P: ...

    @abstractmethod
    def _conjugate(self, x: Value[P]) -> P: ...

    @abstractmethod
    def _turn_phase(self, x: Value[P]) -> P: ...

    @abstractmethod
    def _relinearise(self, x: Value[P]) -> P: ...

    @abstractmethod
    def _rescale(self, x: Value[P], scale: float) -> P: ...

    @abstractmethod
    def _drop(self, x: Value[P], level: int) -> P: ...


class Affine(Protocol):
    """A layer of a program."""

    def apply(self, machine: Machine[P], x: Value[P]) -> Value[P]: ...


@dataclass(frozen=True, eq=False, repr=False)
class SlotLayer:
    """A packed layer; ``index`` names its constants, ``scale`` is that of its weights."""

    index: int
    packed: PackedLayer
    scale: float

    def apply(self, machine: Machine[P], x: Value[P]) -> Value[P]:
        """Horner over the diagonals, rotate-and-sum, the conjugate, the bias."""
        total: Value[P] | None = None
        for k in reversed(range(len(self.packed.diagonals))):
            diagonal = self.packed.diagonals[k]
            if total is not None:
                total = machine.rotate(total, self.packed.horner)
            if diagonal is not None:
                product = machine.times(x, Constant((self.index, k), diagonal, self.scale))
                total = product if total is None else machine.add(total, product)
        if total is None:
            raise BadValue("not-zero", "a packed layer has a diagonal that is not zero")
        for step in self.packed.sums:
            total = machine.add(total, machine.rotate(total, step))
        if self.packed.conjugate:
            total = machine.add(total, machine.conjugate(total), related=True)
        return machine.plus(total, Constant((self.index, "bias"), self.packed.bias, total.scale))


@dataclass(frozen=True, eq=False, repr=False)
class UnitLayer:
    """An affine layer over one value per unit: ``weights`` (inputs, outputs), ``biases`` (outputs,)."""

    index: int
    weights: Floats
    biases: Floats
    scale: float

    def apply(self, machine: Machine[P], x: Value[P]) -> Value[P]:
        """Weighted sums, one for each output."""
        return machine.combine(x, self)


def packed_layers(packing: Packing, schedule: Schedule) -> tuple[SlotLayer, ...]:
    """The layers of a packed program."""
    pairs = zip(packing.layers, schedule.weight_bits, strict=True)
    return tuple(SlotLayer(index, layer, 2.0**bits) for index, (layer, bits) in enumerate(pairs))


def batched_layers(circuit: Circuit, schedule: Schedule) -> tuple[UnitLayer, ...]:
    """The layers of a batched program."""
    triples = zip(circuit.weights, circuit.biases, schedule.weight_bits, strict=True)
    return tuple(UnitLayer(index, weight, bias, 2.0**bits) for index, (weight, bias, bits) in enumerate(triples))


def run(machine: Machine[P], layers: Sequence[Affine], activations: Sequence[Activation], payload: P) -> Value[P]:
    """The value of the last layer for Alice's input ``payload``."""
    x = machine.fresh(payload)
    counts = machine.schedule.rescales
    for index, activation in enumerate(activations):
        x = activate(machine, layers[index].apply(machine, x), activation, counts[index], index)
    return layers[-1].apply(machine, x)


def activate(machine: Machine[P], w: Value[P], activation: Activation, counts: Sequence[int], index: int) -> Value[P]:
    """The folded forms of :mod:`sotto.he.network.circuit`; terms are added before the rescaling they share."""
    square = machine.square(w)
    if activation.degree == 2:
        return _reduce(machine, square, counts[0])
    inner = _shifted(machine, _reduce(machine, square, counts[0]), activation.beta, (index, "beta"))
    if activation.degree == 4:
        result = machine.square(inner)
    else:
        cubic = _shifted(machine, machine.multiply(inner, machine.drop(w, inner.level)), activation.gamma, (index, "g"))
        result = machine.square(_reduce(machine, cubic, counts[1]))
        result = _plus_multiple(machine, result, inner, activation.quadratic, (index, "k"))
    result = _plus_multiple(machine, result, w, activation.linear, (index, "l"))
    return _reduce(machine, result, counts[-1])


def _reduce(machine: Machine[P], product: Value[P], count: int) -> Value[P]:
    """Back to two parts and a smaller scale."""
    if machine.schedule.late and count:
        return machine.relinearise(machine.rescale(product, count))
    return machine.rescale(machine.relinearise(product), count)


def _shifted(machine: Machine[P], x: Value[P], constant: float, name: Hashable) -> Value[P]:
    return machine.plus(x, Constant(name, constant, x.scale)) if constant else x


def _plus_multiple(machine: Machine[P], result: Value[P], x: Value[P], factor: float, name: Hashable) -> Value[P]:
    """``result + factor * x``, the factor encoded at the scale that makes the two fit."""
    if not factor:
        return result
    scale = result.scale / x.scale
    multiple = machine.times(machine.drop(x, result.level), Constant(name, factor, scale))
    return machine.add(result, multiple, related=True)


@dataclass(frozen=True)
class Point:
    """Where a program meets a value: its scale and level."""

    scale: float
    level: int


@dataclass
class Scales(Machine[None]):
    """Keeps only scales and levels: every point of a program in order, and where each constant is used."""

    schedule: Schedule
    points: list[Point] = field(default_factory=list)
    constants: dict[Hashable, tuple[Constant, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.schedule)

    def _met(self, x: Value[None]) -> Value[None]:
        self.points.append(Point(x.scale, x.level))
        return x

    def _times(self, x: Value[None], constant: Constant) -> None:
        self.constants[constant.name] = constant, x.level

    _plus = _times

    def _add(self, x: Value[None], y: Value[None], related: bool) -> None: ...
    def _combine(self, x: Value[None], layer: UnitLayer) -> None: ...
    def _square(self, x: Value[None]) -> None: ...
    def _multiply(self, x: Value[None], y: Value[None]) -> None: ...
    def _rotate(self, x: Value[None], step: int) -> None: ...
    def _conjugate(self, x: Value[None]) -> None: ...
    def _turn_phase(self, x: Value[None]) -> None: ...
    def _relinearise(self, x: Value[None]) -> None: ...
    def _rescale(self, x: Value[None], scale: float) -> None: ...
    def _drop(self, x: Value[None], level: int) -> None: ...
