"""What fits into CrypTen's fixed point: 64-bit words with 16 fractional bits.

A product carries 32 fractional bits until it is cut back to 16, so a value v is held as v · 2^32 for a moment
and |v| must stay below 2^31 or the ring wraps.  Bob works out, from his weights and the public input limit, the
largest value that any wire can take, and refuses a network that could come near; Alice clips inputs to the
limit.

CrypTen's two-party truncation divides each share by itself.  The result is off by one unit in the last place at
most, except with probability |x| · 2^16 / 2^64 per element, x being the word after truncation (v · 2^16): then
it is off by 2^48 units, and the answer is garbage.  For |v| < 16 that is below 4e-9 an element.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sotto.link import as_numbers
from sotto.mpc.errors import InputRefused, ModelRefused
from sotto.mpc.graph import layers
from sotto.mpc.graph.plan import ModelPlan, Weights

if TYPE_CHECKING:
    from sotto.models import ModelRecord

FRACTION_BITS = 16
LEAST_RANGE, MOST_RANGE = -FRACTION_BITS, 46  # b of |value| < 2^b: what fits a 64-bit word
DEFAULT_INPUT_LIMIT = 128.0
LARGEST_VALUE = 2.0**30  # one bit below the ring's edge for a value with 32 fractional bits


def input_limit_of(record: ModelRecord) -> float:
    """What the published statistics of a model let through, where they clip; else the default."""
    statistics = record.normalisation
    return DEFAULT_INPUT_LIMIT if statistics is None or statistics.clip is None else statistics.clip


#: The layers that CrypTen runs too, whose values must stay below :data:`LARGEST_VALUE`.
_BOUNDED = (
    layers.Convolution | layers.Linear | layers.ChannelAffine | layers.ReLU | layers.Reshape | layers.Mean
    | layers.AveragePool | layers.MaxPool | layers.AdaptiveAveragePool | layers.Add | layers.Concat
)  # fmt: skip


def checked_features(features: npt.ArrayLike, plan: ModelPlan) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """``features`` as float32 (n, *input_shape) within the plan's limit, and warnings about values that had to change.

    Raises :class:`InputRefused` for another shape, or for what is no array of numbers; never for a value.
    """
    try:
        values, warnings = as_numbers(features, limit=plan.input_limit)
    except ValueError as error:
        raise InputRefused("not-numbers", str(error)) from None
    if values.ndim == 0 or values.shape[1:] != plan.input_shape:
        wanted = " × ".join(map(str, ("n", *plan.input_shape)))
        raise InputRefused(
            "wrong-shape", f"this network takes features of shape {wanted}, not {' × '.join(map(str, values.shape))}"
        )
    plan.require_batch(len(values), InputRefused)
    return values, warnings


def require_crypten_layers(plan: ModelPlan) -> None:
    """Raise :class:`ModelRefused` for a layer that CrypTen is not asked to run."""
    others = sorted(
        {
            plan.curves[layer.curve].name if isinstance(layer, layers.Bend) else type(layer).__name__
            for layer in plan.layers
            if not isinstance(layer, _BOUNDED)
        }
        | {
            f"{type(layer).__name__} over three axes"
            for layer in plan.layers
            if isinstance(layer, layers.Convolution | layers.AveragePool | layers.MaxPool) and len(layer.kernel) > 2
        }
    )
    if others or plan.final != "none":
        named = ", ".join(others or [plan.final])
        raise ModelRefused("not-in-mode", f"mode 'crypten' has no {named}: use mode 'malicious' or 'semi-honest'")


def require_range(plan: ModelPlan, weights: Weights) -> None:
    """Raise :class:`ModelRefused` when some input within the limit could overflow the fixed point in some layer."""
    if not all(isinstance(layer, _BOUNDED) for layer in plan.layers):
        return  # CrypTen is not asked to run it; :mod:`sotto.mpc.graph.ranges` is the proof of the other modes
    shapes = plan.shapes()
    bounds = [float(plan.input_limit)]
    for number, layer in enumerate(plan.layers):
        own = weights.get(number, {})
        elements = max(math.prod(shapes[source]) for source in layer.sources)
        bounds.append(_bound(layer, [bounds[source] for source in layer.sources], elements, own))
        if not bounds[-1] < LARGEST_VALUE:
            raise ModelRefused(
                "out-of-range",
                f"layer {number} ({type(layer).__name__}) can reach {bounds[-1]:.3g} for inputs within "
                f"±{plan.input_limit:g}, beyond the fixed point: lower input_limit or scale the weights down",
            )


def _bound(layer: layers.Layer, inputs: list[float], elements: int, own: dict[str, npt.NDArray[np.float32]]) -> float:
    """Largest absolute value of ``layer``'s output for inputs of ``elements`` elements within ``inputs``."""
    if isinstance(layer, layers.Convolution | layers.Linear):
        rows = np.abs(own["weight"].astype(np.float64)).reshape(len(own["weight"]), -1).sum(axis=1)
        bias = np.abs(own["bias"].astype(np.float64)) if "bias" in own else 0.0
        return float((rows * inputs[0] + bias).max())
    if isinstance(layer, layers.ChannelAffine):
        return float((np.abs(own["scale"]) * inputs[0] + np.abs(own["shift"])).max())
    if isinstance(layer, layers.AveragePool | layers.AdaptiveAveragePool | layers.Mean):
        # The sum comes before the division; it carries 16 fractional bits, not a product's 32.
        return max(inputs[0], inputs[0] * elements / 2**FRACTION_BITS)
    if isinstance(layer, layers.Add):
        return sum(inputs)
    return max(inputs)
