"""Modulo how many bits each register is shared, and what a gate compares.

A word modulo 2^m taken modulo a smaller power of two is a sharing of the word's low bits, so a comparison looks only at
the bits it needs.  A product is shared modulo 2^ring, one number for the whole program: the least with which every word
fits where it is compared, cut or opened.  Ranking logits multiplies words by 2^b and moduli with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.program import (
    Compare,
    Product,
    Program,
    PublicProduct,
    Ranked,
    SecretProduct,
    Spline,
    Truncate,
    compile_program,
)
from sotto.mpc.graph.ranges import Ranges
from sotto.mpc.messages import Reveal
from sotto.mpc.two_party import multiplication
from sotto.mpc.two_party.argmax import Chosen, Signs, Wins, with_pairs
from sotto.mpc.two_party.bfv import DEGREE, MAX_PLAIN_BITS
from sotto.mpc.two_party.coefficient_packing import Packing
from sotto.mpc.two_party.gate_sizes import Choice, Conjunction, Gate, Multiplication, Size

_MOST_AXES = 2  # of a convolution
_MOST_CIPHERTEXTS = 1 << 12  # of a product in one message: half a gigabyte
_MOST_PRODUCTS = 1 << 17  # of two secrets in one step

#: Steps that both do together.
Gated = Compare | Truncate | Signs | Wins | Chosen | SecretProduct


@dataclass(frozen=True)
class RingSizes:
    """``ring``: bits of the products' modulus; ``moduli`` of every register; ``gates`` by the register they write."""

    ring: int
    moduli: tuple[int, ...]
    gates: dict[int, Size]

    @classmethod
    def of(cls, program: Program) -> RingSizes:
        """Raises :class:`PlanError` where a word does not fit into the largest plaintext."""
        gains = _gains(program)
        ring = max(_needs(program, gains))
        if ring > MAX_PLAIN_BITS:
            raise PlanError(f"words of {ring} bits, mode 'two-party' has {MAX_PLAIN_BITS}: lower input_limit")
        moduli = tuple(min(64, ring + gain) for gain in gains)
        gates = {step.out: _size(program, step, moduli[step.out]) for step in gated(program)}
        return cls(ring, moduli, gates)


def two_party_program(plan: ModelPlan, ranges: Ranges, reveal: Reveal) -> tuple[Program, RingSizes]:
    """The program of this mode and its sizes.

    Raises :class:`PlanError` where a value would not fit into a word, or a part of a query into memory.
    """
    program = _lowered(compile_program(plan, ranges, reveal))
    _require_steps(program)
    try:
        sizes = RingSizes.of(program)
    except PlanError:
        program = _lowered(compile_program(plan, ranges, reveal, narrow=True))
        sizes = RingSizes.of(program)
    if not program.owned:
        raise PlanError("a network without a layer that has weights needs no second party")
    for step in program.products:
        packing = Packing(step, program.part, DEGREE)
        if max(packing.inputs, packing.results) > _MOST_CIPHERTEXTS:
            raise PlanError(f"{step.name} takes more than {_MOST_CIPHERTEXTS} ciphertexts: the layer is too large")
    return program, sizes


def gated(program: Program) -> list[Gated]:
    """The steps that both do together, products with weights apart."""
    return [step for step in program.steps if isinstance(step, Gated)]


def elements(step: Gated) -> int:
    """How often a step does what it does, for each example."""
    if isinstance(step, SecretProduct):
        return multiplication.elements(step)
    return math.prod(step.shape) * (len(step.knots) if isinstance(step, Spline) else 1)


def _lowered(program: Program) -> Program:
    """``program`` in the steps of this mode: all pairs for an argmax, curves of knots alone."""
    program = with_pairs(program)
    steps = tuple(_of_knots(step, program) if isinstance(step, Spline) else step for step in program.steps)
    return replace(program, steps=steps)


def _of_knots(step: Spline, program: Program) -> Spline:
    """The curve whose slope on the left is 0: below the least value there is a knot with that slope."""
    if not step.slope:
        return step
    least = 2 - (1 << (program.formats[step.sources[0]].bits - step.cut))
    knots = ((least, step.slope, 0), *step.knots)
    return replace(step, slope=0, constant=step.constant + step.slope * least, knots=knots)


def _require_steps(program: Program) -> None:
    """Raise :class:`PlanError` for a step that this mode has no protocol for."""
    for step in program.steps:
        wide = isinstance(step, Product) and isinstance(step.layer, layers.Convolution)
        if isinstance(step, PublicProduct):
            raise PlanError("mode 'two-party' is for secret weights: choose semi-honest or malicious")
        if wide and len(step.layer.kernel) > _MOST_AXES:
            raise PlanError(f"{step.name}: mode 'two-party' convolves over two axes; choose semi-honest or malicious")
        if isinstance(step, SecretProduct) and elements(step) > _MOST_PRODUCTS:
            raise PlanError(f"{step.name}: more than {_MOST_PRODUCTS} products of secrets; choose semi-honest")


def _size(program: Program, step: Gated, modulus: int) -> Size:
    match step:
        case Signs():
            return Gate(modulus, 0, step.width, True, bit=True)
        case Wins():
            return Conjunction(1, step.rows)
        case Chosen():
            return Choice(modulus)
        case SecretProduct():
            return Multiplication(modulus, step.square and isinstance(step.layer, layers.Multiply))
    return Gate.of(step, program.formats[step.sources[0]].bits, modulus)


def _gains(program: Program) -> list[int]:
    """Bits by which each register's modulus is above the ring's."""
    gains = [0] * len(program.formats)
    for step in program.steps:
        least = min((gains[source] for source in step.sources), default=0)
        gains[step.out] = least + step.bits if isinstance(step, Ranked) else least
    for step in program.products:
        gains[step.out] = 0
    return gains


def _needs(program: Program, gains: list[int]) -> list[int]:
    """Lower bounds of the ring's bits."""
    needs = [program.formats[step.out].bits + 1 for step in program.products]
    for step in gated(program):
        size = _size(program, step, 0)
        needs += [size.needs - gains[step.sources[0]]] if isinstance(size, Gate) else []
    opened = program.index_bits or program.formats[program.output].bits + 1
    return [*needs, opened - gains[program.output]]
