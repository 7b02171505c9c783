"""How far a private value can be from the float network's, proven: what regression tells beside its values.

Every layer passes on what its inputs may be off by, and adds its own: rounding, the curve's stated error, and the cut
of a gate.  All with intervals, for every input within the limit, so the bound is far above what is ever met.  Nor can a
value be off by more than from one end of what it can be privately to the other end of what it can be exactly: where
gates multiply errors step by step, as in LSTM and GRU, or a comparison chooses, that is all that is proven, but it does
not grow.  Reciprocals, roots and logarithms have bounds of their own, whose layers are taken together where the range
is wide (:mod:`sotto.mpc.graph.bounds.function_bound`), and so have norms (:mod:`sotto.mpc.graph.bounds.norm_bound`):
where the variance of its input can be next to 0, an error is magnified by as much as the root of the norm's epsilon
lets it.  What intervals do not show of a softmax, its plan does (:mod:`sotto.mpc.graph.bounds.softmax_bound`).

Holds in every mode of ours: each may cut a value to 16 fraction bits before it is used, which is counted, and no mode
cuts what needs more (:mod:`sotto.mpc.graph.compiler`).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch

from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.bounds.function_bound import (
    FLOAT,
    FUNCTIONS,
    ULP,
    Argument,
    factor_error,
    own_error,
    wide_functions,
)
from sotto.mpc.graph.bounds.mixture_bound import mixture
from sotto.mpc.graph.bounds.norm_bound import MeanSquare, norms
from sotto.mpc.graph.bounds.softmax_bound import least_sum, less_largest
from sotto.mpc.graph.curves import HELD
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.plan import Curve, ModelPlan, Weights
from sotto.mpc.graph.ranges import Interval, interval

Tensors: TypeAlias = dict[str, torch.Tensor]

#: Functions of bounded values: the least and the largest.
_WITHIN = {
    "exp": (0.0, math.inf), "softplus": (0.0, math.inf), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0),
}  # fmt: skip
_ENDS = {"none": 1.0, "softmax": 0.5, "log_softmax": 2.0, "sigmoid": 0.25, "log_sigmoid": 1.0}  # what Alice applies


class Unproven(ValueError):
    """No bound is proven; the message says in a few words, fit for everybody, which layer stands in the way."""


def error_bound(plan: ModelPlan, weights: Weights) -> float | None:
    """The largest error of any output for inputs within the plan's limit; None where no bound is proven."""
    try:
        return proven_error(plan, weights)
    except Unproven:
        return None


def proven_error(plan: ModelPlan, weights: Weights, *, variance: float = 0.0, unheld: bool = False) -> float:
    """The same, for inputs with which no norm's input has a variance (with RMS norm, a mean square) below ``variance``,
    and, where ``unheld``, no argument of a polynomial leaves the bounds within which the plan holds it.

    Raises :class:`Unproven`.
    """
    with torch.no_grad():
        return _Analysis(plan, weights, variance, unheld).run()


class _Analysis:
    """Of every value what it can be privately, what it can be in the float network, and how far apart both are."""

    def __init__(self, plan: ModelPlan, weights: Weights, variance: float, unheld: bool) -> None:
        self._plan, self._weights, self._variance, self._unheld = plan, weights, variance, unheld
        limit = torch.full((1, *plan.input_shape), plan.input_limit + ULP, dtype=torch.float64)
        self._private: list[Interval] = [(-limit, limit)]
        self._exact: list[Interval] = [(-limit, limit)]
        self._errors = [torch.full_like(limit, ULP / 2)]
        self._wide = wide_functions(plan)
        self._norms = norms(plan, self._wide)
        self._inner = frozenset().union(*(wide.inner for wide in self._wide.values()))

    def run(self) -> float:
        for number, layer in enumerate(self._plan.layers):
            self._add(number, layer)
        largest = max(float(side.abs().max()) for side in self._private[-1])
        return _ENDS[self._plan.final] * (float(self._errors[-1].max()) + ULP) + largest * FLOAT

    def _add(self, number: int, layer: layers.Layer) -> None:
        own = {name: torch.tensor(each).double() for name, each in self._weights.get(number, {}).items()}
        curve = self._plan.curves[layer.curve] if isinstance(layer, layers.Bend) else None
        if curve and curve.name == HELD and not self._unheld:
            raise Unproven(f"layer {number} holds the argument of a polynomial within bounds that it could leave")
        inputs = [self._private[source] for source in layer.sources]
        private = interval(layer, own, inputs, curve)
        exact = self._exact_value(number, layer, own, curve)
        if MeanSquare.of(self._plan, self._weights, number + 1):
            private, exact = _above_zero(private), _above_zero(exact)
        if isinstance(layer, layers.Add) and less_largest(self._plan, layer) is not None:
            private, exact = _below(private, 4 * ULP), _below(exact, 0.0)
        if mixed := mixture(self._plan, layer):
            private = _both(private, mixed.inside(self._private))
            exact = _both(exact, mixed.inside(self._exact))
        apart = (private[1] - exact[0]).maximum(exact[1] - private[0])  # nor can they be further apart
        error = self._error(number, layer, own, curve).minimum(apart)
        if mixed:
            error = error.minimum(mixed.error(self._private, self._exact, self._errors))
        error = error.nan_to_num(math.inf, math.inf)
        if number + 1 not in self._inner and not math.isfinite(float(error.max())):
            kind = curve.name if curve else type(layer).__name__
            raise Unproven(f"layer {number} ({kind}) may be given what is next to 0")
        self._private.append((private[0].maximum(exact[0] - error), private[1].minimum(exact[1] + error)))
        self._exact.append((exact[0].maximum(private[0] - error), exact[1].minimum(private[1] + error)))
        self._errors.append(error)

    def _error(self, number: int, layer: layers.Layer, own: Tensors, curve: Curve | None) -> torch.Tensor:
        """What the inputs' errors become, and what the layer adds."""
        inputs = [self._private[source] for source in layer.sources]
        off = [self._errors[source] for source in layer.sources]
        if norm := self._norms.get(number):
            largest = float(inputs[0][0].abs().maximum(inputs[0][1].abs()).max())
            bound = norm.error(float(off[0].max()), largest, self._variance)
            return torch.full(torch.broadcast_shapes(off[0].shape, off[1].shape), bound, dtype=torch.float64)
        if wide := self._wide.get(number):
            shape = (1, *self._plan.shapes()[number + 1])
            return wide.error(self._argument(wide.source)).reshape(shape)
        if curve and curve.steps:  # on which side of a step a value is, its error may decide
            return torch.full_like(off[0], math.inf)
        if curve and curve.name in FUNCTIONS and isinstance(layer, layers.Bend):
            least = max(least_sum(self._plan, layer), _floor(curve))
            inside = self._argument(layer.source, least).rounded(2 * ULP)
            unit = ULP if curve.fraction > 16 else 0.0  # by half of it a knot may be moved
            return inside.moves(curve.name) + own_error(curve, inside.private) + _bending(curve) * unit / 2 + ULP
        return _passed(layer, own, inputs, off, curve) + _added(layer)

    def _argument(self, source: int, least: float = -math.inf) -> Argument:
        """Of a function; ``least``: what is known of it besides."""
        exact, (private, most), off = self._exact[source][0], self._private[source], self._errors[source]
        known = Argument(exact.clamp(min=least), private.clamp(min=least), most, off)
        square = MeanSquare.of(self._plan, self._weights, source)
        return square.argument(known, float(self._errors[square.source].max())) if square else known

    def _exact_value(self, number: int, layer: layers.Layer, own: Tensors, curve: Curve | None) -> Interval:
        """Bounds of what the float network has in a value's place."""
        inputs = [self._exact[source] for source in layer.sources]
        if wide := self._wide.get(number):
            shape = (1, *self._plan.shapes()[number + 1])
            low, high = (side.reshape(shape) for side in self._exact[wide.source])
            return _monotonic(
                wide.name, low + wide.epsilon - wide.epsilon_error, high + wide.epsilon + wide.epsilon_error
            )
        low, high = interval(layer, own, inputs, curve)
        if curve is None or not isinstance(layer, layers.Bend):
            return low, high
        if curve.name in FUNCTIONS and not curve.steps:
            least = max(least_sum(self._plan, layer), _floor(curve))
            return _monotonic(curve.name, inputs[0][0].clamp(min=least), inputs[0][1].clamp(min=least))
        error = _own_error(curve, inputs[0][0].abs().maximum(inputs[0][1].abs()))
        least, most = _WITHIN.get(curve.name, (-math.inf, math.inf))
        return (low - error).clamp(least, most), (high + error).clamp(least, most)


def _above_zero(inside: Interval) -> Interval:
    low, high = inside
    return low.clamp(min=0), high


def _below(inside: Interval, most: float) -> Interval:
    low, high = inside
    return low, high.clamp(max=most)


def _both(one: Interval, other: Interval) -> Interval:
    return one[0].maximum(other[0]), one[1].minimum(other[1])


def _monotonic(name: str, low: torch.Tensor, high: torch.Tensor) -> Interval:
    """Bounds of a reciprocal, root or logarithm between its values at both ends; all numbers where it has a pole."""
    ends = FUNCTIONS[name](low), FUNCTIONS[name](high)
    defined = (low > 0) | (torch.full_like(low, name == "sqrt") > 0)
    least, most = ends[0].minimum(ends[1]), ends[0].maximum(ends[1])
    return least.where(defined, -math.inf), most.where(defined, math.inf)


def _floor(curve: Curve) -> float:
    """Below which a logarithm is flat."""
    flat = curve.name == "log" and not curve.slope and curve.knots
    return curve.knots[0][0] * 2.0**-curve.fraction if flat else -math.inf


def error_bits(plan: ModelPlan, weights: Weights) -> int:
    """The least b, at least -64, with every error of an output below 2^b.  Raises :class:`Unproven`."""
    bound = proven_error(plan, weights)
    if bound > 2.0**64:
        raise Unproven("what its layers make of one another's errors is above 2^64")
    return max(-64, math.frexp(bound)[1])


def _passed(
    layer: layers.Layer, own: Tensors, inputs: list[Interval], off: list[torch.Tensor], curve: Curve | None
) -> torch.Tensor:
    """What the inputs' errors become, each cut by a unit before the layer."""
    sizes = [low.abs().maximum(high.abs()) for low, high in inputs]
    cut = [each + ULP for each in off]
    match layer:
        case layers.Constant():
            return own["value"].abs().reshape(1, *layer.shape) * FLOAT
        case layers.Convolution() | layers.Linear() | layers.ChannelAffine() | layers.Scale():
            multiplier = "scale" if "scale" in own else "weight"
            added = {name: tensor.abs() * FLOAT for name, tensor in own.items() if name != multiplier}
            still = {name: torch.zeros_like(tensor) for name, tensor in added.items()}
            size = own[multiplier].abs()
            carried = layer_output(layer, {multiplier: size + ULP, **added}, cut)
            return carried + layer_output(layer, {multiplier: ULP + FLOAT * size, **still}, [sizes[0]])
        case layers.Bend() if curve is not None:
            bent = _bending(curve) * ULP / 2 if curve.fraction > 16 else 0.0
            return (cut[0] + ULP) * curves.steepest(curve) + _own_error(curve, sizes[0] + off[0]) + bent
        case layers.Multiply() | layers.MatMul():
            (x, y), (first, second) = cut, sizes
            left, right, both = (layer_output(layer, own, list(pair)) for pair in ((first, y), (x, second), (x, y)))
            return left + right + both
        case layers.Times():
            return cut[0] * abs(layer.factor / 2**layer.shift) + sizes[0] * factor_error(layer)
        case layers.Round():
            return off[0] + 2.0 ** (1 - layer.fraction)
        case layers.Reshape() | layers.Strided() | layers.Take():
            return layer_output(layer, own, off)
    return layer_output(layer, own, cut)  # a sum's errors add up; a maximum's is no larger than its candidates'


def _added(layer: layers.Layer) -> float:
    """For what a gate rounds, and a bias; moving elements adds nothing."""
    return 0.0 if isinstance(layer, layers.Reshape | layers.Strided | layers.Take | layers.Round) else ULP


def _bending(curve: Curve) -> float:
    """How much all slopes change in all."""
    return sum(abs(bend) for _, bend, _ in curve.knots) * 2.0**-curve.slope_fraction


def _own_error(curve: Curve, size: torch.Tensor) -> float:
    """The curve's own error for arguments of at most this absolute ``size``."""
    growing = curve.error if curve.name == "leaky" else curves.drift(curve)  # of a slope that is rounded
    own = 0.0 if curve.name == "leaky" else curve.error
    return own + growing * float(size.max()) if growing else own
