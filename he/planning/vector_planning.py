"""Choosing parameters for mode ``tenseal``: the smallest ring that holds a model's values and keeps its logits precise.

A logit that outgrows the modulus wraps around without an error, so a plan needs a bound on every value of the
circuit.  It is one of two, and the plan says which:

* ``proved``: holds for the exact values of every input in [-1, 1] (:mod:`sotto.he.planning.ranges`); noise is
  estimated, not bounded.
* ``calibrated``: 256 times the largest value met on the 32 calibration features (of the training set) whose logits are
  largest.  Others may be larger on the way, and an input in [-1, 1] unlike them can wrap.

:func:`plan` takes a proof where one fits the ring.  The hand-packed modes are planned by
:mod:`sotto.he.planning.scheduling` and :mod:`sotto.he.tensors.tensor_scheduling`, which prefer fewer primes to a proof;
in them Alice also checks answers for signs of overflow (:mod:`sotto.he.planning.overflow`).

A model for which neither fits is refused, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import Circuit, fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.network.parameters import MAX_CHAIN_BITS, MAX_PRIME_BITS, MIN_PRIME_BITS, Parameters
from sotto.he.planning.calibration import MARGIN, MAX_LOGIT_ERROR, Precision, calibration_features
from sotto.he.planning.noise import logit_error, unit_noise
from sotto.he.planning.ranges import Peak, headroom_bits, worst_case
from sotto.he.planning.slots import simulate

_MAX_SCALE_BITS = 50
_MIN_SPECIAL_BITS = 24
_MAX_UNIT_NOISE = 5e-5  # what a layer may add to a value of order one


@dataclass(frozen=True)
class Plan(Precision):
    """Parameters for one model.

    Attributes
    ----------
    parameters
        the smallest set that fits.
    proved
        the bound holds for every input; otherwise for inputs like the calibration features.
    logit_bound
        no logit is larger in magnitude, under that condition.
    logit_error
        largest error to expect of a logit up to 64, and of larger ones in proportion; None without
        calibration features.
    """

    parameters: Parameters
    proved: bool
    logit_bound: float
    logit_error: float | None


def plan(network: PolynomialNetwork, calibration: npt.ArrayLike | None = None, *, largest_ring: int = 16384) -> Plan:
    """Choose parameters for ``network``.

    Parameters
    ----------
    network
        the model.
    calibration
        features (n, inputs) like those to come, for instance the training set, in [-1, 1]. Without
        them only a proved bound counts, and the error of a logit is not estimated.
    largest_ring
        largest ring degree to try. 32768 holds deeper and wilder networks, with keys of gigabytes.

    Raises
    ------
    ModelRefused
        no parameter set at 128-bit security holds the model's values with the precision required.
    """
    features = None if calibration is None else calibration_features(network, calibration)
    circuit = fold(network)
    rows = sum(weight.shape[0] for weight in circuit.weights)
    reasons = []
    for ring_degree in (n for n in MAX_CHAIN_BITS if n <= largest_ring):
        slots = ring_degree // 2
        if rows + network.classes > slots:
            reasons.append(f"its layers need {rows + network.classes} slots, ring degree {ring_degree} has {slots}")
            continue
        for proved in (True, False) if features is not None else (True,):
            peaks = worst_case(circuit) if proved else _calibrated(circuit, features, slots)
            parameters = _fit(ring_degree, circuit.levels, peaks, rows / slots)
            if parameters is None:
                kind = "worst-case" if proved else "calibrated"
                reasons.append(f"{kind} logits up to {peaks[-1].own:.2g} do not fit ring degree {ring_degree}")
                continue
            error = None if features is None else logit_error(circuit, parameters, features)
            if error is not None and error > MAX_LOGIT_ERROR:
                reasons.append(f"logits would be off by {error:.2g} at ring degree {ring_degree}")
                continue
            return Plan(parameters, proved, peaks[-1].own, error)
    advice = "pass calibration features" if features is None else "train it with smaller weights or a lower degree"
    raise ModelRefused("no-parameters", f"no 128-bit parameters hold this model ({'; '.join(reasons)}): {advice}")


def _fit(ring_degree: int, levels: int, peaks: list[Peak], mixed: float) -> Parameters | None:
    """The least noisy set that holds ``peaks``; None if there is none, or none of useful precision."""
    candidates = []
    for scale_bits in range(MIN_PRIME_BITS, _MAX_SCALE_BITS + 1):
        base = scale_bits + 2 + max(1, math.ceil(headroom_bits(peaks, scale_bits, mixed)))
        count = -(-base // MAX_PRIME_BITS)
        prime = max(-(-base // count), MIN_PRIME_BITS)
        left = MAX_CHAIN_BITS[ring_degree] - count * prime - levels * scale_bits
        # A special prime as large as the largest other keeps key switching quiet; a smaller one still works.
        special = min(left, max(prime, scale_bits))
        if special >= _MIN_SPECIAL_BITS:
            candidates.append(Parameters(ring_degree, (prime,) * count, levels, scale_bits, special))
    best = min(candidates, key=unit_noise, default=None)
    return best if best is not None and unit_noise(best) <= _MAX_UNIT_NOISE else None


def _calibrated(circuit: Circuit, features: npt.NDArray[np.float64] | None, slots: int) -> list[Peak]:
    if features is None:
        return []
    _, peaks = simulate(circuit, features, slots)
    return [Peak(peak.own * MARGIN, peak.other * MARGIN, peak.remaining) for peak in peaks]
