"""The operations of a network over tensors in their order, over any :class:`sotto.he.network.program.Machine`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotto.he.network.circuit import Activation
from sotto.he.network.program import Constant, Machine, P, Value, activate
from sotto.he.network.schedule import Schedule
from sotto.he.tensors.slot_product import SlotProduct, walk
from sotto.he.tensors.tensor_packing import PackedStage, TensorPacking


@dataclass(frozen=True, eq=False, repr=False)
class TensorLayer:
    """A packed stage; ``index`` names its constants, ``scale`` is that of the weights for its latest value."""

    index: int
    packed: PackedStage
    scale: float

    def apply(self, machine: Machine[P], values: Sequence[Value[P]], level: int) -> Value[P]:
        """The affine map of ``values`` over ``level`` primes."""
        products = self.packed.products
        result_scale = values[max(products)].scale * self.scale
        total: Value[P] | None = None
        for source in sorted(products):
            x = machine.drop(values[source], level)
            product = self._product(machine, x, source, products[source], result_scale / x.scale)
            total = product if total is None else machine.add(total, product)
        if total is None:
            raise ValueError("a stage takes a value")
        for step in self.packed.sums:
            total = machine.add(total, machine.rotate(total, step))
        if self.packed.conjugate:
            total = machine.add(total, machine.conjugate(total), related=True)
        return machine.plus(total, Constant((self.index, "bias"), self.packed.bias, total.scale))

    def _product(self, machine: Machine[P], x: Value[P], source: int, product: SlotProduct, scale: float) -> Value[P]:
        """Baby steps, then a Horner scheme over the giant steps."""
        if product.pair:
            x = machine.add(x, machine.turn_phase(machine.rotate(x, product.pair)))
        turned = {0: x}
        for before, after, step in walk(product.steps.babies):
            turned[after] = machine.rotate(turned[before], step)
        total: Value[P] | None = None
        above = 0
        for giant in sorted(product.diagonals, reverse=True):
            if total is not None:
                total = machine.rotate(total, above - giant)
            for baby, diagonal in product.diagonals[giant].items():
                constant = Constant((self.index, source, giant, baby), diagonal, scale)
                term = machine.times(turned[baby], constant)
                total = term if total is None else machine.add(total, term)
            above = giant
        if total is None:
            raise ValueError("a product has a diagonal that is not zero")
        return machine.rotate(total, above) if above else total


def tensor_layers(packing: TensorPacking, schedule: Schedule) -> tuple[TensorLayer, ...]:
    """The layers of a program."""
    pairs = zip(packing.stages, schedule.weight_bits, strict=True)
    return tuple(TensorLayer(index, stage, 2.0**bits) for index, (stage, bits) in enumerate(pairs))


def run_tensors(
    machine: Machine[P], layers: Sequence[TensorLayer], activations: Sequence[Activation], payload: P
) -> Value[P]:
    """The value of the last layer for Alice's input ``payload``."""
    values = hidden_values(machine, layers, activations, payload)
    return layers[-1].apply(machine, values, values[-1].level)


def hidden_values(
    machine: Machine[P], layers: Sequence[TensorLayer], activations: Sequence[Activation], payload: P
) -> list[Value[P]]:
    """The input and the results of all activations.  Those that are used later wait at their level."""
    values = [machine.fresh(payload)]
    before = machine.schedule.before or (0,) * len(activations)
    for index, activation in enumerate(activations):
        x = machine.rescale(layers[index].apply(machine, values, values[-1].level), before[index])
        value = activate(machine, x, activation, machine.schedule.rescales[index], index)
        centre = layers[index].packed.centre
        if centre is not None:
            value = machine.plus(value, Constant((index, "centre"), -centre, value.scale))
        values.append(value)
    return values
