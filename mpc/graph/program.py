"""What the parties do, step by step: a plan turned into masked products, gates and local steps with public sizes.

A program is made from public things only (the plan, the ranges, what is revealed), so Alice, Bob and the dealer each
make it for themselves and have the same one.  Its values are *registers* of 64-bit words, one pair of shares each; a
register's :class:`Format` says what a word stands for: value = word / (2^fraction · divisor).  Divisors come from mean
pooling, which only sums; the next layer's weights, or Alice in the end, divide.  A product's extra fraction bits are
cut by the gate that follows it, so that truncation costs no round of its own.

Argmax needs no gate of its own either: the logits times 2^b plus C - 1 - i, b bits for C classes, are all different;
the low b bits of the largest are C - 1 - index with the first winner's index, and the shares times 2^(64-b) open those
bits alone.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.graph.plan import MAX_ELEMENTS, ModelPlan, Reveal, Shape
from sotto.mpc.graph.ranges import Ranges, require_ranges

WORD_BITS = 64
MAX_WIDTH = 62  # the gate's truncation needs |word| < 2^62 (see mpc.comparison)
_ELEMENTS_BITS = 16  # elements of a step evaluated at once: 2^16 comparison keys of half a kilobyte or more


@dataclass(frozen=True)
class Format:
    """A register's word stands for word / (2^fraction · divisor); |word| < 2^bits."""

    fraction: int
    divisor: int
    bits: int


@dataclass(frozen=True)
class Step:
    """One step: reads registers ``sources``, writes register ``out`` of ``shape`` (one example's)."""

    name: str
    sources: tuple[int, ...]
    out: int
    shape: Shape


@dataclass(frozen=True)
class Product(Step):
    """A layer with weights: its input is opened under a mask, the rest is local.  ``fraction`` is the weights'."""

    layer: layers.Convolution | layers.Linear | layers.ChannelAffine
    number: int
    fraction: int
    divisor: int
    input_shape: Shape


@dataclass(frozen=True)
class Compare(Step):
    """out = max(source, 0) >> cut.  ``width``: |word| < 2^(width - 1)."""

    width: int
    cut: int

    @property
    def depth(self) -> int:
        """Bits that are compared: the sign of what is cut away would move the result by one unit at most."""
        return max(0, self.width - 1 - self.cut)


@dataclass(frozen=True)
class Truncate(Step):
    """out = source >> cut."""

    cut: int


@dataclass(frozen=True)
class Local(Step):
    """A public linear map of the shares: ``layer`` of the plan with means as sums; ``factors`` per source first."""

    layer: layers.Layer
    factors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Windows(Step):
    """The candidates of a maximum along a first axis: a pooling layer's windows, or a vector's elements."""

    pool: layers.MaxPool | None


@dataclass(frozen=True)
class Differences(Step):
    """First half of the candidates minus the second half; an odd last one waits."""


@dataclass(frozen=True)
class Winners(Step):
    """Second half plus max(difference, 0), and the odd one: the candidates of the next round."""


@dataclass(frozen=True)
class Ranked(Step):
    """out_i = source_i · 2^bits + C - 1 - i, for a tie-free argmax."""

    bits: int


@dataclass(frozen=True)
class Program:
    """Steps in order; register 0 is the input.

    ``index_bits``: how many low bits of the output Alice learns; None: all.  ``static``: the registers that are made
    from products by local steps alone.
    """

    plan: ModelPlan
    ranges: Ranges
    reveal: Reveal
    steps: tuple[Step, ...]
    output: int
    formats: tuple[Format, ...]
    index_bits: int | None = None
    static: frozenset[int] = frozenset()

    @cached_property
    def compares(self) -> tuple[Compare, ...]:
        return tuple(step for step in self.steps if isinstance(step, Compare))

    @cached_property
    def products(self) -> tuple[Product, ...]:
        return tuple(step for step in self.steps if isinstance(step, Product))

    @cached_property
    def masked(self) -> frozenset[int]:
        """The registers that hold the input's own elements, which everybody has under Alice's mask."""
        found = {0}
        for step in self.steps:
            if isinstance(step, Local) and isinstance(step.layer, layers.Reshape) and step.sources[0] in found:
                found.add(step.out)
        return frozenset(found)

    @property
    def weights(self) -> int:
        """How many secret numbers the products have."""
        return sum(math.prod(shape) for step in self.products for shape in step.layer.parameters.values())

    @property
    def output_shape(self) -> Shape:
        """Shape of what is opened to Alice for one example."""
        return (1,) if self.index_bits else (self.classes,)

    @property
    def classes(self) -> int:
        return self.plan.classes

    @cached_property
    def part(self) -> int:
        """How many examples are evaluated at once, so that memory stays bounded."""
        sizes = [math.prod(self.plan.input_shape), *(math.prod(step.shape) for step in self.steps)]
        return max(1, (1 << _ELEMENTS_BITS) // max(sizes))

    def parts(self, examples: int) -> tuple[int, ...]:
        """Sizes of the parts in which a query of ``examples`` is evaluated."""
        whole, rest = divmod(examples, self.part)
        return (self.part,) * whole + ((rest,) if rest else ())


def compile_program(plan: ModelPlan, ranges: Ranges, reveal: Reveal, *, narrow: bool = False) -> Program:
    """The program of ``plan``.  Raises :class:`PlanError` where a value would not fit into a word.

    A truncation costs a round, so products of products keep all their fraction bits where the words are wide enough
    for that, and lose them before each product where they are not, or where ``narrow`` words are wanted.
    """
    require_ranges(ranges, plan)
    if narrow:
        return _Compiler(plan, ranges, truncate=True).run(reveal)
    try:
        return _Compiler(plan, ranges).run(reveal)
    except PlanError:
        return _Compiler(plan, ranges, truncate=True).run(reveal)


class _Compiler:
    def __init__(self, plan: ModelPlan, ranges: Ranges, *, truncate: bool = False) -> None:
        self._plan = plan
        self._ranges = ranges
        self._truncate_early = truncate
        self._shapes = plan.shapes()
        self._steps: list[Step] = []
        self._formats = [_format(FRACTION_BITS, 1, ranges[0])]
        self._registers = [plan.input_shape]  # shapes
        self._static: set[int] = set()
        self._names: Counter[str] = Counter()
        self._values = [0]  # plan value -> register

    def run(self, reveal: Reveal) -> Program:
        for number, layer in enumerate(self._plan.layers):
            sources = [self._values[source] for source in layer.sources]
            self._values.append(self._layer(number, layer, sources))
        output, bits = self._values[-1], None
        if reveal == "class":
            output, bits = self._argmax(output)
        elif (extra := self._formats[output].fraction - FRACTION_BITS) > 0:
            output = self._truncate(output, extra)
        return Program(
            self._plan, self._ranges, reveal, tuple(self._steps), output, tuple(self._formats), bits,
            frozenset(self._static),
        )  # fmt: skip

    def _layer(self, number: int, layer: layers.Layer, sources: list[int]) -> int:
        value_bits = self._ranges[number + 1]
        shape = self._shapes[number + 1]
        source = sources[0]
        match layer:
            case layers.Convolution() | layers.Linear() | layers.ChannelAffine():
                return self._product(number, layer, source, value_bits, shape)
            case layers.ReLU():
                before = self._formats[source]
                cut = max(0, before.fraction - FRACTION_BITS)
                after = _format(before.fraction - cut, before.divisor, value_bits)
                return self._compare(self._name("relu"), source, shape, after, cut)
            case layers.MaxPool():
                windows = Windows("windows", (source,), len(self._formats), (math.prod(layer.kernel), *shape), layer)
                start = self._linear(windows, self._formats[source])
                return self._tournament(self._name("maxpool"), start, shape)
            case layers.Reshape():
                return self._local(layer, sources, shape, self._formats[source])
            case layers.AveragePool():
                return self._mean(layer, source, shape, math.prod(layer.kernel), value_bits)
            case layers.Mean():
                count = math.prod(self._registers[source]) // math.prod(shape)
                return self._mean(layer, source, shape, count, value_bits)
            case layers.AdaptiveAveragePool():
                return self._mean(layer, source, shape, adaptive_divisor(layer, self._registers[source]), value_bits)
            case layers.Add() | layers.Concat():
                return self._aligned(layer, sources, shape, value_bits)

    def _product(
        self, number: int, layer: layers.Convolution | layers.Linear | layers.ChannelAffine, source: int, bits: int,
        shape: Shape,
    ) -> int:  # fmt: skip
        kind = {layers.Convolution: "conv", layers.Linear: "linear", layers.ChannelAffine: "affine"}[type(layer)]
        before = self._formats[source]
        weight = FRACTION_BITS + (before.divisor - 1).bit_length()
        early = self._truncate_early and before.fraction > FRACTION_BITS
        if early or _format(before.fraction + weight, 1, bits).bits >= MAX_WIDTH - 1:
            source = self._truncate(source, before.fraction - FRACTION_BITS)
            before = self._formats[source]
        step = Product(
            self._name(kind), (source,), len(self._formats), shape, layer, number, weight, before.divisor,
            self._registers[source],
        )  # fmt: skip
        out = self._add(step, _format(before.fraction + weight, 1, bits))
        self._static.add(out)
        return out

    def _mean(self, layer: layers.Layer, source: int, shape: Shape, count: int, bits: int) -> int:
        before = self._formats[source]
        return self._local(layer, [source], shape, _format(before.fraction, before.divisor * count, bits))

    def _aligned(self, layer: layers.Layer, sources: list[int], shape: Shape, bits: int) -> int:
        """Bring the sources to one format by whole factors, then combine."""
        formats = [self._formats[source] for source in sources]
        fraction = max(each.fraction for each in formats)
        divisor = math.lcm(*(each.divisor for each in formats))
        factors = tuple((divisor // each.divisor) << (fraction - each.fraction) for each in formats)
        return self._local(layer, sources, shape, _format(fraction, divisor, bits), factors)

    def _local(
        self, layer: layers.Layer, sources: list[int], shape: Shape, after: Format, factors: tuple[int, ...] = ()
    ) -> int:
        name = type(layer).__name__.lower()
        return self._linear(Local(name, tuple(sources), len(self._formats), shape, layer, factors), after)

    def _argmax(self, source: int) -> tuple[int, int]:
        (classes,) = self._registers[source]
        bits = max(1, (classes - 1).bit_length())
        excess = self._formats[source].bits + bits + 3 - MAX_WIDTH  # of the differences between ranked logits
        if excess > 0:
            source = self._truncate(source, excess + 1)
        before = self._formats[source]
        ranked = Format(before.fraction, before.divisor, before.bits + bits + 1)
        out = self._linear(Ranked("rank", (source,), len(self._formats), (classes,), bits), ranked)
        start = self._linear(Windows("windows", (out,), len(self._formats), (classes, 1), None), ranked)
        return self._tournament("argmax", start, (1,)), bits

    def _tournament(self, name: str, candidates: int, shape: Shape) -> int:
        """Rounds of pairs until one candidate is left."""
        rounds = 0
        while (left := self._registers[candidates][0]) > 1:
            rounds += 1
            rest = self._registers[candidates][1:]
            before = self._formats[candidates]
            wider = Format(before.fraction, before.divisor, before.bits + 1)
            pairs = (left // 2, *rest)
            difference = self._linear(Differences("pairs", (candidates,), len(self._formats), pairs), wider)
            larger = self._compare(f"{name}.{rounds}", difference, pairs, wider, 0)
            winners = Winners("winners", (candidates, larger), len(self._formats), (left - left // 2, *rest))
            candidates = self._add(winners, before)
        return self._local(layers.Reshape(0, shape), [candidates], shape, self._formats[candidates])

    def _compare(self, name: str, source: int, shape: Shape, after: Format, cut: int) -> int:
        width = self._formats[source].bits + 1
        if width > MAX_WIDTH:
            raise PlanError(f"{name} would compare words of {width} bits, {MAX_WIDTH} are possible: lower input_limit")
        return self._add(Compare(name, (source,), len(self._formats), shape, width, cut), after)

    def _truncate(self, source: int, cut: int) -> int:
        before = self._formats[source]
        if not 0 < cut <= before.fraction - FRACTION_BITS or before.bits + 1 > MAX_WIDTH:
            raise PlanError("a value grows beyond 64-bit words: lower input_limit or scale the weights down")
        after = Format(before.fraction - cut, before.divisor, max(1, before.bits - cut) + 1)
        name = self._name("truncate")
        return self._add(Truncate(name, (source,), len(self._formats), self._registers[source], cut), after)

    def _linear(self, step: Step, after: Format) -> int:
        """Add a local step; what it makes of static registers is static."""
        out = self._add(step, after)
        if all(source in self._static for source in step.sources):
            self._static.add(out)
        return out

    def _add(self, step: Step, after: Format) -> int:
        if after.bits > MAX_WIDTH:
            raise PlanError(f"{step.name} grows beyond 64-bit words: lower input_limit or scale the weights down")
        if math.prod(step.shape) > MAX_ELEMENTS:
            raise PlanError(f"{step.name} holds too many elements")
        self._steps.append(step)
        self._formats.append(after)
        self._registers.append(step.shape)
        return step.out

    def _name(self, kind: str) -> str:
        self._names[kind] += 1
        return f"{kind}{self._names[kind]}"


def adaptive_divisor(layer: layers.AdaptiveAveragePool, shape: Shape) -> int:
    """The least whole number by which sums over adaptive windows become whole multiples of their means."""
    return math.prod(
        math.lcm(*(stop - start for start, stop in adaptive_windows(length, size)))
        for length, size in zip(shape[1:], layer.size, strict=True)
    )


def adaptive_windows(length: int, size: int) -> list[tuple[int, int]]:
    """Start and stop of each of ``size`` windows over ``length`` places, as PyTorch lays them."""
    return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]


def _format(fraction: int, divisor: int, value_bits: int) -> Format:
    return Format(fraction, divisor, max(1, value_bits + fraction + (divisor - 1).bit_length()))
