"""What a plan itself says of its approximated functions: a proven bound of each, for everybody who has the plan.

Of a function whose argument is exact, for whatever argument its range allows; no weight is in it.  What a whole network
makes of such errors depends on its weights (:mod:`sotto.mpc.graph.bounds.error_bound`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.bounds.function_bound import ULP, Wide, wide_functions
from sotto.mpc.graph.bounds.norm_bound import Norm, norms
from sotto.mpc.graph.curves import HELD
from sotto.mpc.graph.plan import Curve, ModelPlan


@dataclass(frozen=True)
class FunctionBound:
    """A bound of one layer of a plan, the last of those that make a function.

    Attributes
    ----------
    layer
        its number.
    function
        in words.
    absolute, relative
        the private value is within ``absolute`` + ``relative`` · \\|value\\| of the float function's.
    condition
        what else has to be said, empty where nothing has.
    """

    layer: int
    function: str
    absolute: float
    relative: float = 0.0
    condition: str = ""

    def __str__(self) -> str:
        sizes = [f"{self.absolute:.2g}"] if self.absolute else []
        sizes += [f"{self.relative:.2g} of its value"] if self.relative else []
        stated = f"layer {self.layer}, {self.function}: within {' and '.join(sizes)}"
        return f"{stated}; {self.condition}" if self.condition else stated


def function_bounds(plan: ModelPlan) -> tuple[FunctionBound, ...]:
    """The bounds of all approximated functions of ``plan``, norms among them, in the order of its layers."""
    return tuple(_bounds(plan))


def _bounds(plan: ModelPlan) -> Iterator[FunctionBound]:
    wide = wide_functions(plan)
    ends = norms(plan, wide)
    inner = frozenset().union(*(each.inner for each in wide.values()))
    roots = {id(norm.root) for norm in ends.values()}
    for number, layer in enumerate(plan.layers):
        if number in ends:
            yield _norm(number, ends[number])
        elif number in wide and id(wide[number]) not in roots:
            yield _wide(number, wide[number])
        elif isinstance(layer, layers.Bend) and number + 1 not in inner and number not in wide:
            curve = plan.curves[layer.curve]
            if curve.name == HELD:
                yield _held(number, curve)
            elif curve.error and curve.name != "leaky":
                yield _curve(number, curve)


def _curve(number: int, curve: Curve) -> FunctionBound:
    if curve.name in ("reciprocal", "rsqrt"):
        return FunctionBound(number, curve.name, ULP, curve.error)
    drift = curves.drift(curve)
    grows = f"plus {drift:.2g} of its argument, whose slope is rounded" if drift else ""
    return FunctionBound(number, curve.name, curve.error + ULP, condition=grows)


def _held(number: int, curve: Curve) -> FunctionBound:
    bound = curve.knots[-1][0] * 2.0**-curve.fraction
    condition = f"held within ±{bound:g}: of a value that the float network has beyond, no bound is proven"
    return FunctionBound(number, "argument of a polynomial", ULP, condition=condition)


def _wide(number: int, wide: Wide) -> FunctionBound:
    name = f"{wide.name} of a wide range"
    match wide.name:
        case "log":
            return FunctionBound(number, name, wide.absolute)
        case "sqrt":
            return FunctionBound(number, name, wide.first_octave + ULP, wide.growing)
    return FunctionBound(number, name, ULP, wide.relative)


def _norm(number: int, norm: Norm) -> FunctionBound:
    """The largest input that 1 / s was rounded for is 2^(inverse - 15)."""
    error = norm.error(0.0, 2.0 ** (norm.inverse - 15))
    half = (1 + math.sqrt(norm.count)) / 2
    condition = (
        f"an error of its input counts at most {norm.magnifies():.3g} times, "
        f"or {half:.3g} / sqrt(v + {norm.epsilon:.3g}) times at a variance of v or more"
    )
    return FunctionBound(number, f"norm of {norm.count} elements", error, condition=condition)
