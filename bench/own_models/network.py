"""A network out of a user's file, trained here or with weights of its own, on a corpus' features.

``FILE.py:NAME`` is the user's own code and runs as such, with all that a script of theirs may do.  Weights are numbers:
safetensors alone, compared with the network's shapes before anything is read.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from sotto.audio.features import FeatureSpec, SampleBlocks, Waveform
from sotto.bench.emotion.emotion_models import IDENTITY, normalised
from sotto.bench.own_model import NotRunnable
from sotto.bench.own_models.comparison import Examples
from sotto.bench.workbench import Workbench
from sotto.models import ModelRecord, Normalisation
from sotto.models.learning.training import Schedule, train
from sotto.models.sample_input import from_samples, sample_spec

Kind = Literal["standard", "range", "none"]
_MOST_BYTES = 512 << 20


@dataclass(frozen=True)
class OwnNetwork:
    """A network ready to compare: test clips as ``examples``, training clips (n, …) as ``calibration``."""

    name: str
    shape: tuple[int, ...]
    module: nn.Module = field(repr=False)
    examples: Examples
    calibration: npt.NDArray[np.float32] = field(repr=False)


def own_network(
    source: str,
    bench: Workbench,
    spec: FeatureSpec,
    *,
    weights: Path | None,
    normalisation: Kind,
    at_circuit: bool = False,
) -> OwnNetwork:
    """Load ``FILE.py:NAME``, and train it on the training speakers unless it has ``weights``.

    The statistics of ``normalisation`` are those of the training speakers' features: ``standard`` for zero mean and
    unit variance of every coefficient, ``range`` for [-1, 1].  ``at_circuit``: the network is trained on features and
    then asked about samples, behind its front end (:mod:`sotto.models.sample_input`).

    Raises
    ------
    NotRunnable
        the file, the name, the feature or the weights cannot be used. ModelError: it cannot be trained.
    """
    if None in spec.shape:
        raise NotRunnable(
            "frames-needed",
            f"{spec.kind} features are as long as the clip here, and a network wants one size: set frames",
        )
    build = builder(source, len(bench.classes))
    _require_fit(build(), source, spec)
    learnt = [*bench.split.train, *bench.split.validation]
    features = bench.features(spec)
    statistics = IDENTITY if normalisation == "none" else _statistics(normalisation, spec, features[learnt])
    x = statistics.transform(features)
    if at_circuit:
        sample_spec(spec)  # refused before anything is trained
    name = source.rpartition(":")[2]
    if weights is not None:
        module = build()
        load_weights(module, weights)
    else:
        module = train(
            build,
            x,
            bench.targets,
            speakers=bench.speakers,
            training=bench.split.train,
            validation=bench.split.validation,
            schedule=_schedule(len(bench.split.train), early=bool(bench.split.validation)),
            seed=bench.seed,
            label=f"{bench.corpus.name} {name}",
        ).module
    parameters = {
        "features": spec.kind,
        "normalisation": normalisation,
        "weights": "given" if weights else "trained",
    }
    if at_circuit:
        record = ModelRecord(
            architecture="", arguments={}, classes=(), features=spec.to_record(), normalisation=statistics
        )
        module, record = from_samples(module.eval(), record)
        spec = sample_spec(spec)
        x = normalised(record, bench.features(spec))
    examples = Examples(
        bench.part(x, "test"),
        bench.part(bench.targets, "test"),
        bench.corpus.name,
        bench.split.name,
        bench.seed,
        parameters,
        "circuit" if at_circuit else "none" if isinstance(spec, Waveform | SampleBlocks) else "alice",
    )
    shape = spec.fixed_shape
    return OwnNetwork(f"{Path(source.rpartition(':')[0]).name}:{name}", shape, module.eval(), examples, x[learnt])


def builder(source: str, classes: int) -> Callable[[], nn.Module]:
    """What makes the network that ``FILE.py:NAME`` names: a class or function without arguments, or with ``classes``.

    The file is imported as a module, from its own folder, so that the parties' processes can import it too.

    Raises
    ------
    NotRunnable
        there is no such file or name, it cannot be imported, or it gives no ``torch.nn.Module``.
    """
    text, _, name = source.rpartition(":")
    path = Path(text).resolve()
    if not name.isidentifier() or path.suffix != ".py" or not path.is_file():
        raise NotRunnable("no-such-file", f"'{source[:200]}' is no FILE.py:NAME of a file that exists")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        module = importlib.import_module(path.stem)
    except Exception as error:  # whatever the user's own code raises
        raise NotRunnable(
            "cannot-import", f"{path.name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if Path(module.__file__ or "").resolve() != path:
        raise NotRunnable("name-taken", f"{path.name} has the name of another module, {path.stem}: rename the file")
    make = getattr(module, name, None)
    if not callable(make) or isinstance(make, nn.Module):
        raise NotRunnable("no-such-name", f"{path.name} has no class or function {name} that makes a network")

    def build() -> nn.Module:
        takes = inspect.signature(make).parameters
        try:
            made = make(classes=classes) if "classes" in takes else make()
        except Exception as error:  # whatever the user's own code raises
            raise NotRunnable("cannot-make", f"{name}: cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(made, nn.Module):
            raise NotRunnable("not-a-module", f"{name} gives a {type(made).__name__}, not a torch.nn.Module")
        return made

    build()
    return build


def _require_fit(module: nn.Module, source: str, spec: FeatureSpec) -> None:
    """Raise :class:`NotRunnable` for a network that does not take the features, before they are computed."""
    shape = spec.fixed_shape
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(2, *shape))
    except Exception as error:  # whatever the user's own code raises
        taken = " × ".join(map(str, shape))
        raise NotRunnable(
            "does-not-fit",
            f"{source.rpartition(':')[2]} does not take {spec.kind} features of {taken}, which --features sets as in "
            f"mfcc:coefficients=20,frames=32: {' '.join(str(error).split())[:200]}",
        ) from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file of its ``state_dict``.  Raises :class:`NotRunnable`, one line."""
    if path.suffix != ".safetensors" or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise NotRunnable(
            "not-safetensors",
            f"{path}: is no safetensors file of at most {_MOST_BYTES >> 20} MB (safetensors.torch.save_file)",
        )
    wanted = module.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name in sorted(names ^ set(wanted)):
                raise NotRunnable(
                    "tensor-name", f"{path}: {name[:60]} {'is missing' if name in wanted else 'is none of the network'}"
                )
            for name, tensor in wanted.items():
                if (found := tuple(file.get_slice(name).get_shape())) != tuple(tensor.shape):
                    raise NotRunnable(
                        "tensor-shape", f"{path}: {name[:60]} is {found}, the network has {tuple(tensor.shape)}"
                    )
            module.load_state_dict({name: file.get_tensor(name) for name in wanted})
    except (SafetensorError, OSError) as error:
        raise NotRunnable(
            "not-safetensors", f"{path}: is no readable safetensors file ({str(error).splitlines()[0][:120]})"
        ) from None


def _schedule(clips: int, *, early: bool) -> Schedule:
    """A thousand steps or more however small the corpus, stopped early by the validation speakers."""
    epochs = min(400, max(60, 32_000 // clips))
    return Schedule(epochs=epochs, batch=32, average=0.98, patience=epochs // 4 if early else None)


def _statistics(kind: Kind, spec: FeatureSpec, training: npt.NDArray[np.float32]) -> Normalisation:
    if isinstance(spec, SampleBlocks):
        return Normalisation.within(1.0)
    axes = (0, 1) if isinstance(spec, Waveform) else None  # one mean and scale for all samples of a waveform
    if kind == "range":
        return Normalisation.range(training, axes=axes, clip=1.0)
    return Normalisation.standard(training, axes=axes)
