"""Modulo how many bits each register is shared, and what a gate compares.

A word modulo 2^m taken modulo a smaller power of two is a sharing of the word's low bits, so a comparison looks only at
the bits it needs.  A product is shared modulo 2^ring, one number for the whole program: the least with which every word
fits where it is compared, cut or opened.  Ranking logits multiplies words by 2^b and moduli with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import ModelPlan, Ranges
from sotto.mpc.graph.program import (
    Compare,
    Known,
    Local,
    Product,
    Program,
    PublicProduct,
    Ranked,
    SecretProduct,
    Spline,
    Truncate,
    compile_program,
)
from sotto.mpc.messages import Reveal
from sotto.mpc.two_party.bfv import DEGREE, MAX_PLAIN_BITS
from sotto.mpc.two_party.coefficient_packing import Packing

LEAF_BITS = 4
_MOST_AXES = 2  # of a convolution
_LOCAL = (
    layers.Reshape, layers.Mean, layers.AveragePool, layers.AdaptiveAveragePool, layers.Add, layers.Concat,
    layers.Take, layers.Strided, layers.Total, layers.WindowMeans,
)  # fmt: skip  # sums and rearrangements, which hold modulo any power of two
_MOST_CIPHERTEXTS = 1 << 12  # of a product in one message: half a gigabyte


@dataclass(frozen=True)
class Gate:
    """Sizes of one comparison or truncation.

    Attributes
    ----------
    modulus
        the source and the output are shared modulo 2^modulus.
    cut
        bits that go.
    width
        bits of what is left, as a signed number.
    compares
        whether its sign is found.
    """

    modulus: int
    cut: int
    width: int
    compares: bool

    @classmethod
    def of(cls, step: Compare | Truncate, source_bits: int, modulus: int) -> Gate:
        if isinstance(step, Compare):
            return cls(modulus, step.cut, max(2, step.width - step.cut), True)
        return cls(modulus, step.cut, source_bits + 3 - step.cut, False)

    @property
    def needs(self) -> int:
        """The least modulus of the source, in bits."""
        return self.width + self.cut

    @property
    def extension(self) -> int:
        """Bits by which the result is widened again."""
        return self.modulus - self.width

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Bits of each leaf of the comparison of width - 1 bits, the lowest first."""
        if not self.compares:
            return ()
        whole, rest = divmod(self.width - 1, LEAF_BITS)
        return (LEAF_BITS,) * whole + ((rest,) if rest else ())

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Pairs of nodes that are joined in each level of the tree."""
        counts, nodes = [], len(self.leaves)
        while nodes > 1:
            counts.append(nodes // 2)
            nodes -= nodes // 2
        return tuple(counts)

    @property
    def alice_chooses(self) -> int:
        """Transfers for each element in which Alice chooses: leaves, wrap, triples, selection."""
        return sum(self.leaves) + (self.extension > 0) + self.bob_chooses

    @property
    def bob_chooses(self) -> int:
        """Transfers for each element in which Bob chooses: triples, selection."""
        return sum(self.levels) + 1 if self.compares else 0


@dataclass(frozen=True)
class RingSizes:
    """``ring``: bits of the products' modulus; ``moduli`` of every register; ``gates`` by the register they write."""

    ring: int
    moduli: tuple[int, ...]
    gates: dict[int, Gate]

    @classmethod
    def of(cls, program: Program) -> RingSizes:
        """Raises :class:`PlanError` where a word does not fit into the largest plaintext."""
        gains = _gains(program)
        ring = max(_needs(program, gains))
        if ring > MAX_PLAIN_BITS:
            raise PlanError(f"words of {ring} bits, mode 'two-party' has {MAX_PLAIN_BITS}: lower input_limit")
        moduli = tuple(min(64, ring + gain) for gain in gains)
        gates = {step.out: _gate(program, step, moduli[step.out]) for step in _gates(program)}
        return cls(ring, moduli, gates)


def two_party_program(plan: ModelPlan, ranges: Ranges, reveal: Reveal) -> tuple[Program, RingSizes]:
    """The program of this mode and its sizes.

    Raises :class:`PlanError` where a value would not fit into a word, or a part of a query into memory.
    """
    program = compile_program(plan, ranges, reveal)
    _require_steps(program)
    try:
        sizes = RingSizes.of(program)
    except PlanError:
        program = compile_program(plan, ranges, reveal, narrow=True)
        sizes = RingSizes.of(program)
    if not program.products:
        raise PlanError("a network without a layer that has weights needs no second party")
    for step in program.products:
        packing = Packing(step, program.part, DEGREE)
        if max(packing.inputs, packing.results) > _MOST_CIPHERTEXTS:
            raise PlanError(f"{step.name} takes more than {_MOST_CIPHERTEXTS} ciphertexts: the layer is too large")
    return program, sizes


def _require_steps(program: Program) -> None:
    """Raise :class:`PlanError` for a step that this mode has no protocol for."""
    for step in program.steps:
        match step:
            case Spline() | SecretProduct() | Known() | PublicProduct():
                known = False
            case Product():
                layer = step.layer
                known = isinstance(layer, layers.Linear | layers.ChannelAffine) or (
                    isinstance(layer, layers.Convolution) and len(layer.kernel) <= _MOST_AXES
                )
            case Local():
                known = isinstance(step.layer, _LOCAL)
            case _:
                known = True
        if not known:
            raise PlanError(f"{step.name}: mode 'two-party' has no protocol for it; choose semi-honest or malicious")


def _gates(program: Program) -> list[Compare | Truncate]:
    return [step for step in program.steps if isinstance(step, Compare | Truncate)]


def _gate(program: Program, step: Compare | Truncate, modulus: int) -> Gate:
    return Gate.of(step, program.formats[step.sources[0]].bits, modulus)


def _gains(program: Program) -> list[int]:
    """Bits by which each register's modulus is above the ring's."""
    gains = [0] * len(program.formats)
    for step in program.steps:
        least = min(gains[source] for source in step.sources)
        gains[step.out] = least + step.bits if isinstance(step, Ranked) else least
    for step in program.products:
        gains[step.out] = 0
    return gains


def _needs(program: Program, gains: list[int]) -> list[int]:
    """Lower bounds of the ring's bits."""
    needs = [program.formats[step.out].bits + 1 for step in program.products]
    needs += [_gate(program, step, 0).needs - gains[step.sources[0]] for step in _gates(program)]
    opened = program.index_bits or program.formats[program.output].bits + 1
    return [*needs, opened - gains[program.output]]
