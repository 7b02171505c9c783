"""The public half of Bob's network: which layers, of which shapes, in which order.  No weight is in it.

Bob makes a plan from his module (:mod:`sotto.mpc.lowering.capture`) and sends it; Alice believes nothing of it:
:meth:`ModelPlan.shapes` works every shape out again and refuses what does not fit together or is too large,
before anything is allocated. Values are numbered: value 0 is the input, value i + 1 the output of layer i, and
a layer may use any earlier value.  All shapes are those of one example; the batch is an extra first axis
everywhere.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.mpc.errors import MpcError, PlanError
from sotto.mpc.graph.layers import MAX_ELEMENTS, Bend, Layer, Shape, checked, require

#: What Alice learns of each example.
Reveal: TypeAlias = Literal["class", "logits", "values"]

#: What ends a network and changes no class: Alice applies it to the logits she sees.
Final: TypeAlias = Literal["none", "softmax", "log_softmax", "sigmoid", "log_sigmoid"]

#: Bob's tensors: layer number -> parameter name -> float32 array.  Never part of a plan.
Weights: TypeAlias = dict[int, dict[str, npt.NDArray[np.float32]]]

#: For each value of a plan, the input first, a b with |value| < 2^b (:mod:`sotto.mpc.graph.ranges`).
Ranges: TypeAlias = tuple[int, ...]

MAX_LAYERS = 1 << 14  # a recurrent layer has some fifteen for each step
MAX_KNOTS = 512  # of one curve
MAX_CURVES = 256
MAX_NAME = 24  # of a curve, which messages are named after
#: Of all tensors; what a session takes must fit into memory besides (:mod:`sotto.mpc.protocols.memory`).
MAX_WEIGHTS = 1 << 30


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public piecewise linear function in whole numbers, and how far it is from the function it stands for.

        constant + slope · x + sum over knots t <= x of (jump + bend · (x - t))

    Knots are in units of 2^-``fraction``, slopes and bends of 2^-``slope_fraction``, constant and jumps of the product
    of both.  ``error`` bounds the distance from the function ``name`` over all inputs that can occur,
    but for what the rounded slope of a scaled ELU adds (:func:`sotto.mpc.graph.curves.drift`).
    """

    name: str
    fraction: int
    slope_fraction: int
    constant: int
    slope: int
    knots: tuple[tuple[int, int, int], ...]  # (t, bend, jump), t rising
    error: float

    @property
    def steps(self) -> bool:
        """Whether it is constant between its knots."""
        return not self.slope and not any(bend for _, bend, _ in self.knots)

    def check(self) -> None:
        """Raise :class:`PlanError` for numbers that no honest curve has."""
        named = self.name.isascii() and self.name.replace("_", "").isalpha() and len(self.name) <= MAX_NAME
        require(named, "a curve's name is no word")
        require(len(self.knots) <= MAX_KNOTS, f"a curve has more than {MAX_KNOTS} knots")
        require(0 <= self.fraction <= 40 and -40 <= self.slope_fraction <= 40, "a curve's units are out of range")
        require(self.fraction + self.slope_fraction >= 0, "a curve's units are out of range")
        places = [knot for knot, _, _ in self.knots]
        require(all(a < b for a, b in itertools.pairwise(places)), "a curve's knots do not rise")
        words = (self.constant, self.slope, *(each for knot in self.knots for each in knot))
        require(all(abs(word) < 1 << 60 for word in words), "a curve's numbers are out of range")
        require(math.isfinite(self.error) and self.error >= 0, "a curve's error is no number")


class ModelPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Input shape of one example, the largest absolute input value Alice may use, and the layers; the last one's
    output is the logits, one per class.  ``final`` is what Alice does to scores when she has them; ``public`` whether
    Bob tells everybody his weights."""

    input_shape: Shape
    input_limit: float
    layers: tuple[Layer, ...]
    curves: tuple[Curve, ...] = ()
    final: Final = "none"
    public: bool = False

    @property
    def classes(self) -> int:
        """Number of logits.  Raises :class:`PlanError` like :meth:`shapes`."""
        return self.shapes()[-1][0]

    def shapes(self) -> tuple[Shape, ...]:
        """Shape of every value, the input's first.  Raises :class:`PlanError` for a plan that does not hold."""
        return self._shapes

    @functools.cached_property
    def _shapes(self) -> tuple[Shape, ...]:
        require(0 < len(self.layers) <= MAX_LAYERS, f"a plan has 1 to {MAX_LAYERS} layers")
        require(math.isfinite(self.input_limit) and self.input_limit > 0, "the input limit is no positive number")
        require(len(self.curves) <= MAX_CURVES, f"a plan has at most {MAX_CURVES} curves")
        for curve in self.curves:
            curve.check()
        values = [checked(self.input_shape)]
        parameters = 0
        for number, layer in enumerate(self.layers):
            try:
                require(all(0 <= source < len(values) for source in layer.sources), "it uses a value not yet there")
                if isinstance(layer, Bend):
                    require(0 <= layer.curve < len(self.curves), "it uses a curve that is not there")
                values.append(checked(layer.output([values[source] for source in layer.sources])))
                require(layer.spread * math.prod(values[-1]) <= MAX_ELEMENTS, "its windows hold too many elements")
                parameters += sum(math.prod(checked(shape)) for shape in layer.parameters.values())
                require(parameters <= MAX_WEIGHTS, f"the network has more than {MAX_WEIGHTS} weights")
            except PlanError as error:
                raise PlanError("bad-layer", f"layer {number} ({type(layer).__name__}): {error}") from None
        require(len(values[-1]) == 1, "the last layer gives no vector of logits")
        return tuple(values)

    def no_class(self, labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
        """For Alice alone, a warning about labels that are no class: acting on them would tell Bob of them."""
        count = int(np.count_nonzero((labels < 0) | (labels >= self.classes)))
        return (f"{count} of {len(labels)} labels are no class: bob's network is not what it says",) if count else ()

    def require_batch(self, examples: int, error: type[MpcError] = PlanError) -> None:
        """Raise ``error`` unless a batch of ``examples`` fits into memory, whatever the layer."""
        most = MAX_ELEMENTS // self._largest
        require(1 <= examples <= most, f"a query of this network holds 1 to {most} examples, not {examples}", error)

    @functools.cached_property
    def _largest(self) -> int:
        """Elements of the largest value of one example, laid out as its layer reads it."""
        spreads = (1, *(layer.spread for layer in self.layers))
        return max(spread * math.prod(shape) for spread, shape in zip(spreads, self.shapes(), strict=True))
