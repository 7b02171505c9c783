"""How far a private value can be from the float network's, proven: what regression tells beside its values.

Every layer passes on what its inputs may be off by, and adds its own: rounding, the curve's stated error, and the cut
of a gate.  All with intervals, for every input within the limit, so the bound is far above what is ever met.  Nor can a
value be off by more than from one end of what it can be privately to the other end of what it can be exactly: where
gates multiply errors step by step, as in LSTM and GRU, that is all that is proven, but it does not grow.  A value that
is scaled by a power of two found in steps (a reciprocal or root of a wide range) has no bound here: next to a step each
factor jumps, and only their product does not.  The layers of a norm are taken together
(:mod:`sotto.mpc.graph.norm_bound`); where the variance of its input can be next to 0, an error is magnified by as much
as the root of the norm's epsilon lets it.  What intervals do not show of a softmax, its plan does: the sum of the
exponentials of x - max x is at least that of 0.
"""

from __future__ import annotations

import math

import torch

from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.curves import HELD
from sotto.mpc.graph.norm_bound import norms
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.plan import ModelPlan, Weights, strides_of
from sotto.mpc.graph.ranges import Interval, interval

_ULP = 2.0**-16
_FLOAT = (
    2.0**-24
)  # relative, of a tensor worked out from others (a folded norm, a completed square) and kept as float32
_RELATIVE = ("reciprocal", "rsqrt")  # curves whose error is relative to the function's value


class Unproven(ValueError):
    """No bound is proven; the message says in a few words, fit for everybody, which layer stands in the way."""


def error_bound(plan: ModelPlan, weights: Weights) -> float | None:
    """The largest error of any output for inputs within the plan's limit; None where no bound is proven."""
    try:
        return proven_error(plan, weights)
    except Unproven:
        return None


def proven_error(plan: ModelPlan, weights: Weights) -> float:
    """The same; raises :class:`Unproven`."""
    limit = torch.full((1, *plan.input_shape), plan.input_limit + _ULP, dtype=torch.float64)
    values: list[Interval] = [(-limit, limit)]
    exact: list[Interval] = [(-limit, limit)]  # of the float network
    errors = [torch.full_like(limit, _ULP / 2)]
    together = norms(plan)
    inner = frozenset().union(*(norm.inner for norm in together.values()))
    with torch.no_grad():
        for number, layer in enumerate(plan.layers):
            own = {name: torch.tensor(tensor).double() for name, tensor in weights.get(number, {}).items()}
            curve = plan.curves[layer.curve] if isinstance(layer, layers.Bend) else None
            norm = together.get(number)
            stray = not norm and number + 1 not in inner and inner.intersection(layer.sources)
            if stray or (curve and curve.steps and number + 1 not in inner):
                raise Unproven(
                    f"layer {number} ({_kind(layer, curve)}) scales by a power of two that it finds in steps"
                )
            if curve and curve.name == HELD:
                raise Unproven(f"layer {number} holds the argument of a polynomial within bounds that it could leave")
            inputs = [values[source] for source in layer.sources]
            off = [errors[source] for source in layer.sources]
            least = _least(plan, layer, float(inputs[0][0].min()) if inputs else 0.0)
            values.append(interval(layer, own, inputs, curve))
            exact.append(_exact(layer, own, [exact[source] for source in layer.sources], curve, least))
            if number + 1 in inner:
                errors.append(torch.full_like(values[-1][0], math.inf))
                continue
            if norm:
                largest = float(inputs[0][0].abs().maximum(inputs[0][1].abs()).max())
                passed = torch.full_like(values[-1][0], norm.error(float(off[0].max()), largest))
            else:
                passed = _passed(layer, own, inputs, off, curve, least) + 4 * _ULP
            errors.append(passed.nan_to_num(math.inf).minimum(_apart(values[-1], exact[-1])))
            if not math.isfinite(float(errors[-1].max())):
                raise Unproven(f"layer {number} ({_kind(layer, curve)}) may be given what is next to 0")
    return float(errors[-1].max())


def _kind(layer: layers.Layer, curve: layers.Curve | None) -> str:
    return curve.name if curve else type(layer).__name__


def _exact(
    layer: layers.Layer, own: dict[str, torch.Tensor], inputs: list[Interval], curve: layers.Curve | None, least: float
) -> Interval:
    """Bounds of what the float network has in a value's place: its function is within the curve's own error."""
    low, high = interval(layer, own, inputs, curve)
    error = 0.0 if curve is None else _own_error(curve, inputs[0], least)
    return low - error, high + error


def _apart(private: Interval, exact: Interval) -> torch.Tensor:
    """How far a value of one can be from one of the other."""
    return (private[1] - exact[0]).maximum(exact[1] - private[0]).nan_to_num(math.inf, math.inf, math.inf)


def _least(plan: ModelPlan, layer: layers.Layer, least: float) -> float:
    """The least argument of a curve: what intervals say, or, of a softmax's sum, what its plan says."""
    if not isinstance(layer, layers.Bend) or plan.curves[layer.curve].name not in ("reciprocal", "log"):
        return least
    total = _maker(plan, layer.source, reshaped=True)
    powers = _maker(plan, total.source) if isinstance(total, layers.Total) else None
    if not isinstance(powers, layers.Bend) or plan.curves[powers.curve].name != "exp":
        return least
    shifted = _maker(plan, powers.source)
    if not isinstance(total, layers.Total) or not isinstance(shifted, layers.Add) or len(total.axes) != 1:
        return least
    if not _less_largest(plan, shifted, total.axes[0]):
        return least
    return max(least, 1 - plan.curves[powers.curve].error - 2.0**-9)


def _less_largest(plan: ModelPlan, shifted: layers.Add, axis: int) -> bool:
    """Whether a sum is x - max x along ``axis``."""
    less = _maker(plan, shifted.other)
    if not isinstance(less, layers.Times) or less.factor != -(1 << less.shift):
        return False
    spread = _maker(plan, less.source)
    if not isinstance(spread, layers.Strided) or spread.offset:
        return False
    largest = _maker(plan, spread.source, reshaped=True)
    if not isinstance(largest, layers.Largest) or (largest.source, largest.axis) != (shifted.source, axis):
        return False
    once = strides_of(tuple(1 if at == axis else length for at, length in enumerate(spread.shape)))
    wanted = (0 if at == axis else stride for at, stride in enumerate(once))
    return all(n == 1 or has == want for n, has, want in zip(spread.shape, spread.strides, wanted, strict=True))


def _maker(plan: ModelPlan, value: int, *, reshaped: bool = False) -> layers.Layer | None:
    """The layer that makes a value; with ``reshaped``, past those that only shape it anew.  None for the input."""
    while reshaped and value and isinstance(layer := plan.layers[value - 1], layers.Reshape):
        value = layer.source
    return plan.layers[value - 1] if value else None


def error_bits(plan: ModelPlan, weights: Weights) -> int:
    """The least b, at least -64, with every error of an output below 2^b.  Raises :class:`Unproven`."""
    bound = proven_error(plan, weights)
    if bound > 2.0**64:
        raise Unproven("what its layers make of one another's errors is above 2^64")
    return max(-64, math.frexp(bound)[1])


def _passed(
    layer: layers.Layer,
    own: dict[str, torch.Tensor],
    inputs: list[Interval],
    off: list[torch.Tensor],
    curve: layers.Curve | None,
    least: float,
) -> torch.Tensor:
    """What the inputs' errors become, and what the layer adds beyond a few units in the last place."""
    sizes = [low.abs().maximum(high.abs()) for low, high in inputs]
    match layer:
        case layers.Constant():
            return own["value"].abs().reshape(1, *layer.shape) * _FLOAT
        case layers.Convolution() | layers.Linear() | layers.ChannelAffine() | layers.Scale():
            multiplier = "scale" if "scale" in own else "weight"
            added = {name: tensor.abs() * _FLOAT for name, tensor in own.items() if name != multiplier}
            still = {name: torch.zeros_like(tensor) for name, tensor in added.items()}
            size = own[multiplier].abs()
            carried = layer_output(layer, {multiplier: size + _ULP, **added}, [off[0] + _ULP])
            return carried + layer_output(layer, {multiplier: _ULP + _FLOAT * size, **still}, [sizes[0]])
        case layers.Bend() if curve is not None:
            return _bent(curve, inputs[0], off[0], least)
        case layers.Multiply() | layers.MatMul():
            x, y = off[0] + _ULP, off[1] + _ULP
            first, second, both = (
                layer_output(layer, own, list(pair)) for pair in ((sizes[0], y), (x, sizes[1]), (x, y))
            )
            return first + second + both
        case layers.Times():
            return off[0] * abs(layer.factor / 2**layer.shift)
        case layers.Round():
            return off[0] + 2.0 ** (1 - layer.fraction)
    return layer_output(layer, own, off)  # a sum's errors add up; a maximum's is no larger than its candidates'


def _bent(curve: layers.Curve, inside: Interval, off: torch.Tensor, least: float) -> torch.Tensor:
    """The steepest slope times the input's error, and the curve's own."""
    slopes = [curve.slope]
    for _, bend, _ in curve.knots:
        slopes.append(slopes[-1] + bend)
    steepest = max(map(abs, slopes)) * 2.0**-curve.slope_fraction
    return (off + 2 * _ULP) * steepest + _own_error(curve, inside, least)


def _own_error(curve: layers.Curve, inside: Interval, least: float) -> float:
    """The curve's own error for arguments ``inside``, of which the least is ``least``."""
    own = curve.error
    if curve.name in _RELATIVE:
        own *= (1 / least if curve.name == "reciprocal" else 1 / math.sqrt(least)) if least > 0 else math.inf
    if curve.name == "leaky":
        own *= float(max(inside[0].abs().max(), inside[1].abs().max()))  # a rounded slope counts by the input's size
    return own
