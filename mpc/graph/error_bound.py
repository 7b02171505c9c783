"""How far a private value can be from the float network's, proven: what regression tells beside its values.

Every layer passes on what its inputs may be off by, and adds its own: rounding, the curve's stated error, and the cut
of a gate.  All with intervals, for every input within the limit, so the bound is far above what is ever met.  A network
that scales a value by a power of two found in steps (a norm, a reciprocal of a wide range) has no bound here: next to a
step each factor jumps, and only their product does not.
"""

from __future__ import annotations

import math

import torch

from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.plan import ModelPlan, Weights
from sotto.mpc.graph.ranges import Interval, interval

_ULP = 2.0**-16
_RELATIVE = ("reciprocal", "rsqrt")  # curves whose error is relative to the function's value


def error_bound(plan: ModelPlan, weights: Weights) -> float | None:
    """The largest error of any output for inputs within the plan's limit; None where no bound is proven."""
    limit = torch.full((1, *plan.input_shape), plan.input_limit + _ULP, dtype=torch.float64)
    values: list[Interval] = [(-limit, limit)]
    errors = [torch.full_like(limit, _ULP / 2)]
    with torch.no_grad():
        for number, layer in enumerate(plan.layers):
            own = {name: torch.tensor(tensor).double() for name, tensor in weights.get(number, {}).items()}
            curve = plan.curves[layer.curve] if isinstance(layer, layers.Bend) else None
            if curve and curve.steps:
                return None
            inputs = [values[source] for source in layer.sources]
            off = [errors[source] for source in layer.sources]
            values.append(interval(layer, own, inputs, curve))
            errors.append(_passed(layer, own, inputs, off, curve) + 4 * _ULP)
    largest = float(errors[-1].max())
    return largest if math.isfinite(largest) else None


def error_bits(plan: ModelPlan, weights: Weights) -> int | None:
    """The least b with every error of an output below 2^b, at least -64; None where no useful bound is proven."""
    bound = error_bound(plan, weights)
    return None if bound is None or bound > 2.0**64 else max(-64, math.frexp(bound)[1])


def _passed(
    layer: layers.Layer,
    own: dict[str, torch.Tensor],
    inputs: list[Interval],
    off: list[torch.Tensor],
    curve: layers.Curve | None,
) -> torch.Tensor:
    """What the inputs' errors become, and what the layer adds beyond a few units in the last place."""
    sizes = [low.abs().maximum(high.abs()) for low, high in inputs]
    match layer:
        case layers.Constant():
            return torch.zeros((1, *layer.shape), dtype=torch.float64)
        case layers.Convolution() | layers.Linear() | layers.ChannelAffine() | layers.Scale():
            multiplier = "scale" if "scale" in own else "weight"
            still = {name: torch.zeros_like(tensor) for name, tensor in own.items() if name != multiplier}
            size = own[multiplier].abs()
            carried = layer_output(layer, {multiplier: size + _ULP, **still}, [off[0] + _ULP])
            return carried + layer_output(layer, {multiplier: torch.full_like(size, _ULP), **still}, [sizes[0]])
        case layers.Bend() if curve is not None:
            return _bent(curve, inputs[0], off[0])
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


def _bent(curve: layers.Curve, inside: Interval, off: torch.Tensor) -> torch.Tensor:
    """The steepest slope times the input's error, and the curve's own."""
    slopes = [curve.slope]
    for _, bend, _ in curve.knots:
        slopes.append(slopes[-1] + bend)
    steepest = max(map(abs, slopes)) * 2.0**-curve.slope_fraction
    own = curve.error
    if curve.name in _RELATIVE:
        least = float(inside[0].min())
        own *= (1 / least if curve.name == "reciprocal" else 1 / math.sqrt(least)) if least > 0 else math.inf
    if curve.name == "leaky":
        own *= float(max(inside[0].abs().max(), inside[1].abs().max()))  # a rounded slope counts by the input's size
    return (off + 2 * _ULP) * steepest + own
