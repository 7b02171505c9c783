"""Choosing primes and scales for a packed or batched program: few primes, no overflow, precise logits.

Time goes with the square of the number of primes, so the shapes with fewest primes are tried first, in the smallest
ring, and for each the scales that estimate the least noise among those that hold every value.  Bounds are proved or
calibrated as in :mod:`sotto.he.planning.vector_planning`: for each shape the proof first, but a calibrated plan over
few primes before a proved one over more.  A model for which neither fits is refused with the reason.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import DEPTH, Circuit, ClearArithmetic, evaluate, fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.network.packing import Packing, pack
from sotto.he.network.parameters import MAX_CHAIN_BITS, MAX_PRIME_BITS, ParametersRefused
from sotto.he.network.program import Affine, Machine, P, Point, Scales, Value, batched_layers, packed_layers, run
from sotto.he.network.schedule import Modulus, Schedule
from sotto.he.planning.calibration import MARGIN, MAX_LOGIT_ERROR, Precision, calibration_features
from sotto.he.planning.flooding import required_precision
from sotto.he.planning.intervals import Intervals, everything
from sotto.he.planning.noise import DEVIATIONS, LARGE_LOGIT
from sotto.he.planning.slot_noise import SlotNoise

MAX_HIDDEN_LAYERS = 6
_AT_ONCE = 8  # calibration vectors whose slots stay in the processor's cache
_SIMULATED = 4  # calibration vectors whose noise is estimated, those with the largest logits
_MARGIN_OF_PRECISION = 1 / 25  # of the error accepted: below that no better scales are looked for
_MOST_BITS_OF_SCALE = 48  # of the last layer's weights
SIGN_AND_NOISE = 2.0  # bits of the modulus above the largest value
_LARGEST_STEP = 4  # bits moved at once when a schedule is refined
_HOPELESS = 50.0  # times the error accepted: beyond that none is refined
_LEAST_SPECIAL_BITS = 28
_LEAST_SCALE_BITS = 14
_STAYING_BITS = range(60, 35, -4)
_GOING_BITS = range(60, 35, -2)
_WEIGHT_BITS = (48, 40, 32, 24, 20, 18, 16, 14, 12)


@dataclass(frozen=True)
class ScaledPlan(Precision):
    """A schedule for one model and evaluator; the other fields as in :class:`sotto.he.planning.vector_planning.Plan`.

    ``packing`` is None for the batched evaluator.  ``answer_scale``: what an answer is encoded at.
    """

    circuit: Circuit
    packing: Packing | None
    schedule: Schedule
    answer_scale: float
    proved: bool
    logit_bound: float
    logit_error: float | None

    @property
    def layers(self) -> Sequence[Affine]:
        """The program's layers."""
        return _layers(self.circuit, self.packing, self.schedule)

    def run(self, machine: Machine[P], payload: P) -> Value[P]:
        """The program on a machine."""
        return run(machine, self.layers, self.circuit.activations, payload)


@dataclass(frozen=True)
class _Shape:
    """How many primes go where: after each product of each activation, and how many stay."""

    rescales: tuple[tuple[int, ...], ...]
    staying: int

    @property
    def top(self) -> int:
        return sum(map(sum, self.rescales)) + self.staying


def schedule_for(
    network: PolynomialNetwork,
    calibration: npt.ArrayLike | None = None,
    *,
    packed: bool,
    largest_ring: int = 16384,
    flooding_bits: int = 0,
) -> ScaledPlan:
    """Choose a schedule for ``network``.

    Parameters
    ----------
    network
        the model.
    calibration
        features (n, inputs) like those to come; without them only proved bounds count, and precision is
        estimated on random features.
    packed
        for the packed evaluator, otherwise the batched one.
    largest_ring
        largest ring degree to try.
    flooding_bits
        how well a flood must hide the answers' noise (:mod:`sotto.he.planning.flooding`); 0 for none.

    Raises
    ------
    ModelRefused
        no 128-bit schedule holds the model's values with that precision; the message says why.
    """
    if len(network.polynomials) > MAX_HIDDEN_LAYERS:
        raise ModelRefused(
            "too-deep", f"it has {len(network.polynomials)} hidden layers, at most {MAX_HIDDEN_LAYERS} are packed"
        )
    features = None if calibration is None else calibration_features(network, calibration)
    circuit = fold(network)
    reasons: list[str] = []
    for ring_degree in (n for n in MAX_CHAIN_BITS if n <= largest_ring):
        try:
            packing = pack(circuit, ring_degree // 2) if packed else None
        except ModelRefused as error:
            reasons.append(str(error))
            continue
        precision = required_precision(flooding_bits, ring_degree) if flooding_bits else MAX_LOGIT_ERROR
        found = _best(circuit, packing, ring_degree, features, precision, reasons)
        if found is not None:
            return found
    advice = "pass calibration features" if features is None else "train it with smaller weights or a lower degree"
    raise ModelRefused(
        "no-parameters", f"no 128-bit parameters hold this model ({'; '.join(dict.fromkeys(reasons))}): {advice}"
    )


def _best(
    circuit: Circuit,
    packing: Packing | None,
    ring_degree: int,
    features: npt.NDArray[np.float64] | None,
    precision: float,
    reasons: list[str],
) -> ScaledPlan | None:
    sample = features
    if sample is None:
        sample = _sample(circuit.weights[0].shape[0])
    shapes = [shape for shape in _shapes(circuit) if 20 * (shape.top + 1) <= MAX_CHAIN_BITS[ring_degree]]
    if not shapes:
        reasons.append(f"its depth leaves no room in the chain of ring degree {ring_degree}")
    peaks = _peaks(circuit, packing, ring_degree, sample if features is not None else None)
    for (proved, found), (best, error) in _searched(
        shapes,
        peaks,
        lambda shape, found, late: _search(
            circuit, packing, ring_degree, shape, late, found.magnitudes, sample[:_SIMULATED], precision
        ),
        precision,
    ):
        bound = found.logits
        if best is None:
            kind = "worst-case" if proved else "calibrated"
            reasons.append(
                f"{kind} logits up to {bound:.2g} overflow the scale, or leave one too small to be precise,"
                f" at ring degree {ring_degree}"
            )
        elif not error <= precision:  # it may be no number
            reasons.append(f"logits would be off by {error:.2g} at ring degree {ring_degree}")
        else:
            answer = run(Scales(best), _layers(circuit, packing, best), circuit.activations, None)
            estimate = error if features is not None else None
            return ScaledPlan(circuit, packing, best, answer.scale, proved, bound, estimate)
    return None


Found = tuple[Schedule | None, float]


def _searched(
    shapes: Sequence[_Shape],
    peaks: Sequence[tuple[bool, Peaks]],
    search: Callable[[_Shape, Peaks, bool], Found],
    precision: float,
) -> Iterator[tuple[tuple[bool, Peaks], Found]]:
    """What ``search`` finds for each shape, the smaller magnitudes and the quieter order last.

    Those are tried first, though: where they are not precise enough, nothing else is, and is not looked for.
    """
    for shape in shapes:
        hopeful = search(shape, peaks[-1][1], False)
        if hopeful[1] <= precision:
            for each, late in list(itertools.product(peaks, (True, False)))[:-1]:
                yield each, search(shape, each[1], late)
        yield peaks[-1], hopeful


@dataclass(frozen=True, repr=False)
class Peaks:
    """The magnitude at every point of the program, and of the logits."""

    magnitudes: tuple[float, ...]
    logits: float


def _peaks(
    circuit: Circuit, packing: Packing | None, ring_degree: int, features: npt.NDArray[np.float64] | None
) -> list[tuple[bool, Peaks]]:
    """The proved magnitudes and, with features, the calibrated ones.  They do not depend on scales."""
    schedule = _neutral(circuit, ring_degree)
    layers = _layers(circuit, packing, schedule)
    intervals = Intervals(schedule, by_unit=packing is None)
    count = circuit.weights[0].shape[0] if packing is None else packing.slots
    box = run(intervals, layers, circuit.activations, everything(count, paired=packing is not None)).payload
    largest = float(box.magnitude().max())
    found = [(True, Peaks(tuple(intervals.peaks), largest))]
    if features is not None:
        met = []
        for start in range(0, len(features), _AT_ONCE):
            machine = SlotNoise(schedule, by_unit=packing is None)
            part = _inputs(packing, features[start : start + _AT_ONCE])
            with np.errstate(over="ignore", invalid="ignore"):  # noise at scales of one is of no interest here
                run(machine, layers, circuit.activations, machine.encrypted(part))
            met.append(machine.peaks)
        magnitudes = tuple(peak * MARGIN for peak in np.max(met, axis=0).tolist())
        found.append((False, Peaks(magnitudes, MARGIN * float(np.abs(_logits(circuit, features)).max()))))
    return found


def _search(
    circuit: Circuit,
    packing: Packing | None,
    ring_degree: int,
    shape: _Shape,
    late: bool,
    peaks: Sequence[float],
    sample: npt.NDArray[np.float64],
    precision: float,
) -> tuple[Schedule | None, float]:
    """The least noisy schedule of a shape that holds ``peaks``, and its error."""
    largest = float(_sizes(circuit, sample, precision).max())
    memory: list[Any] = []

    def error(schedule: Schedule, least: float) -> float:
        scales = Scales(schedule)
        run(scales, _layers(circuit, packing, schedule), circuit.activations, None)
        if not holds(scales.points, peaks, schedule):
            return math.inf
        if _least_error(circuit, schedule, scales.points[-1]) > least * largest:
            return math.inf
        return _error(circuit, packing, schedule, sample[:1], precision, memory)

    best, least = None, _HOPELESS * precision
    for schedule in _candidates(circuit, ring_degree, shape, late, peaks[-1]):
        found = error(schedule, least)
        if found < least:
            best, least = schedule, found
        if least < _MARGIN_OF_PRECISION * precision:
            break
    if best is None:
        return None, math.inf
    if least > precision:
        best = refined(best, least, error)
    return best, _error(circuit, packing, best, sample, precision)


def _least_error(circuit: Circuit, schedule: Schedule, answer: Point) -> float:
    """What the last rescaling alone does to a logit up to 64: quick to say of a schedule that it is hopeless."""
    if not circuit.activations:
        return 0.0
    n = schedule.modulus.ring_degree
    before = answer.scale / 2.0 ** schedule.weight_bits[-1]
    weights = float(np.sqrt((circuit.weights[-1] ** 2).sum(axis=0)).max())
    return DEVIATIONS * math.sqrt(n / 24 * (1 + 2 * n / 3)) / before * weights


def refined(
    schedule: Schedule, least: float, error: Callable[[Schedule, float], float], enough: float = 0.0
) -> Schedule:
    """The schedule after bits have been moved, one place at a time, while that lowers the error, down to ``enough``."""
    step = _LARGEST_STEP
    while step:
        improved = False
        for neighbour in _neighbours(schedule, step):
            found = error(neighbour, least)
            if found < 0.99 * least:
                schedule, least, improved = neighbour, found, True
            if least <= enough:
                return schedule
        if not improved:
            step //= 2
    return schedule


def _neighbours(schedule: Schedule, step: int) -> Iterator[Schedule]:
    """Schedules with ``step`` bits moved from one prime to another, or between scales."""
    chain, scales = schedule.modulus.chain, (schedule.input_bits, *schedule.weight_bits)
    for moved in _moves(chain, step, paired=True):
        with contextlib.suppress(ParametersRefused):
            modulus = Modulus(schedule.modulus.ring_degree, tuple(map(int, moved)))
            _ = modulus.primes
            yield replace(schedule, modulus=modulus)
    for moved in (*_moves(scales, step, paired=True), *_moves(scales, step, paired=False)):
        if min(moved) > 0:
            yield replace(schedule, input_bits=int(moved[0]), weight_bits=moved[1:])


def _moves(bits: tuple[float, ...], step: int, *, paired: bool) -> Iterator[tuple[float, ...]]:
    """``bits`` with one entry raised and another lowered by ``step``, or not ``paired`` with one of the two."""
    for raised, lowered in itertools.permutations(range(len(bits)), 2) if paired else ():
        moved = list(bits)
        moved[raised] += step
        moved[lowered] -= step
        yield tuple(moved)
    for place, change in itertools.product(range(len(bits)), (step, -step)) if not paired else ():
        yield (*bits[:place], bits[place] + change, *bits[place + 1 :])


def _error(
    circuit: Circuit,
    packing: Packing | None,
    schedule: Schedule,
    sample: npt.NDArray[np.float64],
    precision: float,
    memory: list[Any] | None = None,
) -> float:
    """The error of a logit to expect on ``sample``; ``memory`` as in :class:`SlotNoise`."""
    machine = SlotNoise(schedule, by_unit=packing is None, memory=memory)
    encrypted = machine.encrypted(_inputs(packing, sample))
    with np.errstate(over="ignore", invalid="ignore"):  # a candidate may be hopeless
        noise = run(machine, _layers(circuit, packing, schedule), circuit.activations, encrypted).payload
    deviation = np.sqrt(np.broadcast_to(noise.variance, noise.values.shape)).max(axis=1)
    return DEVIATIONS * float((deviation / _sizes(circuit, sample, precision)).max())


def _sizes(circuit: Circuit, sample: npt.NDArray[np.float64], precision: float) -> npt.NDArray[np.float64]:
    """How much error counts for each vector (n,): in proportion to large logits, but a flood is of one size."""
    if precision < MAX_LOGIT_ERROR:
        return np.ones(len(sample))
    return np.maximum(1, np.abs(_logits(circuit, sample)).max(axis=1) / LARGE_LOGIT)


def holds(points: Sequence[Point], peaks: Sequence[float], schedule: Schedule) -> bool:
    """Whether no point of a program outgrows its modulus."""
    bits = [schedule.modulus.bits(level) for level in range(schedule.modulus.top + 1)]
    return all(
        math.log2(max(peak, 1.0)) + math.log2(point.scale) <= bits[point.level] - SIGN_AND_NOISE
        for point, peak in zip(points, peaks, strict=True)
    )


def _candidates(circuit: Circuit, ring_degree: int, shape: _Shape, late: bool, largest: float) -> Iterator[Schedule]:
    """Schedules over a grid: bits of the primes that stay, of those that go, and of the weights between activations."""
    most = MAX_CHAIN_BITS[ring_degree]
    going = shape.top - shape.staying
    for last, prime, weight in itertools.product(_STAYING_BITS, _GOING_BITS, _WEIGHT_BITS):
        special = min(MAX_PRIME_BITS, most - shape.staying * last - going * prime)
        if special < _LEAST_SPECIAL_BITS:
            continue
        try:
            modulus = Modulus(ring_degree, (*(last,) * shape.staying, *(prime,) * going, special))
            bits = _weight_bits(circuit, shape, last, prime, weight, largest)
            _ = modulus.primes
        except ParametersRefused:
            continue
        if bits is not None:
            yield Schedule(modulus, shape.rescales, *bits, late)


def _weight_bits(
    circuit: Circuit, shape: _Shape, last: int, prime: int, weight: int, largest: float
) -> tuple[int, tuple[float, ...]] | None:
    """Bits of the input's scale and of each layer's weights; None where a scale would be too small to be of use.

    Before an activation of degree p the scale is A, after it p A - R, R the bits its rescalings take from the result.
    That plus ``weight`` is A again when A = (R - weight) / (p - 1).
    """
    room = shape.staying * last - SIGN_AND_NOISE - 0.5 - math.log2(max(largest, 1.0))
    if not circuit.activations:
        return _split(min(int(room), 50), ())
    before, after = [], []
    for activation, counts in zip(circuit.activations, shape.rescales, strict=True):
        taken = prime * (sum(2 * count for count in counts[:-1]) + counts[-1])
        scale = (taken - weight) / (activation.degree - 1)
        before.append(scale)
        after.append(activation.degree * scale - taken)
    between = [scale - left for scale, left in zip(before[1:], after, strict=False)]
    final = min(_MOST_BITS_OF_SCALE, room - after[-1])
    if min([*after, before[0] / 2]) < _LEAST_SCALE_BITS or min([*between, final]) < _WEIGHT_BITS[-1]:
        return None
    return _split(before[0], (*between, final))


def _split(scale: float, rest: tuple[float, ...]) -> tuple[int, tuple[float, ...]]:
    """Divide the first layer's scale between features, whose bits are whole, and weights."""
    features = int(scale + 1) // 2
    return features, (scale - features, *rest)


def _shapes(circuit: Circuit) -> list[_Shape]:
    """Every shape tried, fewest primes first: one prime for each rescaling or two, one that stays or two."""
    rescalings = [DEPTH[activation.degree] for activation in circuit.activations]
    shapes = [
        _Shape(tuple((count,) * depth for depth in rescalings), staying) for count in (1, 2) for staying in (1, 2)
    ]
    return sorted(set(shapes), key=lambda shape: (shape.top, shape.staying))


def _neutral(circuit: Circuit, ring_degree: int) -> Schedule:
    """A schedule to run programs whose scales do not matter."""
    rescales = tuple((0,) * DEPTH[activation.degree] for activation in circuit.activations)
    return Schedule(Modulus(ring_degree, (60, 60)), rescales, 0, (0,) * len(circuit.weights), False)


def _layers(circuit: Circuit, packing: Packing | None, schedule: Schedule) -> Sequence[Affine]:
    return batched_layers(circuit, schedule) if packing is None else packed_layers(packing, schedule)


def _inputs(packing: Packing | None, features: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Features (n, inputs) as the program takes them: slot by slot, or unit by unit."""
    if packing is None:
        return features
    return np.stack([packing.layout.lay_out(vector, packing.slots) for vector in features])


def _logits(circuit: Circuit, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The logits (n, classes) in the clear."""
    return evaluate(circuit, features, ClearArithmetic(circuit))


def _sample(inputs: int) -> npt.NDArray[np.float64]:
    """Without calibration features: four corners of the cube."""
    signs = np.where(np.arange(inputs) % 2, -1.0, 1.0)
    return np.stack([np.ones(inputs), -np.ones(inputs), signs, -signs])
