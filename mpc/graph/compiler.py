"""From a plan to its program: which steps compute each layer, in which formats, and where fraction bits are cut."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import layers
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.graph.layers import MAX_ELEMENTS, Shape
from sotto.mpc.graph.plan import Curve, ModelPlan, Ranges, Reveal
from sotto.mpc.graph.program import (
    MAX_WIDTH,
    Compare,
    Differences,
    Format,
    Local,
    Pairs,
    Product,
    Program,
    PublicProduct,
    Ranked,
    SecretProduct,
    SecretTensor,
    Spline,
    Step,
    Truncate,
    Windows,
    Winner,
    Winners,
    adaptive_divisor,
    pairs,
    require_ranges,
)

_MOST_BITS = MAX_WIDTH - 2  # of a word, where cutting it can help
_MOST_CLASSES = 16  # whose logits are compared in all pairs: 120 comparisons in one round instead of 15 in four


def compile_program(
    plan: ModelPlan,
    ranges: Ranges,
    reveal: Reveal,
    *,
    narrow: bool = False,
    dealt: bool = True,
    most: int | None = None,
) -> Program:
    """The program of ``plan``; ``dealt``: comparisons have a dealer's keys.  Raises :class:`PlanError` where a value
    would not fit into a word.

    A truncation costs a round, so products of products keep all their fraction bits where the words are wide enough
    for that, and lose them before each product where they are not.  Where ``narrow`` words are wanted, they are
    lost before products of two secrets and public factors, too, and wherever words would have more than ``most`` bits,
    60 where that is None.  What the plan rounds to more than 16 fraction bits keeps them, whatever reads it, and so do
    the means that are rounded so, and the powers of two that a value is scaled by (:func:`_uncut`): there a unit of
    2^-16 may be more than the value.
    """
    require_ranges(ranges, plan)
    if narrow:
        return _Compiler(plan, ranges, dealt, truncate=True, narrow=True, most=most).run(reveal)
    try:
        return _Compiler(plan, ranges, dealt).run(reveal)
    except PlanError:
        return _Compiler(plan, ranges, dealt, truncate=True).run(reveal)


class _Compiler:
    def __init__(
        self, plan: ModelPlan, ranges: Ranges, dealt: bool, *, truncate: bool = False, narrow: bool = False,
        most: int | None = None,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._dealt = dealt
        self._ranges = ranges
        self._truncate_early = truncate
        self._narrow = narrow
        self._most = most or _MOST_BITS
        self._shapes = plan.shapes()
        self._steps: list[Step] = []
        self._formats = [_format(FRACTION_BITS, 1, ranges[0])]
        self._registers = [plan.input_shape]  # shapes
        self._static: set[int] = set()
        self._uncut_values = _uncut(plan)
        self._uncut: set[int] = set()  # their registers
        self._names: Counter[str] = Counter()
        self._values = [0]  # plan value -> register
        self._cut: dict[tuple[int, int], int] = {}  # what was cut already, and by how many bits

    def run(self, reveal: Reveal) -> Program:
        for number, layer in enumerate(self._plan.layers):
            self._values.append(self._layer(number, layer, [self._values[source] for source in layer.sources]))
            if number + 1 in self._uncut_values:
                self._uncut.add(self._values[-1])
        output, bits = self._values[-1], None
        if reveal == "class" and self._dealt and 1 < self._plan.classes <= _MOST_CLASSES:
            output = self._winner(output)
        elif reveal == "class":
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
        if isinstance(layer, layers.Constant):
            name, out, after = self._name("constant"), len(self._formats), _format(FRACTION_BITS, 1, value_bits)
            if self._plan.public:
                return self._add(PublicProduct(name, (), out, shape, layer, number, FRACTION_BITS, 1), after)
            return self._linear(SecretTensor(name, (), out, shape, layer, number), after)
        source = sources[0]
        match layer:
            case layers.Convolution() | layers.Linear() | layers.ChannelAffine() | layers.Scale():
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
            case layers.AveragePool():
                return self._mean(layer, source, shape, math.prod(layer.kernel), value_bits)
            case layers.Mean():
                count = math.prod(self._registers[source]) // math.prod(shape)
                return self._mean(layer, source, shape, count, value_bits)
            case layers.AdaptiveAveragePool():
                return self._mean(layer, source, shape, adaptive_divisor(layer, self._registers[source]), value_bits)
            case layers.Add() | layers.Concat():
                return self._aligned(layer, sources, shape, value_bits)
            case layers.Reshape() | layers.Strided() | layers.Take():
                return self._local(layer, sources, shape, self._formats[source])
            case layers.Total():
                return self._mean(layer, source, shape, 1, value_bits)
            case layers.WindowMeans():
                count = math.lcm(*(divisor for _, _, divisor in layer.windows))
                return self._mean(layer, source, shape, count, value_bits)
            case layers.Times():
                return self._times(layer, source, shape, value_bits)
            case layers.Round():
                return self._rounded(source, layer.fraction)
            case layers.Largest():
                return self._largest(layer, source, shape)
            case layers.Bend():
                return self._bend(self._plan.curves[layer.curve], source, shape, value_bits)
            case layers.Multiply() | layers.MatMul():
                return self._secret_product(layer, sources[0], sources[1], shape, value_bits)
        raise PlanError("no-counterpart", f"{type(layer).__name__} has no private counterpart")

    def _product(
        self, number: int, layer: layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale,
        source: int, bits: int, shape: Shape,
    ) -> int:  # fmt: skip
        kind = _PRODUCTS[type(layer)]
        before = self._formats[source]
        weight = FRACTION_BITS + (before.divisor - 1).bit_length()
        early = self._truncate_early and before.fraction > FRACTION_BITS
        if early or _format(before.fraction + weight, 1, bits).bits > self._most:
            cut = before.fraction - FRACTION_BITS
            source = self._truncate(source, cut if cut > 0 else _resolution(before) - FRACTION_BITS)
            before = self._formats[source]
            weight = FRACTION_BITS + (before.divisor - 1).bit_length()
        if self._plan.public:
            own = PublicProduct(
                self._name(kind), (source,), len(self._formats), shape, layer, number, weight, before.divisor
            )
            return self._add(own, _format(before.fraction + weight, 1, bits))
        step = Product(
            self._name(kind), (source,), len(self._formats), shape, layer, number, weight, before.divisor,
            self._registers[source],
        )  # fmt: skip
        out = self._add(step, _format(before.fraction + weight, 1, bits))
        self._static.add(out)
        return out

    def _mean(self, layer: layers.Layer, source: int, shape: Shape, count: int, bits: int) -> int:
        sources, after = self._fitting([source], lambda form: _format(form.fraction, form.divisor * count, bits))
        return self._local(layer, sources, shape, after)

    def _aligned(self, layer: layers.Layer, sources: list[int], shape: Shape, bits: int) -> int:
        """Bring the sources to one format by whole factors, then combine."""

        def common(*formats: Format) -> Format:
            fraction = max(each.fraction for each in formats)
            return _format(fraction, math.lcm(*(each.divisor for each in formats)), bits)

        sources, after = self._fitting(sources, common)
        formats = [self._formats[source] for source in sources]
        factors = tuple((after.divisor // each.divisor) << (after.fraction - each.fraction) for each in formats)
        return self._local(layer, sources, shape, after, factors)

    def _fitting(self, sources: list[int], after: Callable[..., Format]) -> tuple[list[int], Format]:
        """The sources, cut as far as what is made of them would not fit into a word, and the format of that."""
        while True:
            form = after(*(self._formats[source] for source in sources))
            if form.bits <= self._most:
                return sources, form
            widest = max(sources, key=lambda source: (source not in self._uncut, _resolution(self._formats[source])))
            cut = self._narrowed(widest)
            if cut == widest:
                return sources, form  # and it may fit by a bit or two, or be refused
            sources = [cut if source == widest else source for source in sources]

    def _times(self, layer: layers.Times, source: int, shape: Shape, bits: int) -> int:
        if self._narrow:
            source = self._narrowed(source)
        sources, after = self._fitting([source], lambda form: _format(form.fraction + layer.shift, form.divisor, bits))
        return self._local(layer, sources, shape, after)

    def _secret_product(
        self, layer: layers.Multiply | layers.MatMul, left: int, right: int, shape: Shape, bits: int
    ) -> int:
        if self._narrow:
            left, right = (self._narrowed(source) for source in (left, right))
        sources, after = self._fitting(
            [left, right], lambda one, two: _format(one.fraction + two.fraction, one.divisor * two.divisor, bits)
        )
        name = self._name("square" if left == right else "times" if isinstance(layer, layers.Multiply) else "matmul")
        shapes = (self._registers[sources[0]], self._registers[sources[1]])
        step = SecretProduct(name, (sources[0], sources[1]), len(self._formats), shape, layer, shapes)
        return self._add(step, after)

    def _bend(self, curve: Curve, source: int, shape: Shape, bits: int) -> int:
        """The gate of a curve: what ``source`` has beyond the curve's resolution is cut, unreachable knots go."""
        if self._formats[source].bits > self._most:
            source = self._rounded(source, max(FRACTION_BITS, curve.fraction), needed=True)
        before = self._formats[source]
        spare = _resolution(before) - max(FRACTION_BITS, curve.fraction)
        cut = max(0, min(spare, before.fraction, before.bits - 8))
        fraction = before.fraction - cut
        least, largest = -(1 << (before.bits - cut)) + 2, (1 << (before.bits - cut)) - 2
        up = fraction - curve.fraction
        after = _format(fraction + curve.slope_fraction, before.divisor, bits)
        constant, scaled = _shifted(curve.constant * before.divisor, up), before.divisor
        if curve.steps:
            after = _format(curve.fraction + curve.slope_fraction, 1, bits)
            constant, scaled, up = curve.constant, 1, 0
        slope, knots = curve.slope, []
        for place, bend, jump in curve.knots:
            knot = _shifted(place * before.divisor, fraction - curve.fraction)
            step = _shifted(jump * scaled, up)
            if knot <= least:
                slope, constant = slope + bend, constant + step - bend * knot
            elif knot < largest:
                knots.append((knot, bend, step))
        name, out = self._name(curve.name), len(self._formats)
        width = before.bits + 2
        return self._add(Spline(name, (source,), out, shape, width, cut, constant, slope, tuple(knots)), after)

    def _largest(self, layer: layers.Largest, source: int, shape: Shape) -> int:
        if self._formats[source].bits > MAX_WIDTH - 3:
            source = self._rounded(source, FRACTION_BITS, needed=True)
        before = self._registers[source]
        moved = (before[layer.axis], *before[: layer.axis], *before[layer.axis + 1 :])
        strides = layers.strides_of(before)
        view = layers.Strided(0, moved, (strides[layer.axis], *strides[: layer.axis], *strides[layer.axis + 1 :]), 0)
        candidates = self._local(view, [source], moved, self._formats[source])
        return self._tournament(self._name("max"), candidates, shape)

    def _narrowed(self, source: int) -> int:
        """The register with 16 fraction bits, or as it is where it must keep more."""
        return source if source in self._uncut else self._rounded(source, FRACTION_BITS)

    def _rounded(self, source: int, fraction: int, *, needed: bool = False) -> int:
        """The register with about ``fraction`` fraction bits; a register is cut once, whoever needs it."""
        before = self._formats[source]
        cut = min(_resolution(before) - fraction, before.fraction)
        if cut <= 0 and not needed:
            return source
        if (source, cut) not in self._cut:
            self._cut[source, cut] = self._truncate(source, cut, fraction)
        return self._cut[source, cut]

    def _local(
        self, layer: layers.Layer, sources: list[int], shape: Shape, after: Format, factors: tuple[int, ...] = ()
    ) -> int:
        name = type(layer).__name__.lower()
        return self._linear(Local(name, tuple(sources), len(self._formats), shape, layer, factors), after)

    def _winner(self, source: int) -> int:
        (classes,) = self._registers[source]
        excess = self._formats[source].bits + 2 - MAX_WIDTH  # of what tells the sign of a difference
        if excess > 0:
            source = self._truncate(source, excess + 1)
        before = self._formats[source]
        shape = (len(pairs(classes)),)
        wider = Format(before.fraction, before.divisor, before.bits + 1)
        difference = self._linear(Pairs("pairs", (source,), len(self._formats), shape), wider)
        return self._add(Winner("argmax", (difference,), len(self._formats), shape, wider.bits + 1, 0, classes), wider)

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
            raise PlanError(
                "comparison-too-wide",
                f"{name} would compare words of {width} bits, {MAX_WIDTH} are possible: lower input_limit",
            )
        return self._add(Compare(name, (source,), len(self._formats), shape, width, cut), after)

    def _truncate(self, source: int, cut: int, fraction: int = FRACTION_BITS) -> int:
        before = self._formats[source]
        if not 0 < cut <= _resolution(before) - fraction or before.bits + 1 > MAX_WIDTH:
            raise PlanError(
                "out-of-range", "a value grows beyond 64-bit words: lower input_limit or scale the weights down"
            )
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
            raise PlanError(
                "out-of-range", f"{step.name} grows beyond 64-bit words: lower input_limit or scale the weights down"
            )
        if math.prod(step.shape) > MAX_ELEMENTS:
            raise PlanError("too-many-elements", f"{step.name} holds too many elements")
        self._steps.append(step)
        self._formats.append(after)
        self._registers.append(step.shape)
        return step.out

    def _name(self, kind: str) -> str:
        self._names[kind] += 1
        return f"{kind}{self._names[kind]}"


#: The steps with weights, and their names in messages.
_PRODUCTS: dict[type, str] = {
    layers.Convolution: "conv",
    layers.Linear: "linear",
    layers.ChannelAffine: "affine",
    layers.Scale: "scale",
}


def _uncut(plan: ModelPlan) -> set[int]:
    """The values of ``plan`` that keep their fraction bits until a layer of the plan rounds them."""
    found: set[int] = set()
    for number, layer in enumerate(plan.layers):
        if isinstance(layer, layers.Bend) and plan.curves[layer.curve].steps:
            found.add(number + 1)
        if not isinstance(layer, layers.Round) or layer.fraction <= FRACTION_BITS:
            continue
        found.update((number + 1, layer.source))
        value = layer.source
        while value and isinstance(before := plan.layers[value - 1], layers.Mean | layers.Reshape):
            value = before.source
            found.add(value)
    found.discard(0)
    return found


def _resolution(form: Format) -> int:
    """Fraction bits and what the divisor is worth in them."""
    return form.fraction + form.divisor.bit_length() - 1


def _shifted(number: int, bits: int) -> int:
    """``number`` · 2^bits, rounded to the nearest."""
    return number << bits if bits >= 0 else (number + (1 << (-bits - 1))) >> -bits


def _format(fraction: int, divisor: int, value_bits: int) -> Format:
    return Format(fraction, divisor, max(1, value_bits + fraction + (divisor - 1).bit_length()))
