"""A network made ready once: its plan, Bob's weights, and what interval analysis proves of both, in memory or a file.

``torch.export`` takes seconds; a service that reads the file instead traces nothing.  Layout: safetensors with tensors
``<layer>.<parameter>`` float32; metadata ``sotto.lowered`` with a JSON record of the plan, the ranges, the bound of the
error, and what it was made from.  The file holds numbers alone and is Bob's: the weights are in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn

from sotto.link.storage import replacing
from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph.bounds.error_bound import Unproven, error_bits
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT, require_range
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plain import evaluate
from sotto.mpc.graph.plan import ModelPlan, Ranges, Weights
from sotto.mpc.graph.program import require_ranges
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR, Output, trace

_METADATA = "sotto.lowered"
_FORMAT = 4
_MOST_RECORD_BYTES = 1 << 24


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    plan: ModelPlan
    ranges: Ranges
    error_bits: int | None
    unproven: str
    source: str


@dataclass(frozen=True, repr=False)
class LoweredModel:
    """``plan`` and ``weights`` of one network; ``source`` names what it was made from, empty where nobody asked."""

    plan: ModelPlan
    weights: Weights
    source: str = ""

    @classmethod
    def of(
        cls,
        module: nn.Module,
        input_shape: Shape,
        *,
        input_limit: float = DEFAULT_INPUT_LIMIT,
        activation_error: float = DEFAULT_ACTIVATION_ERROR,
        output: Output = None,
        source: str = "",
    ) -> LoweredModel:
        """Trace ``module``, arguments as of :class:`sotto.mpc.Bob`.  Raises :class:`sotto.mpc.ModelRefused`."""
        plan, weights = trace(
            module, input_shape, input_limit=input_limit, activation_error=activation_error, output=output
        )
        require_range(plan, weights)
        return cls(plan, weights, source)

    def __repr__(self) -> str:
        return f"<LoweredModel of {len(self.plan.layers)} layers>"

    @cached_property
    def ranges(self) -> Ranges:
        """For each value of the plan the power of two that bounds it.  Raises :class:`sotto.mpc.ModelRefused`."""
        return value_ranges(self.plan, self.weights)

    @cached_property
    def _error(self) -> tuple[int | None, str]:
        try:
            return error_bits(self.plan, self.weights), ""
        except Unproven as reason:
            return None, str(reason)

    @property
    def error_bits(self) -> int | None:
        """A b with every error of an output proven below 2^b, in all modes but ``crypten``; None where
        :attr:`unproven` says why."""
        return self._error[0]

    @property
    def unproven(self) -> str:
        """Why no bound of the error is proven, without any weight in it; empty where one is."""
        return self._error[1]

    def in_clear(self, features: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The plan on ``features`` (n, *input_shape) in floating point: scores (n, classes), curves for functions."""
        return evaluate(self.plan, self.weights, features)

    def with_public_weights(self) -> LoweredModel:
        """The same network whose weights Alice is told."""
        return replace(self, plan=msgspec.structs.replace(self.plan, public=True))

    def save(self, path: Path) -> None:
        """Write the file, for its owner alone."""
        record = _Record(_FORMAT, self.plan, self.ranges, self.error_bits, self.unproven, self.source)
        tensors = {
            f"{number}.{name}": np.ascontiguousarray(tensor, np.float32)
            for number, own in self.weights.items()
            for name, tensor in own.items()
        }
        with replacing(path, private=True) as unfinished:
            save_file(tensors, unfinished, {_METADATA: msgspec.json.encode(record).decode()})

    @classmethod
    def load(cls, path: Path) -> LoweredModel:
        """Read a file of :meth:`save`; shapes are compared with the plan's before a tensor is read.

        Raises :class:`sotto.mpc.ModelRefused` for any other file.
        """
        try:
            with safe_open(path, framework="np") as file:
                text = (file.metadata() or {}).get(_METADATA, "")
                if not 0 < len(text) <= _MOST_RECORD_BYTES:
                    raise ModelRefused("not-lowered", f"{path}: is no lowered network: prepare it again")
                record = msgspec.json.decode(text, type=_Record)
                if record.format != _FORMAT:
                    raise ModelRefused("other-release", f"{path}: is of another release: prepare it again")
                record.plan.shapes()
                require_ranges(record.ranges, record.plan)
                lowered = cls(record.plan, _tensors(file, record.plan, path), record.source)
        except (SafetensorError, OSError, msgspec.MsgspecError, ValueError) as error:
            if isinstance(error, ModelRefused):
                raise
            raise ModelRefused(
                "not-lowered", f"{path}: is no lowered network of this release: prepare it again"
            ) from None
        proven = (record.error_bits, record.unproven)
        lowered.__dict__.update(ranges=record.ranges, _error=proven)  # worked out when it was saved
        return lowered


def _tensors(file: Any, plan: ModelPlan, path: Path) -> Weights:
    wanted = {
        f"{number}.{name}": shape
        for number, layer in enumerate(plan.layers)
        for name, shape in layer.parameters.items()
    }
    weights: Weights = {}
    if set(file.keys()) != set(wanted):
        raise ModelRefused("other-tensors", f"{path}: holds other tensors than its plan names: prepare it again")
    for key, shape in wanted.items():
        part = file.get_slice(key)
        if tuple(part.get_shape()) != shape or part.get_dtype() != "F32":
            raise ModelRefused("tensor-misfit", f"{path}: tensor {key} does not fit its plan: prepare it again")
        number, _, name = key.partition(".")
        weights.setdefault(int(number), {})[name] = file.get_tensor(key)
    return weights
