"""Hidden values around zero, so that the rounding of weights disturbs them less.

What a weight is rounded by is multiplied by the value that it meets, in every slot of a diagonal, those included that
hold nothing of use.  The results of an activation have a mean, ReLU's and its polynomials' more than half of their
size.  So each slot's mean over the calibration features is subtracted, one addition of a plaintext, and what the next
affine maps make of the means is part of their biases.  That is exact for every input, whatever the means are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sotto.he.network.circuit import Activation
from sotto.he.network.network import Floats
from sotto.he.network.schedule import Schedule
from sotto.he.planning.slot_noise import SlotNoise
from sotto.he.tensors.slot_product import Plain
from sotto.he.tensors.tensor_packing import TensorPacking
from sotto.he.tensors.tensor_program import hidden_values, tensor_layers


def centred(
    packing: TensorPacking, schedule: Schedule, activations: Sequence[Activation], vectors: Plain
) -> TensorPacking:
    """``packing`` with every hidden value's mean over ``vectors`` (n, slots) subtracted; any schedule will do."""
    machine = SlotNoise(schedule, by_unit=False)
    layers = tensor_layers(packing, schedule)
    with np.errstate(over="ignore", invalid="ignore"):  # noise is of no interest here
        values = hidden_values(machine, layers, activations, machine.encrypted(vectors))
        means: list[Floats] = [np.real(value.payload.values).mean(axis=0) for value in values]
        means[0] = np.zeros_like(means[0])  # Alice's
        shifts = [replace(v, payload=machine.encrypted(mean[None])) for v, mean in zip(values, means, strict=True)]
        biases = [layer.apply(machine, shifts, shifts[-1].level).payload.values[0] for layer in layers]
    stages = [
        replace(stage, bias=bias if np.iscomplexobj(stage.bias) else bias.real.copy(), centre=mean)
        for stage, bias, mean in zip(packing.stages, biases, [*means[1:], None], strict=True)
    ]
    return replace(packing, stages=tuple(stages))
