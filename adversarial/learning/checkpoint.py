"""Checkpoints: a training that was interrupted goes on where it was, and ends as if it had not been.

One safetensors file for each training, replaced as a whole: weights, the optimiser's state, the state of the random
generators, the curve so far.  The file is named after everything that decides the training, so another recipe, seed or
corpus never finds it.  A file that is damaged, foreign or does not fit is told in the log, and training starts afresh;
shapes are compared before anything is read.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sotto.audio.cache import key_of
from sotto.link.storage import replacing

_log = logging.getLogger("sotto")
_METADATA_KEY = "sotto.checkpoint"
_MAX_RECORD_BYTES = 4 * 2**20
_UNUSABLE = (SafetensorError, OSError, ValueError, KeyError, RuntimeError, msgspec.MsgspecError)  # of a file

E = TypeVar("E", bound=msgspec.Struct)


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    key: str
    curve: list[dict[str, float | None]]


class Checkpoint(Generic[E]):
    """Where a training is kept, or nowhere."""

    def __init__(
        self, folder: Path | None, what: Mapping[str, object], epochs: type[E], generator: torch.Generator
    ) -> None:
        """Args:
        folder: for checkpoint files; None keeps nothing.
        what: plain JSON with everything that decides the training.
        epochs: the struct that describes an epoch, whose fields are all numbers or null.
        generator: decides order and drawing; its state and torch's own are kept.
        """
        self.key = key_of(what)
        self.path = None if folder is None else folder / f"{self.key}.safetensors"
        self._epochs, self._generator = epochs, generator

    def save(self, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, curve: Iterable[E]) -> None:
        """Write the state after the last epoch of ``curve``."""
        if self.path is None:
            return
        state = _weights(modules) | _momenta(optimiser)
        state |= {"random.own": self._generator.get_state(), "random.torch": torch.get_rng_state()}
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        record = _Record(1, self.key, [msgspec.structs.asdict(epoch) for epoch in curve])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as partial:
            save_file(state, partial, metadata={_METADATA_KEY: msgspec.json.encode(record).decode()})

    def finished(self, modules: Mapping[str, nn.Module], over: Callable[[Sequence[E]], bool]) -> list[E] | None:
        """Put the kept weights into ``modules`` where the kept training is ``over``; its epochs, or None.

        Without an optimiser, whose libraries take longer to import than all this.
        """
        with contextlib.suppress(*_UNUSABLE):  # which is said where training is to be resumed
            return self._read(modules, lambda tensors: _load(modules, tensors), over)
        return None

    def resume(self, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> list[E] | None:
        """Put the kept state into ``modules``, ``optimiser`` and the generators; the epochs done, or None for none."""
        try:
            return self._read(modules, lambda tensors: self._restore(modules, optimiser, tensors))
        except _UNUSABLE as error:
            _log.warning("%s: cannot be resumed (%s), training starts afresh", self.path, str(error).split("\n")[0])
            return None

    def _read(
        self,
        modules: Mapping[str, nn.Module],
        restore: Callable[[dict[str, Tensor]], None],
        wanted: Callable[[Sequence[E]], bool] = lambda _: True,
    ) -> list[E] | None:
        if self.path is None or not self.path.is_file():
            return None
        with safe_open(self.path, framework="pt") as file:
            record = self._record((file.metadata() or {}).get(_METADATA_KEY))
            curve = [msgspec.convert(epoch, self._epochs) for epoch in record.curve]
            if not wanted(curve):
                return None
            expected = _shapes(_weights(modules))
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if {n: s for n, s in found.items() if n.startswith("module.")} != expected:
                raise ValueError("its weights do not fit")
            tensors = {name: file.get_tensor(name) for name in found}
        restore(tensors)
        return curve

    def _record(self, text: str | None) -> _Record:
        if text is None or len(text) > _MAX_RECORD_BYTES:
            raise ValueError("no checkpoint of this project")
        record = msgspec.json.decode(text, type=_Record)
        if record.key != self.key:
            raise ValueError("it belongs to another training")
        return record

    def _restore(
        self, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
    ) -> None:
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, place, field = name.split(".", 2)
                state.setdefault(int(place), {})[field] = tensor
        known = optimiser.state_dict()
        sizes = dict(enumerate(p.shape for group in optimiser.param_groups for p in group["params"]))
        if not all(t.shape in ((), sizes.get(place)) for place, kept in state.items() for t in kept.values()):
            raise ValueError("its optimiser does not fit")
        for generator in ("random.own", "random.torch"):
            torch.Generator().set_state(tensors[generator])  # before anything is changed
        optimiser.load_state_dict({"state": state, "param_groups": known["param_groups"]})
        _load(modules, tensors)
        self._generator.set_state(tensors["random.own"])
        torch.set_rng_state(tensors["random.torch"])


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {f"module.{label}.{n}": t for label, module in modules.items() for n, t in module.state_dict().items()}


def _load(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    for label, module in modules.items():
        prefix = f"module.{label}."
        weights = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        module.load_state_dict(weights, strict=True)


def _momenta(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{place}.{n}": torch.as_tensor(t)
        for place in state
        for n, t in state[place].items()
        if t is not None
    }


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
