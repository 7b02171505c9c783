"""What the parties do, step by step: a plan turned into masked products, gates and local steps with public sizes.

A program is made from public things only (the plan, the ranges, what is revealed), so Alice, Bob and the dealer each
make it for themselves and have the same one.  Its values are *registers* of 64-bit words, one pair of shares each; a
register's :class:`Format` says what a word stands for: value = word / (2^fraction · divisor).  Divisors come from mean
pooling, which only sums; the next layer's weights, or Alice in the end, divide.  A product's extra fraction bits are
cut by the gate that follows it, so that truncation costs no round of its own.

Of up to 16 classes all pairs of logits are compared at once, and only who won all comparisons is told to Alice, by
:mod:`sotto.mpc.protocols.winner`.  More classes, or one, need no gate of their own: the logits times 2^b plus
C - 1 - i, b bits for C classes, are all different; the low b bits of the largest are C - 1 - index with the first
winner's index, and the shares times 2^(64-b) open those bits alone.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import layers
from sotto.mpc.graph.fixed_point import LEAST_RANGE, MOST_RANGE
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plan import ModelPlan, Ranges, Reveal

WORD_BITS = 64
MAX_WIDTH = 62  # the gate's truncation needs |word| < 2^62 (see mpc.comparison)
_KEY_BYTES = 1 << 10  # of an element's comparison key, and of eight knots
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

    layer: layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale
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

    @property
    def thresholds(self) -> tuple[int, ...]:
        """What source >> cut is compared with; one comparison key serves all."""
        return (0,)


@dataclass(frozen=True)
class Spline(Compare):
    """out = constant + slope · y + sum over knots (t, bend, jump) with t <= y of jump + bend · (y - t), where
    y = source >> cut.  ``width``: |word - t · 2^cut| < 2^(width - 1)."""

    constant: int
    slope: int
    knots: tuple[tuple[int, int, int], ...]

    @property
    def thresholds(self) -> tuple[int, ...]:
        return tuple(knot for knot, _, _ in self.knots)


@dataclass(frozen=True)
class Winner(Compare):
    """Which of ``classes`` is the largest, the first of them: from the differences of all :class:`Pairs`, to Alice
    alone.  It is the last step, and writes nothing that could be used."""

    classes: int


@dataclass(frozen=True)
class SecretProduct(Step):
    """Product of two registers of ``shapes``; of one with itself where both sources are the same."""

    layer: layers.Multiply | layers.MatMul
    shapes: tuple[Shape, Shape]

    @property
    def square(self) -> bool:
        return self.sources[0] == self.sources[1]

    @property
    def opened(self) -> tuple[Shape, ...]:
        """Shapes of what is opened."""
        return self.shapes[:1] if self.square else self.shapes


@dataclass(frozen=True)
class SecretTensor(Step):
    """A tensor of Bob's own, layer ``number`` of the plan, the same for every example."""

    layer: layers.Constant
    number: int


@dataclass(frozen=True)
class PublicProduct(Step):
    """A layer whose weights everybody knows, or a tensor alone: each applies it to its share, nothing is opened."""

    layer: layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale | layers.Constant
    number: int
    fraction: int
    divisor: int


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
class Pairs(Step):
    """source_k - source_l for all k < l, in the order of :func:`pairs`."""


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

    ``index_bits``: how many low bits of the output Alice learns; None: all, or nothing but the :attr:`winner`.
    ``static``: the registers that are made from products by local steps alone.
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

    @property
    def winner(self) -> Winner | None:
        """The step that tells Alice the class, where there is one."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, Winner) else None

    @cached_property
    def products(self) -> tuple[Product, ...]:
        return tuple(step for step in self.steps if isinstance(step, Product))

    @cached_property
    def owned(self) -> tuple[Product | SecretTensor, ...]:
        """The steps that hold secret tensors of Bob's."""
        return tuple(step for step in self.steps if isinstance(step, Product | SecretTensor))

    @cached_property
    def public(self) -> tuple[PublicProduct, ...]:
        """The steps whose tensors everybody knows."""
        return tuple(step for step in self.steps if isinstance(step, PublicProduct))

    @cached_property
    def masked(self) -> frozenset[int]:
        """The registers that hold the input's own elements, which everybody has under Alice's mask."""
        found = {0}
        for step in self.steps:
            if isinstance(step, Local) and isinstance(step.layer, layers.Reshape) and step.sources[0] in found:
                found.add(step.out)
        return frozenset(found)

    @cached_property
    def spent(self) -> dict[int, list[int]]:
        """By the register that a step writes, the registers that no later step reads, the output apart."""
        last = {source: step.out for step in self.steps for source in step.sources}
        found: dict[int, list[int]] = {}
        for register, step in last.items():
            if register != self.output:
                found.setdefault(step, []).append(register)
        return found

    @cached_property
    def masking(self) -> frozenset[int]:
        """The products that one gate reads and nothing else, whose mask serves to open its input alone.

        Shares of W · lambda that are random, instead of adding up to it, mask such a product: what they add up to
        beside it is the gate's mask.
        """
        readers = Counter(source for step in self.steps for source in step.sources)
        readers[self.output] += 1
        gates = {step.sources[0] for step in self.steps if _forgets_its_mask(step)}
        return frozenset(step.out for step in self.products if step.out in gates and readers[step.out] == 1)

    @property
    def weights(self) -> int:
        """How many numbers Bob's tensors have."""
        tensors = (shape for step in (*self.owned, *self.public) for shape in step.layer.parameters.values())
        return sum(map(math.prod, tensors))

    @property
    def step_bytes(self) -> int:
        """About what the correlated randomness of the largest step takes for one example."""
        return _KEY_BYTES * max(map(_size, self.steps))

    @property
    def output_shape(self) -> Shape:
        """Shape of what is opened to Alice for one example, besides the winner."""
        if self.winner:
            return (0,)
        return (1,) if self.index_bits else (self.classes,)

    @property
    def classes(self) -> int:
        return self.plan.classes

    @cached_property
    def part(self) -> int:
        """How many examples are evaluated at once, so that memory stays bounded."""
        sizes = [math.prod(self.plan.input_shape), *(_size(step) for step in self.steps)]
        return max(1, (1 << _ELEMENTS_BITS) // max(sizes))

    def parts(self, examples: int) -> tuple[int, ...]:
        """Sizes of the parts in which a query of ``examples`` is evaluated."""
        whole, rest = divmod(examples, self.part)
        return (self.part,) * whole + ((rest,) if rest else ())


def require_ranges(ranges: Ranges, plan: ModelPlan) -> None:
    """Raise :class:`PlanError` unless there is one possible range for each value of ``plan``."""
    if len(ranges) != len(plan.layers) + 1 or not all(LEAST_RANGE <= bits <= MOST_RANGE for bits in ranges):
        raise PlanError("ranges-misfit", "the ranges do not belong to the plan: both sides need the same release")
    if 2.0 ** ranges[0] < plan.input_limit:
        raise PlanError("range-below-limit", "the range of the input is smaller than the input limit")


def pairs(classes: int) -> list[tuple[int, int]]:
    """All (k, l) with k < l < classes."""
    return list(itertools.combinations(range(classes), 2))


def _forgets_its_mask(step: Step) -> bool:
    """Whether a gate's output is made without shares of its mask: where nothing is cut, they are a row of its words."""
    return isinstance(step, Truncate | Spline) or (type(step) is Compare and step.cut > 0)


def _size(step: Step) -> int:
    """Elements that a step holds at once, weighed by what it needs for each."""
    if isinstance(step, SecretProduct):
        return max(math.prod(shape) for shape in (step.shape, *step.shapes))
    weight = 1 + len(step.thresholds) // 8 if isinstance(step, Compare) else 1
    return weight * math.prod(step.shape)


def adaptive_divisor(layer: layers.AdaptiveAveragePool, shape: Shape) -> int:
    """The least whole number by which sums over adaptive windows become whole multiples of their means."""
    return math.prod(
        math.lcm(*(stop - start for start, stop in adaptive_windows(length, size)))
        for length, size in zip(shape[1:], layer.size, strict=True)
    )


def adaptive_windows(length: int, size: int) -> list[tuple[int, int]]:
    """Start and stop of each of ``size`` windows over ``length`` places, as PyTorch lays them."""
    return [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
