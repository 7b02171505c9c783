"""Modulo how many bits each register is shared, and what a step takes of the correlated randomness.

A word modulo 2^m taken modulo a smaller power of two is a sharing of the word's low bits, so a step looks only at the
bits it needs, and what it makes has only the bits that are needed of it.  Products with weights are shared modulo
2^ring, one number for the whole program: the least with which every word that depends on one fits where it is compared,
cut or opened.  A gate widens its output to what is needed from there on.  Ranking logits multiplies words by 2^b and
moduli with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import layers
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.plan import ModelPlan, Ranges
from sotto.mpc.graph.program import (
    WORD_BITS,
    Compare,
    Product,
    Program,
    PublicProduct,
    Ranked,
    SecretProduct,
    Spline,
    Truncate,
)
from sotto.mpc.messages import Reveal
from sotto.mpc.two_party.gates import multiplication
from sotto.mpc.two_party.gates.argmax import Chosen, Index, Signs, Wins, with_pairs
from sotto.mpc.two_party.gates.gate_sizes import Choice, Conjunction, Gate, Multiplication, Size
from sotto.mpc.two_party.linear_layers.bfv import DEGREE, MAX_PLAIN_BITS
from sotto.mpc.two_party.linear_layers.coefficient_packing import Packing

_MOST_BITS = MAX_PLAIN_BITS - 3  # of a word; to cut one takes three more
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
        outputs = [step.out for step in program.products]
        needs = _needs(program, 0)
        ring = max((needs[out] for out in outputs), default=1)
        if ring > MAX_PLAIN_BITS:
            raise PlanError(
                "words-too-wide", f"words of {ring} bits, mode 'two-party' has {MAX_PLAIN_BITS}: lower input_limit"
            )
        needs = _needs(program, ring)
        moduli, gates = [WORD_BITS] * len(needs), {}
        for step in program.steps:
            least = min((moduli[source] for source in step.sources), default=WORD_BITS)
            if isinstance(step, Product):
                least = ring
            elif isinstance(step, Index):
                least = program.index_bits or 1
            elif isinstance(step, Ranked):
                least = min(WORD_BITS, least + step.bits)
            elif isinstance(step, Gated):
                size = gates[step.out] = _size(program, step, needs[step.out])
                least = size.modulus
            moduli[step.out] = least
        return cls(ring, tuple(moduli), gates)


def two_party_program(plan: ModelPlan, ranges: Ranges, reveal: Reveal) -> tuple[Program, RingSizes]:
    """The program of this mode and its sizes.

    Raises :class:`PlanError` where a value would not fit into a word, or a part of a query into memory.
    """
    program = _lowered(compile_program(plan, ranges, reveal, dealt=False))
    _require_steps(program)
    for most in (None, _MOST_BITS):  # more truncations each, until words fit
        try:
            sizes = RingSizes.of(program)
            break
        except PlanError as error:
            try:
                program = _lowered(compile_program(plan, ranges, reveal, dealt=False, narrow=True, most=most))
            except PlanError:  # no truncation helps: how wide words would be says more
                raise error from None
    else:
        sizes = RingSizes.of(program)
    if not program.owned:
        raise PlanError("no-weights", "a network without a layer that has weights needs no second party")
    for step in program.products:
        packing = Packing(step, program.part, DEGREE)
        if max(packing.inputs, packing.results) > _MOST_CIPHERTEXTS:
            raise PlanError(
                "too-many-ciphertexts",
                f"{step.name} takes more than {_MOST_CIPHERTEXTS} ciphertexts: the layer is too large",
            )
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
        if isinstance(step, PublicProduct):
            raise PlanError("public-weights", "mode 'two-party' is for secret weights: choose semi-honest or malicious")
        if isinstance(step, SecretProduct) and elements(step) > _MOST_PRODUCTS:
            raise PlanError(
                "too-many-products", f"{step.name}: more than {_MOST_PRODUCTS} products of secrets; choose semi-honest"
            )


def _size(program: Program, step: Gated, modulus: int) -> Size:
    """Of a step whose output is needed modulo 2^modulus."""
    match step:
        case Signs():
            return Gate(step.width, 0, step.width, True, bit=True)
        case Wins():
            return Conjunction(1, step.rows)
        case Chosen():
            return Choice(modulus)
        case SecretProduct():
            return Multiplication(modulus, step.square and isinstance(step.layer, layers.Multiply))
    gate = Gate.of(step, program.formats[step.sources[0]].bits, modulus)
    return replace(gate, modulus=max(modulus, gate.width))


def _needs(program: Program, ring: int) -> list[int]:
    """The least modulus of every register, in bits: what is made of it, by whoever, must come out right."""
    needs = [1] * len(program.formats)
    needs[program.output] = program.index_bits or program.formats[program.output].bits + 1
    for step in reversed(program.steps):
        wanted = needs[step.out]
        if isinstance(step, Product):
            needs[step.out] = max(wanted, program.formats[step.out].bits + 1)
            wanted = ring
        elif isinstance(step, Ranked):
            wanted -= step.bits
        elif isinstance(step, Gated):
            size = _size(program, step, wanted)
            wanted = size.needs if isinstance(size, Gate) else wanted
        for source in step.sources:
            needs[source] = max(needs[source], wanted)
    return needs
