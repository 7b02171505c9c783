"""A user's own model as parties: what ``sotto.local``, ``sotto.compare`` and ``sotto bench --model`` start.

Each paradigm's ``own_model.py`` has the names of :class:`OwnModelAdapter`.  It works where the caller is, who has all
that is given here, and hands each party what that party may hold: a model as numbers, a key to Alice alone.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto.bench.experiment import Configuration, Experiment, Plain, Plan
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.link import BadValue, Coded
from sotto.models import ModelRecord, load
from sotto.serving import registry
from sotto.serving.adapters import AS_DECLARED, LoweringOptions
from sotto.serving.reveal import Reveal
from sotto.serving.terms import MOST_INPUTS, FrontEnd, Terms

Shape = tuple[int | None, ...]


class NotRunnable(Coded, ValueError):
    """This paradigm cannot run this model, or something is missing for it; one line says what would help."""


@dataclass(frozen=True)
class Given:
    """What a user gives besides the model.

    Attributes
    ----------
    folder
        of the caller's own, where a key may be written for Alice.
    mode
        empty for the paradigm's first.
    input_shape
        of one example, None where it is not given.
    key, sensor, calibration
        as :func:`sotto.api.local.local` takes them.
    idle_seconds
        how long the parties wait for a next query.
    lowering
        how the network is made ready, where the paradigm does that.
    input_limit
        largest magnitude of an example's values, None for the paradigm's own; only mpc asks.
    """

    folder: Path
    mode: str = ""
    input_shape: tuple[int, ...] | None = None
    key: Any = field(default=None, repr=False)
    sensor: Any = field(default=None, repr=False)
    calibration: npt.ArrayLike | None = field(default=None, repr=False)
    idle_seconds: float = 600.0
    lowering: LoweringOptions = AS_DECLARED
    input_limit: float | None = None


@dataclass(frozen=True)
class OwnModel:
    """A model that a paradigm can run.

    Attributes
    ----------
    mode
        the one that is run.
    input_shape
        of one example; None for a length that may be any.
    parts
        what each party is made from when Alice may learn the class, or the scores too.
    plain
        the same model in the clear: examples (n, …) float32 to labels (n,) and, where they can be compared,
        scores (n, classes).
    security
        for the row.
    classes
        names of the outputs, empty where nobody has named them.
    batch
        examples in one query of a comparison, 0 where a batch is answered one by one.
    keys_are_sent
        whether Alice's set-up is key material.
    key_bytes
        of a key that was handed over beforehand.
    error_bound
        what is proven of the largest error of a value, where values are revealed.
    """

    mode: str
    input_shape: Shape
    parts: Callable[[Reveal], Mapping[str, PartySpec]]
    plain: Plain
    security: Security
    classes: tuple[str, ...] = ()
    batch: int = 16
    keys_are_sent: bool = False
    key_bytes: int | None = None
    error_bound: Callable[[], float | None] = lambda: None

    def experiment(
        self,
        cell: Configuration,
        queries: npt.NDArray[np.float32],
        truth: npt.NDArray[np.int64],
        singles: int,
        most: int,
    ) -> Experiment:
        """A comparison's run of it on ``most`` examples of known class, ``singles`` of them timed one by one."""
        rest = max(2, min(most, len(queries)) - singles)
        return Experiment(
            cell=cell,
            parts=self.parts("class"),
            score_parts=self.parts("logits"),
            queries=queries,
            truth=truth,
            query=_no_clip,
            plain=self.plain,
            security=self.security,
            plan=Plan(singles, most, batch=min(self.batch, rest), scored=min(16, len(queries))),
            keys_are_sent=self.keys_are_sent,
            key_bytes=self.key_bytes,
        )


def _no_clip(clip: Any) -> npt.NDArray[np.float32]:
    raise NotRunnable(
        "no-feature", "this model was given with examples, not with the feature that makes one of a recording"
    )


class OwnModelAdapter(Protocol):
    """What ``own_model.py`` of a paradigm offers."""

    @property
    def MODES(self) -> tuple[str, ...]:  # noqa: N802  a module's constant
        """What can be asked for, the default first."""

    def own(self, model: Any, given: Given) -> OwnModel:
        """Check a model and make it ready.  Raises ``ValueError``, one line, where this paradigm cannot run it."""

    def asked_shape(self, terms: Terms) -> Shape:
        """Shape of what Alice gives for one example, by the terms of the Bob that she asks."""


def adapter(paradigm: str) -> OwnModelAdapter:
    """The module ``own_model.py`` of a paradigm.

    Raises :class:`sotto.serving.errors.AdapterError` for an unknown name,
    :class:`NotRunnable` for a paradigm without one.
    """
    package = registry.paradigm(paradigm).service.rpartition(".")[0]
    try:
        return cast(OwnModelAdapter, importlib.import_module(f"{package}.own_model"))
    except ModuleNotFoundError as error:
        if error.name != f"{package}.own_model":
            raise
        raise NotRunnable(
            "no-own-models", f"{paradigm} takes no model of a caller's own: use sotto prepare and sotto.connect"
        ) from None


def chosen_mode(modes: tuple[str, ...], mode: str) -> str:
    """``mode``, or the first of ``modes`` for an empty one.  Raises :class:`NotRunnable`."""
    if mode and mode not in modes:
        raise NotRunnable("unknown-mode", f"'{mode[:40]}' is no mode of it: choose one of {', '.join(modes)}")
    return mode or modes[0]


def network(model: Any, wanted: str = "a torch.nn.Module or a model file") -> tuple[nn.Module, ModelRecord | None]:
    """A copy of a network in evaluation mode, and its record where it is from a file of :mod:`sotto.models.weights`.

    Raises
    ------
    NotRunnable
        it is neither. ModelError: the file cannot be used.
    """
    if isinstance(model, str | Path):
        return load(model)
    if not isinstance(model, nn.Module):
        raise NotRunnable("wrong-model", f"the model is {wanted}, not a {type(model).__name__}")
    return copy.deepcopy(model).eval(), None


def default_name(model: Any) -> str:
    """What rows call a model that nobody has named: its file or class.

    A container of torch's says nothing by its name, so its layers and their numbers do: "2 Conv1d, Linear; 1,234
    parameters".
    """
    if isinstance(model, str | Path):
        return Path(model).stem
    if not isinstance(model, nn.Module) or not type(model).__module__.startswith("torch."):
        return type(model).__name__
    layers = Counter(type(each).__name__ for each in model.modules() if each._parameters)
    named = ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in layers.items())
    return f"{named or type(model).__name__}; {sum(each.numel() for each in model.parameters()):,} parameters"


def example_shape(given: Given, record: ModelRecord | None) -> tuple[int, ...]:
    """Shape of one example: the given one, or that of the feature a model file names.  Raises :class:`NotRunnable`."""
    if given.input_shape is not None:
        return given.input_shape
    if record is not None and record.features:
        return FrontEnd.of(record).spec().fixed_shape
    raise NotRunnable(
        "shape-needed", "say with input_shape= what one example is, without its batch axis: input_shape=(40, 188)"
    )


def require_shape(given: Given, shape: Shape) -> None:
    """Raise :class:`NotRunnable` where the caller expects other examples than the model takes."""
    wanted = given.input_shape
    if wanted is None:
        return
    if len(wanted) != len(shape) or any(b not in (None, a) for a, b in zip(wanted, shape, strict=True)):
        raise NotRunnable("wrong-shape", f"input_shape is {wanted}, and this model takes {shape}: leave it out")


def require_place(features_at: str) -> None:
    """Raise ``ValueError`` for what is no place where features are computed."""
    if features_at not in ("alice", "circuit"):
        raise BadValue("unknown-place", f"features_at is 'alice' or 'circuit', not '{str(features_at)[:40]}'")


def as_shape(value: Any) -> tuple[int, ...] | None:
    """``input_shape`` as a tuple: a whole number is a shape of one axis.  Raises :class:`NotRunnable`."""
    if value is None:
        return None
    try:
        shape = tuple(int(length) for length in np.atleast_1d(np.asarray(value)).tolist())
    except (TypeError, ValueError):
        shape = ()
    exact = np.array_equal(np.atleast_1d(np.asarray(value, dtype=object)), np.array(shape, dtype=object))
    if not shape or not exact or min(shape) < 1 or math.prod(shape) > MOST_INPUTS:
        raise NotRunnable(
            "bad-shape", f"input_shape is the shape of one example, such as (40, 188) or 88, not {str(value)[:60]!r}"
        )
    return shape
