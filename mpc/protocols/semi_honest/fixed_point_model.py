"""The network as the private protocols compute it, in clear: whole numbers in place of reals, nothing masked or shared.

A program (:mod:`sotto.mpc.graph.program`) run on the words themselves instead of shares of them.  It uses no floating
point once weights and features are encoded, so that its answer is the same on every machine: what a private answer has
to come out as, when the float network is not the measure because rounding alone can turn a class.

One difference remains.  Here a cut rounds down always; the protocols' gate gives that or one more, and for a value just
below zero minus one, zero or one (:mod:`sotto.mpc.fss.comparison_gate`).  So logits may differ by what that slack of
one unit becomes in the layers behind it, and the class where two logits are that close.  No privacy here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto.link import Answer
from sotto.mpc.fss import spline
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.fixed_point import checked_features
from sotto.mpc.graph.layers import Constant, Shape
from sotto.mpc.graph.plan import ModelPlan, Weights
from sotto.mpc.graph.program import (
    WORD_BITS,
    Compare,
    Product,
    Program,
    PublicProduct,
    SecretProduct,
    SecretTensor,
    Spline,
    Step,
    Truncate,
    Winner,
)
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.lowered import LoweredModel
from sotto.mpc.messages import Reveal
from sotto.mpc.protocols import secret_product, winner
from sotto.mpc.protocols.scores import answer_of
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import Words


class FixedPointModel:
    """A plan with its weights; ``reveal`` is which of the two programs is run, as in :class:`sotto.mpc.Alice`."""

    def __init__(self, plan: ModelPlan, weights: Weights, reveal: Reveal = "class") -> None:
        self._plan = plan
        self._program = compile_program(plan, value_ranges(plan, weights), reveal)
        self._weights, self._biases = weight_words(self._program, weights)

    @classmethod
    def of(cls, module: nn.Module, input_shape: Shape, *, reveal: Reveal = "class", **options: Any) -> FixedPointModel:
        """The model of ``module`` as Bob reads it; ``options`` as of :meth:`sotto.mpc.LoweredModel.of`."""
        lowered = LoweredModel.of(module, input_shape, **options)
        return cls(lowered.plan, lowered.weights, reveal)

    def __repr__(self) -> str:
        return f"<FixedPointModel of {len(self._plan.layers)} layers>"

    @property
    def program(self) -> Program:
        """The public program that is run."""
        return self._program

    def answer(self, features: npt.ArrayLike) -> Answer:
        """The answer for ``features``, float32 (n, *input_shape): labels, and scores where they are revealed.

        Raises :class:`sotto.mpc.InputRefused` like :meth:`sotto.mpc.Alice.ask`.
        """
        values, warnings = checked_features(features, self._plan)
        words = ring.encode(values)
        step = self._program.part
        output = np.concatenate([self._run(words[start : start + step]) for start in range(0, len(words), step)])
        if bits := self._program.index_bits:
            output <<= np.uint64(WORD_BITS - bits)
        return answer_of(self._program, output).warned(*warnings)

    def _run(self, inputs: Words) -> Words:
        """All steps on words (n, *input_shape): the output register (n, *shape)."""
        values = {0: inputs}
        for step in self._program.steps:
            values[step.out] = self._step(step, [values[source] for source in step.sources], len(inputs))
        return values[self._program.output]

    def _step(self, step: Step, sources: list[Words], examples: int) -> Words:
        if isinstance(step, SecretTensor | PublicProduct) and isinstance(step.layer, Constant):
            own: Words = np.broadcast_to(np.asarray(self._biases[step.out]), (examples, *step.shape))
            return own
        first = sources[0]
        if isinstance(step, Product | PublicProduct):
            out, bias = ring.product(step.layer, self._weights[step.out], first), self._biases[step.out]
            return out if bias is None else out + bias
        if isinstance(step, SecretProduct):
            return secret_product.product(step.layer, *sources)
        if isinstance(step, Spline):
            return spline.value(step, first.view(np.int64)).reshape(-1, *step.shape)
        if isinstance(step, Winner):
            return winner.index(step.classes, first.view(np.int64) >= 0)
        if isinstance(step, Compare):
            return _cut(np.maximum(first.view(np.int64), 0), step.cut).reshape(-1, *step.shape)
        if isinstance(step, Truncate):
            return _cut(first.view(np.int64), step.cut).reshape(-1, *step.shape)
        words: Words = linear_steps.apply(step, sources)
        constant = linear_steps.constant(step)
        return words if constant is None else words + constant


def _cut(values: npt.NDArray[np.int64], bits: int) -> Words:
    """Signed words without their low ``bits``, rounded down."""
    return (values >> bits).view(np.uint64)
