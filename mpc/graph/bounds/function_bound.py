"""How far a reciprocal, root or logarithm can be from the float network's, proven.

Two things part them.  The argument u' is not the float network's u, but within d of it; and the curve is not the
function.  Of the first, by the mean value theorem, where u >= a and u' >= b:

    |1/u - 1/u'|   <= d / (a b)
    |1/√u - 1/√u'| <= d / (√a √b (√a + √b))
    |√u - √u'|     <= d / (√a + √b), and at most √d
    |log u - log u'| <= d / min(a, b)

and the same of a function of √u where √u is what is known to move by little.

The second, with a curve of its own for a narrow range, is the error that stands with the curve.

**A wide range** is scaled into a narrow one, by a power of two that is found in steps
(:meth:`sotto.mpc.lowering.graph_builder.Builder.reciprocal` and its kind): u = s · base^j with s in [1, base), and
f(u) = f(s) · g(j), or log s + j log 2.  Layer by layer nothing can be said of it: next to a step each factor jumps,
and only their product does not.  Together:

*   all layers ask for j at one rounded word r, whatever it is, so they take the same j, and what comes out is near
    f(r + epsilon) whether or not j is the float network's;
*   r is off by what u was, a unit of its rounding, and the rounding of epsilon: d above;
*   s = (r + epsilon) / base^j has words that are cut by a few units, the curve an error of its own, and so has the
    product of both: for a reciprocal or its root this is a relative error, the same in every octave, since f(s) is
    never below 0.49 where s is at most 2.04 or 4.1; a root has it absolute, times g(j), which is at most √u or that
    of the first octave; a logarithm has it absolute.

All errors are of single elements.  Holds in all modes: what these layers need below 2^-16 no mode cuts
(:mod:`sotto.mpc.graph.compiler`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.plan import Curve, ModelPlan

ULP = 2.0**-16
FLOAT = 2.0**-24  # relative, of a value told as float32, and of a tensor worked out from others and kept so
_UNITS = 6  # that the words of s, of f(s) and of their product can be cut by
_LEAST = 0.49  # of 1 / s and 1 / √s in the interval that s is scaled into

#: By name the float functions, for float64 tensors.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
    "sqrt": lambda x: x.clamp(min=0).sqrt(),
    "log": torch.log,
}

#: The names of a wide function's curves: of s, of 1 / base^j, of what depends on j.
_PARTS = {
    ("reciprocal", "powers", "powers"),
    ("rsqrt", "powers", "roots"),
    ("sqrt", "powers", "roots"),
    ("log", "powers", "logs"),
}


def moved(name: str, exact: Tensor, private: Tensor, off: Tensor) -> Tensor:
    """How far f moves when its argument, at least ``exact``, moves by ``off`` and stays at least ``private``."""
    if name == "sqrt":
        roots = exact.clamp(min=0).sqrt() + private.clamp(min=0).sqrt()
        return off.sqrt().minimum(off / roots.clamp(min=1e-300))
    positive = (exact > 0) & (private > 0)
    a, b = exact.where(positive, 1.0), private.where(positive, 1.0)
    match name:
        case "reciprocal":
            bound = off / (a * b)
        case "rsqrt":
            bound = off / (a.sqrt() * b.sqrt() * (a.sqrt() + b.sqrt()))
        case _:
            bound = off / a.minimum(b)
    return bound.where(positive, math.inf)


def moved_root(name: str, exact: Tensor, private: Tensor, root: Tensor, off: Tensor) -> Tensor:
    """The same where the argument's root moves by ``root``, and then the argument by ``off``."""
    root = root + moved("sqrt", exact, private, off)
    if name == "sqrt":
        return root
    a = exact.clamp(min=0).sqrt()
    b = (a - root).maximum(private.clamp(min=0).sqrt())
    match name:
        case "reciprocal":
            slope = (a + b) / (a * b) ** 2
        case "rsqrt":
            slope = 1 / (a * b)
        case _:
            slope = 2 / a.minimum(b)
    return (slope * root).nan_to_num(math.inf, math.inf)


@dataclass(frozen=True, repr=False)
class Argument:
    """What is known of a function's argument, elements (1, *shape): the float network's is at least ``exact``, the
    private one in [``private``, ``most``], and off by ``off``.  ``root``: by how much the root of the private one is
    off before ``after`` is added to it, where that is known, too."""

    exact: Tensor
    private: Tensor
    most: Tensor
    off: Tensor
    root: Tensor | None = None
    after: Tensor | None = None

    def rounded(self, unit: float) -> Argument:
        """The private one moved by ``unit`` at most, but not below 0 where its root is known."""
        private = self.private - unit
        if self.root is not None:
            private = private.maximum(self.private.clamp(max=0))
        after = None if self.after is None else self.after + unit
        return replace(self, private=private, most=self.most + unit, off=self.off + unit, after=after)

    def plus(self, constant: float, error: float) -> Argument:
        """A constant added to both, off by ``error``."""
        after = None if self.after is None else self.after + error
        return replace(
            self, exact=self.exact + constant - error, private=self.private + constant, most=self.most + constant,
            off=self.off + error, after=after,
        )  # fmt: skip

    def moves(self, name: str) -> Tensor:
        """How far the function moves."""
        private = self.private.maximum(self.exact - self.off)
        bound = moved(name, self.exact, private, self.off)
        if self.root is None or self.after is None:
            return bound
        return bound.minimum(moved_root(name, self.exact, private, self.root, self.after))


def own_error(curve: Curve, private: Tensor) -> Tensor:
    """The curve's own error for arguments of at least ``private``: relative to the value, which falls, or absolute."""
    if curve.name not in ("reciprocal", "rsqrt"):
        return torch.full_like(private, curve.error)
    return (curve.error * FUNCTIONS[curve.name](private)).where(private > 0, math.inf)


@dataclass(frozen=True)
class Wide:
    """A function of a wide range in a plan: of value ``source`` + ``epsilon``.

    ``rounded``: fraction bits at which the power is found.  ``curve``: that of s.  ``first``: what depends on j in the
    first octave.  ``inner``: the values on the way, which mean nothing alone.
    """

    source: int
    rounded: int
    epsilon: float
    epsilon_error: float  # how far it can be from the float network's
    curve: Curve
    first: float
    inner: frozenset[int]

    @property
    def name(self) -> str:
        return self.curve.name

    @property
    def argument_error(self) -> float:
        """By how much the argument is off for exact x: its rounding, and that of epsilon."""
        return 2.0 ** (1 - self.rounded) + self.epsilon_error

    @property
    def relative(self) -> float:
        """The error of a reciprocal or its root over the value, for an exact argument."""
        return self.curve.error + _UNITS * ULP * (1 + curves.steepest(self.curve)) / _LEAST

    def of(self, x: Tensor) -> Tensor:
        """The float network's function."""
        return FUNCTIONS[self.name](x + self.epsilon)

    def error(self, inside: Argument) -> Tensor:
        """For the argument before epsilon is added."""
        inside = inside.rounded(2.0 ** (1 - self.rounded)).plus(self.epsilon, self.epsilon_error)
        return inside.moves(self.name) + self.own(inside.private, inside.most)

    def own(self, least: Tensor, most: Tensor) -> Tensor:
        """What the layers add for private arguments in [``least``, ``most``]."""
        match self.name:
            case "log":
                return torch.full_like(most, self.absolute)
            case "sqrt":
                return (most.clamp(min=0).sqrt() * self.growing).clamp(min=self.first_octave) + ULP
        return (self.relative * FUNCTIONS[self.name](least)).where(least > 0, math.inf) + ULP

    @property
    def absolute(self) -> float:
        """The error of a logarithm for an exact argument."""
        return self.curve.error + _UNITS * ULP * (2 + curves.steepest(self.curve))

    @property
    def first_octave(self) -> float:
        """The error of a root in the first octave, where s may be 0: a root moves by the root of what is cut."""
        return self.first * (self.curve.error + math.sqrt(_UNITS * ULP) + _UNITS * ULP)

    @property
    def growing(self) -> float:
        """The error of a root over its value in all other octaves, where s is next to 1 or above."""
        return (self.curve.error + _UNITS * ULP * (1 + curves.steepest(self.curve, 0.98))) / 0.98


def factor_error(layer: layers.Times) -> float:
    """How far a public factor of the plan can be from the float network's; those of few bits are exact."""
    if abs(layer.factor) < 1 << 17 and layer.shift < 40:
        return 0.0
    return max(abs(layer.factor) * 2.0 ** (-18 - layer.shift), 2.0**-41)


def wide_functions(plan: ModelPlan) -> dict[int, Wide]:
    """The functions of a wide range, by the number of the layer that makes their value."""
    found = ((number, _wide(plan, layer)) for number, layer in enumerate(plan.layers))
    return {number: wide for number, wide in found if wide}


def _wide(plan: ModelPlan, last: layers.Layer) -> Wide | None:
    """What ends in ``last``, if :mod:`sotto.mpc.lowering.graph_builder` made it of a function of a wide range."""
    walk = Walk(plan)
    if not isinstance(last, layers.Multiply | layers.Add):
        return None
    main, part = walk.inner(last.source), walk.inner(last.other)
    if not isinstance(main, layers.Bend) or not isinstance(part, layers.Bend):
        return None
    scaled, added = walk.inner(main.source), 0
    epsilon = epsilon_error = 0.0
    if isinstance(scaled, layers.Add):
        added, scaled = scaled.other, walk.inner(scaled.source)
    if not isinstance(scaled, layers.Multiply):
        return None
    powers, rounded = walk.inner(scaled.other), walk.at(scaled.source)
    if not isinstance(powers, layers.Bend) or not isinstance(rounded, layers.Round):
        return None
    if added:
        multiple = walk.multiple(added, scaled.other)
        if multiple is None or multiple[0] <= 0:
            return None
        epsilon, epsilon_error = multiple
    curve, steps, stairs = (plan.curves[each.curve] for each in (main, powers, part))
    if (curve.name, steps.name, stairs.name) not in _PARTS or not (steps.steps and stairs.steps):
        return None
    if not powers.source == part.source == scaled.source or isinstance(last, layers.Add) != (curve.name == "log"):
        return None
    first = stairs.constant * 2.0 ** -(stairs.fraction + stairs.slope_fraction)
    return Wide(rounded.source, rounded.fraction, epsilon, epsilon_error, curve, first, frozenset(walk.seen))


class Walk:
    """From values to the layers that make them, past those that only shape them anew; None for the input."""

    def __init__(self, plan: ModelPlan) -> None:
        self._plan = plan
        self.seen: set[int] = set()

    def number(self, value: int) -> int:
        """The value itself, before it was shaped anew."""
        while value and isinstance(layer := self._plan.layers[value - 1], layers.Reshape):
            value = layer.source
        return value

    def at(self, value: int) -> layers.Layer | None:
        return self._plan.layers[value - 1] if (value := self.number(value)) else None

    def inner(self, value: int) -> layers.Layer | None:
        """The same of a value that means nothing alone, which is noted."""
        self.seen.add(value)
        while value and isinstance(layer := self._plan.layers[value - 1], layers.Reshape):
            value = layer.source
            self.seen.add(value)
        return self._plan.layers[value - 1] if value else None

    def multiple(self, value: int, base: int) -> tuple[float, float] | None:
        """What public number times ``base`` the ``value`` is, which means nothing alone, and how far off it can be."""
        factor, error = 1.0, 0.0
        while layer := self.inner(value):
            if self.number(value) == self.number(base):
                return factor, error
            if not isinstance(layer, layers.Times):
                return None
            own, inexact = layer.factor / 2**layer.shift, factor_error(layer)
            factor, error = factor * own, error * (abs(own) + inexact) + abs(factor) * inexact
            value = layer.source
        return (factor, error) if not self.number(base) else None
