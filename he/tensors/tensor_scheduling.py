"""Choosing the ring, the primes and the scales for a network over tensors.

As in :mod:`sotto.he.planning.scheduling`: shapes of the chain by the time of their key switchings, bounds proved or
calibrated, precision estimated on the program itself.  Here a stage's input is rotated before weights are multiplied
in, so that keys are switched at its small scale.  Scales are derived backwards from the answer, each stage's divided
between its input and its weights so that the noise of both counts about the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import DEPTH
from sotto.he.network.network import Floats, ModelRefused
from sotto.he.network.parameters import MAX_CHAIN_BITS, MAX_PRIME_BITS, ParametersRefused
from sotto.he.network.program import Machine, P, Scales, Value
from sotto.he.network.schedule import Modulus, Schedule
from sotto.he.planning.calibration import MARGIN, MAX_LOGIT_ERROR, Precision, calibration_features
from sotto.he.planning.flooding import required_precision
from sotto.he.planning.intervals import Box, Intervals
from sotto.he.planning.key_errors import KeyErrors, deviation
from sotto.he.planning.noise import DEVIATIONS, LARGE_LOGIT
from sotto.he.planning.scheduling import MAX_HIDDEN_LAYERS, SIGN_AND_NOISE, Peaks, holds, refined
from sotto.he.planning.slot_noise import SlotNoise
from sotto.he.tensors.centring import centred
from sotto.he.tensors.tensor_network import TensorCircuit, TensorNetwork, fold
from sotto.he.tensors.tensor_packing import TensorPacking, pack_tensors
from sotto.he.tensors.tensor_program import run_tensors, tensor_layers

_CALIBRATION = 16  # vectors with the largest logits, and as many with the largest values on the way
_SIMULATED = 2  # of them in the search; a schedule is accepted on all
_KEYS = 2.0  # times the noise with the keys' own errors may be the noise without, until that is worked out
_TRIED = 3  # schedules of one shape whose noise is estimated
_WORTH_CHECKING = 1.4  # times the error accepted: the keys' own errors may be smaller than taken for granted
_WORTH_REFINING = 8.0  # times the error accepted
_STAYING_BITS = (60, 56, 52, 48, 44, 40, 36)
_GOING_BITS = range(60, 27, -2)
_MORE_BITS = (0, 8, 16, 24)  # what goes after an earlier product counts twice in the result's scale: it may be larger
_SMALL_BITS = range(34, 23, -2)  # of the primes of an activation that rescales before its first product
_BEFORE_BITS = (20, 23)
_LEAST_SPECIAL_BITS = 28
_SPECIAL_ABOVE = 4  # bits above the others: what a key's own error adds in every switching, always alike, shrinks so
_MOST_BITS_OF_WEIGHTS = (44, 36, 32, 28, 26, 24, 22, 20)  # the rest is the value's, whose square leaves others more
_LEAST_BITS_OF_WEIGHTS = 8
_LEAST_SCALE_BITS = 18
_LEANINGS = (4, 7, 10)  # bits that a value's scale has above its weights': rounding a ciphertext is the noisier


@dataclass(frozen=True, repr=False)
class TensorPlan(Precision):
    """A schedule for one network; the fields as in :class:`sotto.he.planning.scheduling.ScaledPlan`."""

    circuit: TensorCircuit
    packing: TensorPacking
    schedule: Schedule
    answer_scale: float
    proved: bool
    logit_bound: float
    logit_error: float | None

    def run(self, machine: Machine[P], payload: P) -> Value[P]:
        """The program on a machine."""
        layers = tensor_layers(self.packing, self.schedule)
        return run_tensors(machine, layers, self.circuit.activations, payload)


@dataclass(frozen=True)
class _Shape:
    """How many primes go before each activation and after each of its products, and how many stay."""

    before: tuple[int, ...]
    rescales: tuple[tuple[int, ...], ...]
    staying: int

    @property
    def top(self) -> int:
        return sum(self.before) + sum(map(sum, self.rescales)) + self.staying

    @property
    def least_bits(self) -> int:
        """Of its chain."""
        if not any(self.before):
            return 28 * self.top + _LEAST_SPECIAL_BITS
        return (
            _SMALL_BITS[-1] * (self.top - sum(self.before)) + _BEFORE_BITS[0] * sum(self.before) + _LEAST_SPECIAL_BITS
        )


@dataclass(frozen=True)
class _Sizes:
    """Bits of primes: those that stay, those that go after the last product of an activation, how many more those after
    earlier ones have; and of activations that rescale before their first product all primes, and that one."""

    staying: int
    last: int
    more: int
    small: int
    before: int

    def chain(self, shape: _Shape) -> tuple[int, ...]:
        """All primes but the special one, those that stay first."""
        going: list[int] = []
        for counts, before in zip(reversed(shape.rescales), reversed(shape.before), strict=True):
            last, earlier = (self.small, self.small) if before else (self.last, self.last + self.more)
            going += [last] * counts[-1] + [earlier] * sum(counts[:-1]) + [self.before] * before
        return (*(self.staying,) * shape.staying, *going)


@dataclass(frozen=True)
class _Found:
    """A schedule that holds ``peaks``, and its error."""

    schedule: Schedule
    error: float
    proved: bool
    peaks: Peaks


def schedule_tensors(
    network: TensorNetwork,
    calibration: npt.ArrayLike | None = None,
    *,
    largest_ring: int = 16384,
    flooding_bits: int = 0,
) -> TensorPlan:
    """Choose a schedule for ``network``; arguments and errors as for
    :func:`sotto.he.planning.scheduling.schedule_for`."""
    if len(network.stages) - 1 > MAX_HIDDEN_LAYERS:
        raise ModelRefused(
            "too-deep",
            f"it has {len(network.stages) - 1} activations, at most {MAX_HIDDEN_LAYERS} are packed: leave "
            f"{len(network.stages) - 1 - MAX_HIDDEN_LAYERS} out",
        )
    features = None
    if calibration is not None:
        given = np.asarray(calibration, np.float64)
        features = _calibration(network, given.reshape(len(given), -1) if given.ndim > 2 else given)
    circuit = fold(network)
    reasons: list[str] = []
    too_wide = ""  # for the largest ring tried
    for ring_degree in (n for n in MAX_CHAIN_BITS if n <= largest_ring):
        try:
            search = _Search(network, circuit, pack_tensors(circuit, ring_degree // 2), ring_degree, features)
        except ModelRefused as error:
            too_wide = str(error)
            continue
        too_wide = ""
        precision = required_precision(flooding_bits, ring_degree) if flooding_bits else MAX_LOGIT_ERROR
        found = search.best(precision, reasons)
        if found is not None:
            return found
    larger = [n for n in MAX_CHAIN_BITS if n > largest_ring]
    advice = ["train it with smaller weights, fewer activations or lower degrees"]
    if too_wide:
        reasons, advice = [too_wide], ["use fewer channels, or larger strides or pooling before it"]
    elif features is None:
        advice.insert(0, "pass calibration features")
    if larger:
        advice.append(f"or allow largest_ring={larger[0]}")
    raise ModelRefused(
        "no-parameters",
        f"no 128-bit parameters hold this model ({'; '.join(dict.fromkeys(reasons))}): {', '.join(advice)}",
    )


class _Search:
    """One packing in one ring."""

    def __init__(
        self,
        network: TensorNetwork,
        circuit: TensorCircuit,
        packing: TensorPacking,
        ring_degree: int,
        features: Floats | None,
    ) -> None:
        self._circuit, self._packing, self._ring_degree = circuit, packing, ring_degree
        self._measured = features is not None
        vectors = _corners(network.inputs) if features is None else features
        self._sizes = np.maximum(1, np.abs(network.logits(vectors)).max(axis=1) / LARGE_LOGIT)
        self._vectors = laid_out = np.stack([packing.grid.lay_out(vector, packing.slots) for vector in vectors])
        self._sample = np.arange(min(_SIMULATED, len(vectors)))  # of the vectors
        self._keys = _KEYS
        if features is not None:
            self._packing = centred(packing, self._neutral(), circuit.activations, laid_out)
        self._peaks = [(True, self._proved())]
        if features is not None:
            self._peaks.append((False, self._calibrated(laid_out, float(np.abs(network.logits(features)).max()))))

    def best(self, precision: float, reasons: list[str]) -> TensorPlan | None:
        """The first schedule that holds all values and is precise enough, cheapest shapes first."""
        if precision < MAX_LOGIT_ERROR:  # a flood is of one size, however large the logits are
            self._sizes = np.ones(len(self._sizes))
        found: list[_Found] = []
        for shape, (proved, peaks) in itertools.product(self._shapes(), self._peaks):
            for late in (True, False):
                tried = self._search(shape, late, peaks, precision)
                if tried is not None:
                    found.append(_Found(*tried, proved, peaks))
                    if found[-1].error <= _WORTH_CHECKING * precision:
                        found[-1] = self._checked(found[-1])
                    if found[-1].error <= precision:
                        return self._plan(found[-1])
                if tried is None:
                    break
        least = min(found, key=lambda each: each.error, default=None)
        if least is not None and least.error <= _WORTH_REFINING * precision:
            least = self._checked(self._refined(least, precision))
            if least.error <= precision:
                return self._plan(least)
        ring = f"ring degree {self._ring_degree}"
        if least is not None:
            reasons.append(f"logits would be off by {least.error:.2g} in {ring}, more than {precision:.2g}")
        elif self._shapes():
            reasons.append(f"logits up to {self._peaks[-1][1].logits:.2g}, or values on the way, overflow {ring}")
        else:
            reasons.append(f"its depth leaves no room in the chain of {ring}{self._room()}")
        return None

    def _room(self) -> str:
        """Which degree all its activations could have; empty where none leaves room."""
        count = len(self._circuit.activations)
        for degree in (4, 2):
            shapes = [_Shape((before,) * count, (counts,) * count, 1) for before, counts in _ways(degree)]
            if min(shape.least_bits for shape in shapes) <= MAX_CHAIN_BITS[self._ring_degree]:
                return f", which has some for {count} of degree {degree}"
        return ""

    def _plan(self, found: _Found) -> TensorPlan:
        answer = self._run(Scales(found.schedule), found.schedule, None)
        return TensorPlan(
            self._circuit,
            self._packing,
            found.schedule,
            answer.scale,
            found.proved,
            found.peaks.logits,
            found.error if self._measured else None,
        )

    def _checked(self, found: _Found) -> _Found:
        """With the error over all vectors and of the keys; the noisiest vectors are the sample from now on."""
        errors = self._errors(found.schedule, np.arange(len(self._vectors)))
        self._sample = np.argsort(errors)[::-1][:_SIMULATED]
        before, self._keys = self._keys, self._with_keys(found.schedule)
        return replace(found, error=float(errors.max()) * self._keys / before)

    def _with_keys(self, schedule: Schedule) -> float:
        """How many times the noise of the sample is that without the keys' own errors."""
        machine = KeyErrors(schedule)
        answer = self._run(machine, schedule, machine.encrypted(self._vectors[self._sample])).payload
        own = deviation(answer.errors, self._packing.period)
        without = self._deviations(schedule, self._sample)
        return float((np.hypot(own, without) / without).max())

    def _refined(self, found: _Found, precision: float) -> _Found:
        def judged(schedule: Schedule, most: float) -> float:
            return self._error(schedule) if self._fits(schedule, found.peaks) else math.inf

        schedule = refined(found.schedule, found.error, judged, enough=precision)
        return replace(found, schedule=schedule, error=self._error(schedule))

    def _run(self, machine: Machine[P], schedule: Schedule, payload: P) -> Value[P]:
        return run_tensors(machine, tensor_layers(self._packing, schedule), self._circuit.activations, payload)

    def _neutral(self) -> Schedule:
        rescales = tuple((0,) * DEPTH[activation.degree] for activation in self._circuit.activations)
        return Schedule(Modulus(self._ring_degree, (60, 60)), rescales, 0, (0,) * len(self._circuit.stages), False)

    def _proved(self) -> Peaks:
        schedule = self._neutral()
        machine = Intervals(schedule, by_unit=False)
        box = self._run(machine, schedule, _everything(self._packing)).payload
        return Peaks(tuple(machine.peaks), float(box.magnitude().max()))

    def _calibrated(self, laid_out: npt.NDArray[np.complex128], largest: float) -> Peaks:
        schedule = self._neutral()
        machine = SlotNoise(schedule, by_unit=False)
        with np.errstate(over="ignore", invalid="ignore"):  # noise at scales of one is of no interest here
            self._run(machine, schedule, machine.encrypted(laid_out))
        return Peaks(tuple(peak * MARGIN for peak in machine.peaks), MARGIN * largest)

    def _search(self, shape: _Shape, late: bool, peaks: Peaks, precision: float) -> tuple[Schedule, float] | None:
        """The most precise of a few schedules that hold ``peaks``, and its error."""
        candidates = self._candidates(shape, late, peaks)
        best: tuple[Schedule, float] | None = None
        for schedule in itertools.islice((c for c in candidates if self._fits(c, peaks)), _TRIED):
            error = self._error(schedule)
            if math.isfinite(error) and (best is None or error < best[1]):
                best = schedule, error
            if error <= precision:
                break
        return best

    def _fits(self, schedule: Schedule, peaks: Peaks) -> bool:
        scales = Scales(schedule)
        self._run(scales, schedule, None)
        *chain, special = schedule.modulus.chain
        if max(chain) + _SPECIAL_ABOVE > special or min(point.scale for point in scales.points) < 2**_LEAST_SCALE_BITS:
            return False
        return holds(scales.points, peaks.magnitudes, schedule)

    def _error(self, schedule: Schedule) -> float:
        """The error of a logit to expect on the sample."""
        return float(self._errors(schedule, self._sample).max())

    def _errors(self, schedule: Schedule, chosen: npt.NDArray[np.int64]) -> Floats:
        """The error of a logit to expect of each of the chosen vectors."""
        return np.asarray(DEVIATIONS * self._keys * self._deviations(schedule, chosen) / self._sizes[chosen])

    def _deviations(self, schedule: Schedule, chosen: npt.NDArray[np.int64]) -> Floats:
        """Of the noisiest slot of each of the chosen vectors, without the keys' own errors."""
        machine = SlotNoise(schedule, by_unit=False)
        with np.errstate(over="ignore", invalid="ignore"):  # a candidate may be hopeless
            noise = self._run(machine, schedule, machine.encrypted(self._vectors[chosen])).payload
        return np.asarray(np.sqrt(np.broadcast_to(noise.variance, noise.values.shape)).max(axis=1))

    def _shapes(self) -> list[_Shape]:
        """Every shape tried, by the time its key switchings take."""
        shapes = [
            _Shape(tuple(before for before, _ in chosen), tuple(counts for _, counts in chosen), staying)
            for chosen in itertools.product(*(_ways(activation.degree) for activation in self._circuit.activations))
            for staying in (1, 2)
        ]
        fitting = [shape for shape in shapes if shape.least_bits <= MAX_CHAIN_BITS[self._ring_degree]]
        return sorted(fitting, key=self._time)

    def _time(self, shape: _Shape) -> float:
        primes, time = shape.top, 0
        gone = [before + sum(counts) for before, counts in zip(shape.before, shape.rescales, strict=True)]
        for stage, going in zip(self._packing.stages, (*gone, 0), strict=True):
            time += len(stage.rotations) * primes * (primes + 1)
            primes -= going
        return time

    def _candidates(self, shape: _Shape, late: bool, peaks: Peaks) -> list[Schedule]:
        """Those that make any sense, the most promising first; fewer bits of chain break ties."""
        found: list[tuple[float, Schedule]] = []
        for sizes in _sizes(shape):
            chain = sizes.chain(shape)
            special = min(MAX_PRIME_BITS, MAX_CHAIN_BITS[self._ring_degree] - sum(chain))
            if special < max(_LEAST_SPECIAL_BITS, max(chain) + _SPECIAL_ABOVE):
                continue
            try:
                modulus = Modulus(self._ring_degree, (*chain, special))
                bits = [math.log2(prime) for prime in modulus.primes[:-1]]
            except ParametersRefused:
                continue
            for leaning in _LEANINGS:
                divided = (self._scales(shape, bits, leaning, most, peaks.logits) for most in _MOST_BITS_OF_WEIGHTS)
                features, weights, quality = max(divided, key=lambda each: each[2])
                if quality < _LEAST_BITS_OF_WEIGHTS or features < _LEAST_SCALE_BITS:
                    continue
                schedule = Schedule(modulus, shape.rescales, features, weights, late, shape.before)
                found.append((quality - sum(chain) / 1e4, schedule))
        return [schedule for _, schedule in sorted(found, key=lambda each: each[0], reverse=True)]

    def _scales(
        self, shape: _Shape, bits: Sequence[float], leaning: int, most: int, largest: float
    ) -> tuple[int, tuple[float, ...], float]:
        """Bits of the input's scale, of each stage's weights, from the answer backwards, and the least of all scales',
        those of values less what they should have above weights'.  ``bits`` of the primes, to a fraction: the power of
        every activation would make much of what is off."""
        going = iter(bits[shape.staying :])
        total = sum(bits[: shape.staying]) - SIGN_AND_NOISE - 0.5 - math.log2(max(largest, 1.0))
        weights: list[float] = []
        quality = math.inf
        for counts, before in zip(reversed(shape.rescales), reversed(shape.before), strict=True):
            weights.append(min((total - leaning) / 2, most))
            taken = [sum(itertools.islice(going, count)) for count in reversed(counts)]
            own, inner = _within(total - weights[-1], taken[::-1])
            quality = min(quality, weights[-1], own - leaning, inner - leaning)
            total = own + sum(itertools.islice(going, before))
        weight = min((total - leaning) / 2, most)
        features = int(min(total - weight, 50))
        return features, (total - features, *reversed(weights)), min(quality, weight)


def _ways(degree: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Ways through an activation: how many primes go before, and after each product."""
    if degree == 2:
        return (0, (1,)), (0, (2,))
    each = (1,) * DEPTH[degree]
    return (0, each), (1, each)


def _within(after: float, going: Sequence[float]) -> tuple[float, float]:
    """Bits of the scales of an activation's argument and of what is squared last, from those of its result."""
    inner = (after + going[-1]) / 2
    return {1: inner, 2: (inner + going[0]) / 2, 3: (inner + sum(going[:2])) / 3}[len(going)], inner


def _sizes(shape: _Shape) -> Iterator[_Sizes]:
    """Sizes of primes to try; what a shape has no use for is not varied."""
    plain = [counts for counts, before in zip(shape.rescales, shape.before, strict=True) if not before]
    last = _GOING_BITS if plain else (0,)
    more = _MORE_BITS if any(len(counts) > 1 for counts in plain) else (0,)
    small, before = (_SMALL_BITS, _BEFORE_BITS) if any(shape.before) else ((0,), (0,))
    yield from itertools.starmap(_Sizes, itertools.product(_STAYING_BITS, last, more, small, before))


@dataclass(frozen=True, repr=False)
class _Energies:
    """A network whose "logits" are the energies of its hidden tensors, each relative to its mean over the vectors."""

    network: TensorNetwork

    @property
    def inputs(self) -> int:
        return self.network.inputs

    def logits(self, features: npt.ArrayLike) -> Floats:
        energies = np.stack([(z**2).mean(axis=1) for z in self.network.preactivations(features)], axis=1)
        return np.asarray(energies / np.maximum(energies.mean(axis=0), 1e-300))


def _calibration(network: TensorNetwork, given: Floats) -> Floats:
    """The features in [-1, 1] whose logits are largest, and those that are largest on the way: noisiest, that is."""
    chosen = [calibration_features(each, given)[:_CALIBRATION] for each in (network, _Energies(network))]
    return np.concatenate(chosen)


def _everything(packing: TensorPacking) -> Box:
    """Any example in [-1, 1], laid out."""
    ones = packing.grid.lay_out(np.ones(math.prod(packing.grid.shape)), packing.slots)
    real, imaginary = ones.real, ones.imag
    return Box(-real, real, imaginary=(-imaginary, imaginary) if imaginary.any() else None)


def _corners(inputs: int) -> Floats:
    """Without calibration features: two corners of the cube."""
    return np.stack([np.ones(inputs), np.where(np.arange(inputs) % 2, -1.0, 1.0)])
