"""Functions as public piecewise linear curves in whole numbers, each with a proven bound on its error.

Knots lie where a function bends: their density follows the root of the second derivative, which spreads the error of
linear interpolation evenly, and values at the knots are moved by half the sag of their neighbours, which halves it.
Slopes are rounded to a few fraction bits one after the other, each making good what the one before it missed, so that
rounding does not add up.

The bound holds for every real input, but that of a scaled ELU grows with it (:func:`drift`).  Between two points at
distance h the error of a line against f is at most the larger of its errors at both plus h² / 8 times the largest
\\|f''\\|, which each function states below; beyond the first and the last knot f approaches a line monotonically, so
the error lies between that at the knot and that at infinity.
Functions without such lines (``reciprocal`` and its kind) are fitted to the interval that their input is proven to
stay in.  Source of the error of interpolation: any text on numerical analysis, Davis 1963, theorem 3.1.1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.plan import MAX_KNOTS, Curve

Floats = npt.NDArray[np.float64]

HELD = "held"  # the name of the curve that keeps a polynomial's argument within bounds, and is the identity there

_GRID = 8192  # points on which the density of knots is integrated
_BETWEEN = 512  # points between two knots at which the error is taken


@dataclass(frozen=True)
class Smooth:
    """A function to fit: ``curvature(a, b)`` bounds |f''| on [a, b]; ``left`` and ``right`` are the lines (slope,
    intercept) it approaches beyond ``domain``, None where it is needed on the domain alone."""

    name: str
    function: Callable[[Floats], Floats]
    curvature: Callable[[float, float], float]
    domain: tuple[float, float]
    left: tuple[float, float] | None = None
    right: tuple[float, float] | None = None
    relative: bool = False  # whether the tolerance is relative to the function's value
    corner: bool = False  # whether it turns from the left line at once, and not smoothly
    positive: bool = False  # whether the curve must have no negative value


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def _gelu(x: Floats) -> Floats:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _tanh_gelu(x: Floats) -> Floats:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


#: name -> function, bound of |f''|, slope and intercept on the left and on the right
_ACTIVATIONS: dict[str, tuple[Callable[[Floats], Floats], float, tuple[float, float], tuple[float, float]]] = {
    "tanh": (np.tanh, 0.77, (0, -1), (0, 1)),
    "sigmoid": (_sigmoid, 0.0963, (0, 0), (0, 1)),
    "softplus": (_softplus, 0.25, (0, 0), (1, 0)),
    "log_sigmoid": (lambda x: -_softplus(-x), 0.25, (1, 0), (0, 0)),
    "gelu": (_gelu, 0.798, (0, 0), (1, 0)),
    "tanh_gelu": (_tanh_gelu, 1.0, (0, 0), (1, 0)),
    "silu": (lambda x: x * _sigmoid(x), 0.5, (0, 0), (1, 0)),
    "mish": (lambda x: x * np.tanh(_softplus(x)), 0.75, (0, 0), (1, 0)),
    "erf": (np.vectorize(math.erf), 0.97, (0, -1), (0, 1)),
}
ACTIVATIONS = frozenset(_ACTIVATIONS)


@cache
def activation(name: str, tolerance: float) -> Curve:
    """One of :data:`ACTIVATIONS` within ``tolerance`` everywhere."""
    function, curvature, left, right = _ACTIVATIONS[name]
    reach = 2.0
    while any(
        abs(float(function(np.array([x]))[0]) - slope * x - at) > tolerance / 4
        for x, (slope, at) in ((-reach, left), (reach, right))
    ):
        reach += 0.25
    return fit(Smooth(name, function, lambda a, b: curvature, (-reach, reach), left, right), tolerance)


@cache
def elu(alpha: float, scale: float, inner: float, tolerance: float) -> Curve:
    """scale · x for x >= 0, scale · alpha · (exp(x · inner) - 1) below: ELU, SELU and CELU."""
    height = scale * alpha
    reach = max(1.0, math.log(max(4 * abs(height) / tolerance, 4.0)) / inner)
    smooth = Smooth(
        "elu", lambda x: np.where(x < 0, height * np.expm1(np.minimum(x, 0) * inner), scale * x),
        lambda a, b: abs(height) * inner**2 * math.exp(min(b, 0.0) * inner), (-reach, 0.0), (0, -height), (scale, 0),
    )  # fmt: skip
    return fit(smooth, tolerance)


@cache
def exponential(low: float, high: float, tolerance: float) -> Curve:
    """exp(x) for x in [``low``, ``high``]; what lies far below is zero.  No value is negative, so that sums are not."""
    reach = min(high - 1.0, math.log(tolerance / 4))
    if high > 20:
        raise ModelRefused(
            "exponent-too-large", f"the argument of an exponential can reach {high:.3g}: clamp it, or lower input_limit"
        )
    left = (0.0, 0.0) if low < reach else None
    smooth = Smooth("exp", np.exp, lambda a, b: math.exp(b), (max(low, reach), high), left, positive=True)
    return fit(smooth, tolerance)


_POSITIVE: dict[str, tuple[Callable[[Floats], Floats], Callable[[float, float], float], bool]] = {
    "reciprocal": (lambda x: 1 / x, lambda a, b: 2 / a**3, True),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda a, b: 0.75 * a**-2.5, True),
    "sqrt": (np.sqrt, lambda a, b: 0.25 * a**-1.5, False),
    "log": (np.log, lambda a, b: 1 / a**2, False),
}


@cache
def positive(name: str, low: float, high: float, tolerance: float, fraction: int = 16, *, flat: bool = False) -> Curve:
    """reciprocal, rsqrt (both within ``tolerance`` relative to their value), sqrt or log on [``low``, ``high``].

    ``flat``: below ``low`` its value there.  A root is always flat there: its argument is next to 0, or by what was
    rounded below 0, and is within ``tolerance`` of sqrt(max(x, 0)) if ``low`` is at most ``tolerance`` squared.
    """
    function, curvature, relative = _POSITIVE[name]
    left = (0.0, float(function(np.array([low]))[0])) if flat or name == "sqrt" else None
    smooth = Smooth(name, function, curvature, (low, high), left, relative=relative, corner=flat)
    curve = fit(smooth, tolerance, fraction)
    if name == "sqrt" and low <= tolerance**2:  # at 0 the curve is what it is at ``low``
        at_zero = _upward(float(value(curve, np.array([low]))[0]))
        curve = msgspec.structs.replace(curve, error=max(curve.error, at_zero))
    return curve


def fit(smooth: Smooth, tolerance: float, fraction: int = 16) -> Curve:
    """The curve of fewest knots, up to some per cent, whose proven error is at most ``tolerance``."""
    low, high = smooth.domain
    grid = np.geomspace(low, high, _GRID) if low > 0 and high > 8 * low else np.linspace(low, high, _GRID)
    bends = _bends(smooth, grid)
    total = bends[-1]
    pieces = max(1, math.ceil(total / math.sqrt(16 * tolerance)))
    while pieces < MAX_KNOTS:
        places = np.interp(np.linspace(0, total, pieces + 1), bends, grid)
        knots = np.unique(np.rint(places * 2.0**fraction).astype(np.int64))
        for bits in range(_least_bits(smooth, places, tolerance), 41):
            curve = _rounded(smooth, knots, fraction, bits)
            error = bound(curve, smooth)
            if error <= tolerance:
                return msgspec.structs.replace(curve, error=min(_upward(error), tolerance))
            if bits > _least_bits(smooth, places, tolerance) + 3:
                break
        pieces += max(1, pieces // 24)
    raise ModelRefused(
        "too-many-knots",
        f"'{smooth.name}' on [{low:.3g}, {high:.3g}] needs more than {MAX_KNOTS} knots for an error of "
        f"{tolerance:g}: raise activation_error or lower input_limit",
    )


def _upward(error: float) -> float:
    """Three digits of it, rounded up."""
    unit = 10.0 ** (math.floor(math.log10(error)) - 2) if error > 0 else 1.0
    return max(error, math.ceil(error / unit) * unit)


def _bends(smooth: Smooth, grid: Floats) -> Floats:
    """The integral of sqrt(|f''|), by which knots are spread; relative to f where the tolerance is."""
    middle = (grid[1:] + grid[:-1]) / 2
    step = np.diff(grid)
    h = step / 2
    second = np.abs(smooth.function(middle + h) - 2 * smooth.function(middle) + smooth.function(middle - h)) / h**2
    if smooth.relative:
        second = second / np.abs(smooth.function(middle))
    density = np.sqrt(second) + min(1e-6, 1e-3 / float(grid[-1] - grid[0]))
    return np.concatenate([[0.0], np.cumsum(density * step)])


def _least_bits(smooth: Smooth, places: Floats, tolerance: float) -> int:
    lengths = np.diff(places)
    allowed = np.full(len(lengths), tolerance)
    if smooth.relative:
        allowed = tolerance * np.abs(smooth.function(places[1:]))
    return max(4, math.ceil(math.log2(float((lengths / (0.3 * allowed)).max()))))


def _rounded(smooth: Smooth, knots: npt.NDArray[np.int64], fraction: int, bits: int) -> Curve:
    """Lines through the function at the knots, slopes rounded to ``bits``."""
    at = knots / 2.0**fraction
    values = smooth.function(at)
    sag = (smooth.function((at[1:] + at[:-1]) / 2) - (values[1:] + values[:-1]) / 2) / 2
    lift = np.concatenate([[sag[0]], (sag[1:] + sag[:-1]) / 2, [sag[-1]]])
    if smooth.left and not smooth.corner:
        lift[0] = 0
    if smooth.right:
        lift[-1] = 0
    moved = (values + lift).clip(min=0) if smooth.positive else values + lift
    wanted = np.rint(moved * 2.0 ** (fraction + bits)).astype(object)
    slopes, value = [], wanted[0]
    for start, stop, target in zip(knots[:-1], knots[1:], wanted[1:], strict=True):
        slope = _divided(int(target) - int(value), int(stop - start))
        if smooth.positive and int(value) + slope * int(stop - start) < 0:
            slope += 1
        slopes.append(slope)
        value = int(value) + slope * int(stop - start)
    before = round(smooth.left[0] * 2**bits) if smooth.left else slopes[0]
    after = round(smooth.right[0] * 2**bits) if smooth.right else slopes[-1]
    lines = [before, *slopes, after]
    bent = [
        (int(knot), new - old, 0)
        for knot, old, new in zip(knots, lines[:-1], lines[1:], strict=True)
        if new != old
    ]  # fmt: skip
    constant = int(wanted[0]) - before * int(knots[0])
    return Curve(smooth.name, fraction, bits, constant, before, tuple(bent), 0.0)


def _divided(numerator: int, denominator: int) -> int:
    """The nearest whole quotient."""
    return (2 * numerator + denominator) // (2 * denominator)


def bound(curve: Curve, smooth: Smooth) -> float:
    """A proven bound on |curve - f| (or on it over |f|) for every input."""
    low, high = smooth.domain
    inner = [knot / 2.0**curve.fraction for knot, _, _ in curve.knots]
    ends = np.array(sorted({low, high, *(each for each in inner if low < each < high)}))
    own = value(curve, ends)
    worst = 0.0
    for a, b, first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), own[:-1], own[1:], strict=True):
        x = np.linspace(a, b, _BETWEEN + 1)
        y = smooth.function(x)
        error = np.abs(y - np.linspace(first, last, _BETWEEN + 1))  # a line between two knots
        between = np.maximum(error[1:], error[:-1]) + smooth.curvature(a, b) * ((b - a) / _BETWEEN) ** 2 / 8
        if smooth.relative:
            between = between / np.minimum(np.abs(y[1:]), np.abs(y[:-1]))
        worst = max(worst, float(between.max()))
    for line, end in ((smooth.left, low), (smooth.right, high)):
        if line is not None:
            slope, intercept = line
            at = np.array([end])
            height = float(value(curve, at)[0]) - slope * end  # the curve's line has this slope too
            missed = abs(float(smooth.function(at)[0]) - slope * end - height)
            worst = max(worst, missed, abs(intercept - height))
    return worst


def value(curve: Curve, x: Any) -> Any:
    """The curve at ``x``, a float array of NumPy or PyTorch."""
    unit, both = 2.0**-curve.fraction, 2.0 ** -(curve.fraction + curve.slope_fraction)
    result = x * (curve.slope * 2.0**-curve.slope_fraction) + curve.constant * both
    for knot, bend, jump in curve.knots:
        at = knot * unit
        above = x >= at
        result = result + above * ((x - at) * (bend * 2.0**-curve.slope_fraction) + jump * both)
    return result


def steepest(curve: Curve, low: float = -math.inf) -> float:
    """The largest absolute slope from ``low`` on."""
    slopes = list(itertools.accumulate((bend for _, bend, _ in curve.knots), initial=curve.slope))
    passed = sum(knot * 2.0**-curve.fraction <= low for knot, _, _ in curve.knots)
    return max(map(abs, slopes[passed:])) * 2.0**-curve.slope_fraction


def drift(curve: Curve) -> float:
    """By how much the error of an ELU's curve grows with its argument: an outer slope that is not whole is rounded."""
    outer = curve.slope + sum(bend for _, bend, _ in curve.knots)
    whole = curve.name != "elu" or outer % 2**curve.slope_fraction == 0
    return 0.0 if whole else 2.0 ** -(curve.slope_fraction + 1)


def bounds(curve: Curve, low: Any, high: Any) -> tuple[Any, Any]:
    """Least and largest value of the curve on [``low``, ``high``], float64 tensors."""
    first, last = value(curve, low), value(curve, high)
    least, largest = first.minimum(last), first.maximum(last)
    lowest, highest = float(low.min()), float(high.max())
    for at, below, above in _turns(curve):
        if lowest <= at <= highest:
            outside = (low > at) | (high < at)
            least = least.where(outside, least.clamp(max=min(below, above)))
            largest = largest.where(outside, largest.clamp(min=max(below, above)))
    return least, largest


@cache
def _turns(curve: Curve) -> tuple[tuple[float, float, float], ...]:
    """Each knot, and the values to its left and at it."""
    at = np.array([knot for knot, _, _ in curve.knots]) * 2.0**-curve.fraction
    here = value(curve, at)
    jumps = np.array([float(jump) for _, _, jump in curve.knots]) * 2.0 ** -(curve.fraction + curve.slope_fraction)
    return tuple(zip(at.tolist(), (here - jumps).tolist(), here.tolist(), strict=True))


def exact(name: str, points: Sequence[tuple[float, float]], slopes: tuple[float, float]) -> Curve:
    """The continuous curve through ``points`` with ``slopes`` before the first and after the last; the error says what
    rounding slopes and knots to 16 fraction bits costs within one unit of a knot, and is 0 where nothing is rounded."""
    fraction, bits = 16, 16
    lines = [slopes[0]]
    lines += [(y - v) / (x - u) for (u, v), (x, y) in itertools.pairwise(points)]
    lines.append(slopes[1])
    scaled = [round(line * 2**bits) for line in lines]
    while bits and all(each % 2 == 0 for each in scaled):
        scaled, bits = [each // 2 for each in scaled], bits - 1
    knots = [round(x * 2**fraction) for x, _ in points]
    bent = tuple((k, new - old, 0) for k, old, new in zip(knots, scaled[:-1], scaled[1:], strict=True) if new != old)
    constant = round(points[0][1] * 2 ** (fraction + bits)) - scaled[0] * knots[0]
    rounded = max(abs(line - each / 2**bits) for line, each in zip(lines, scaled, strict=True))
    moved = max(abs(x - knot / 2**fraction) for (x, _), knot in zip(points, knots, strict=True))
    return Curve(name, fraction, bits, constant, scaled[0], bent, rounded + moved * max(map(abs, lines)))


def stairs(name: str, steps: Sequence[tuple[float, float]], start: float, fraction: int, value_fraction: int) -> Curve:
    """``start`` at first, and from each place on the value that goes with it: (place, value) with places rising."""
    before, knots = round(start * 2**value_fraction), []
    for place, height in steps:
        after = round(height * 2**value_fraction)
        knots.append((round(place * 2**fraction), 0, after - before))
        before = after
    first = round(start * 2**value_fraction)
    return Curve(name, fraction, value_fraction - fraction, first, 0, tuple(knots), 0.0)
