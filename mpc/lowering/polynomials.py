"""Polynomials of a value, recognised in whatever arithmetic they are written, and evaluated with few products.

A Horner scheme, powers, squares, a residual sum around them: while a value is combined with itself and with numbers
alone, it is known as a polynomial of its base, and laid out anew from that.  With s = \\|a_d\\|^(1/d) and u = s x a
polynomial of degree d has the leading coefficient 1 or -1; of secret coefficients that sign is public, which of them
are 0, and the bound of an argument that is held.  s goes into the weights of the layer before; where coefficients are
numbers of the module's code, s is a power of two.  A square with small b and c is completed, u^2 + b u + c =
(u + b/2)^2 + c - b^2/4, and what is even but for its linear term is a polynomial of half the degree in u^2, so degrees
2, 4 and 6 take one, two and three products.

A polynomial grows without bound where its argument does, and the bounds of a few layers multiply: what could come above
2^25 would leave the words of the layers that follow.  Such an argument is held, by a comparison, within the largest
power of two that keeps the polynomial below 2^17, far beyond anything that a network trained with polynomials and a
batch norm was trained on: |x| <= 512, 32 and 16 at least for ReLU's of degree 2, 4 and 6.  Within these bounds nothing
changes; where they could be left, no bound of the error is proven.  A plain power is never held: it may be an energy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.polynomial import Polynomial

from sotto.mpc.graph import curves
from sotto.mpc.lowering.graph_builder import Builder
from sotto.mpc.lowering.linear_builder import Wire

_LARGEST_DEGREE = 16
_MOST, _HELD = 2.0**25, 2.0**17  # of a polynomial's value: beyond it is held, within what
_LEAST_BOUND = 8.0  # of u, whatever the degree
_COMPLETED = 16.0  # largest coefficient with which a square is completed: what cancels must not be large
_ARITHMETIC = frozenset("add sub subtract rsub mul multiply div divide true_divide neg negative square pow".split())  # noqa: SIM905


class _Of(NamedTuple):
    """``polynomial`` of every element of ``base``; ``secret``: a coefficient comes from Bob's tensors."""

    base: Wire
    polynomial: Polynomial
    secret: bool


class Polynomials:
    """The values of a plan in the making that are polynomials of others."""

    def __init__(self, build: Builder) -> None:
        self._build = build
        self._of: dict[Wire, _Of] = {}

    def of(self, name: str, arguments: Sequence[Any], options: Any) -> _Of | None:
        """What the operator ``name`` gives, where it keeps a polynomial one and its degree is above 0."""
        if name not in _ARITHMETIC or options:
            return None
        operands = [self._operand(each) for each in arguments]
        known = [each for each in operands if isinstance(each, _Of)]
        if None in operands or len({each.base for each in known}) != 1:
            return None
        base, shapes = known[0].base, {tuple(each.shape) for each in arguments if isinstance(each, torch.Tensor)}
        if any(len(shape) > len(base.shape) for shape in shapes):
            return None
        result = _applied(name, [each.polynomial if isinstance(each, _Of) else each for each in operands])
        if result is None or not 0 < (result := result.trim()).degree() <= _LARGEST_DEGREE:
            return None
        return _Of(base, result, bool(shapes) or any(each.secret for each in known))

    def note(self, wire: Wire, what: _Of) -> Wire:
        """Remember that ``wire`` is this polynomial."""
        self._of[wire] = what
        return wire

    def evaluated(self, what: _Of) -> Wire:
        """The value of a polynomial of degree 2 or more, remembered as such."""
        return self.note(_evaluated(self._build, *what), what)

    def _operand(self, value: Any) -> _Of | float | None:
        if isinstance(value, Wire):
            return self._of.get(value) or _Of(value, Polynomial([0.0, 1.0]), False)
        if isinstance(value, torch.Tensor):
            return float(value) if value.numel() == 1 and value.dtype.is_floating_point else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _applied(name: str, x: list[Any]) -> Polynomial | None:
    """The arithmetic over polynomials and numbers; None for what it is not."""
    one, two = x[0], x[1] if len(x) == 2 else None
    if len(x) == 1:
        return {"neg": lambda: -one, "negative": lambda: -one, "square": lambda: one**2}.get(name, lambda: None)()
    if two is None:
        return None
    match name:
        case "add":
            return one + two
        case "sub" | "subtract":
            return one - two
        case "rsub":
            return two - one
        case "mul" | "multiply":
            return one * two
        case "pow":
            whole = isinstance(two, float) and two.is_integer() and 1 <= two <= _LARGEST_DEGREE
            return one ** int(two) if whole and isinstance(one, Polynomial) else None
    return one / two if isinstance(two, float) and two else None


def _evaluated(build: Builder, base: Wire, polynomial: Polynomial, secret: bool) -> Wire:
    coefficients = np.asarray(polynomial.coef, np.float64)
    degree, leading = polynomial.degree(), float(coefficients[-1])
    scale = abs(leading) ** (1 / degree)
    if not secret:
        scale = 2.0 ** round(math.log2(scale))
    monic = Polynomial(coefficients / leading * scale ** (degree - np.arange(degree + 1)))
    u = _scaled(build, base, scale, secret)
    low, high = build.reach(u)
    if monic.coef[:-1].any() and _largest(monic, max(-low, high)) > _MOST:
        bound = _LEAST_BOUND
        while _largest(monic, 2 * bound) <= _HELD:
            bound *= 2
        u = build.bend(u, curves.exact(curves.HELD, [(-bound, -bound), (bound, bound)], (0, 0)), lambda x: x)
    rest = math.copysign(1.0, leading) if secret else leading / scale**degree
    return build.times(_monic(build, u, monic, secret), rest)


def _monic(build: Builder, u: Wire, q: Polynomial, secret: bool) -> Wire:
    """``q`` of ``u``, its leading coefficient 1."""
    c = q.coef
    if len(c) == 2:
        return build.add(u, float(c[0]))
    if len(c) == 3 and max(abs(c[1]), abs(c[0])) <= _COMPLETED:
        v = build.add(u, float(c[1]) / 2)
        return build.add(build.multiply(v, v), float(c[0] - c[1] ** 2 / 4))
    if len(c) % 2 and not c[3::2].any():
        rest = _monic(build, build.multiply(u, u), Polynomial(c[::2]), secret)
        return build.add(rest, _scaled(build, u, float(c[1]), secret)) if c[1] else rest
    higher = _monic(build, u, Polynomial(c[1:]), secret)
    return build.add(build.multiply(higher, u), float(c[0]))


def _scaled(build: Builder, wire: Wire, factor: float, secret: bool) -> Wire:
    if factor == 1.0 or not secret:
        return build.times(wire, factor)
    return build.scale(wire, torch.tensor(factor, dtype=torch.float64))


def _largest(monic: Polynomial, reach: float) -> float:
    """A bound on its absolute value within ±``reach``."""
    return float(Polynomial(np.abs(monic.coef))(reach))
