"""Model files: safetensors weights with a record of what they are and where they came from.

A model file holds numbers and one JSON record, never code: loading it cannot run anything that is not
already in :mod:`sotto.models.architectures`. Whoever loads a file trusts its author for the *behaviour* of the model
only. Sizes are checked before anything is allocated: the network is first laid out without storage and compared
with the shapes in the file, so an oversized or mismatched file is refused for the price of its header.

Layout: tensors ``module.<parameter>`` and, when the model expects normalised features, ``normalisation.mean``
and ``normalisation.scale``; metadata key ``sotto.model`` with the JSON record.
"""

import importlib.metadata
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from sotto.link.storage import replacing
from sotto.models.architectures import Argument, ModelError, architecture, build
from sotto.models.normalisation import Kind, Normalisation

METADATA_KEY = "sotto.model"
MAX_BYTES = 512 * 2**20
MAX_RECORD_BYTES = 256 * 2**10
FORMAT: Literal[1] = 1

Scalar = bool | int | float | str | None
Spec = dict[str, Scalar | list[Scalar]]
Shapes = dict[str, tuple[tuple[int, ...], str]]


class _Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's file and its record say alike."""

    architecture: str
    arguments: dict[str, Argument]
    classes: tuple[str, ...]
    features: Spec = {}
    corpus: str = ""
    split: str = ""
    seed: int = 0
    scores: dict[str, float] = {}
    sotto: str = ""
    encrypted_for: str = ""


class ModelRecord(_Described, frozen=True, kw_only=True):
    """What a saved model is: everything needed to use it and to judge its scores.

    Attributes
    ----------
    architecture
        a name in :mod:`sotto.models.architectures`.
    arguments
        keyword arguments of its constructor.
    classes
        the label of each output, in order.
    features
        record of the feature specification the model expects (kind and parameters).
    normalisation
        public statistics Alice applies to the features, or None.
    corpus
        name of the training corpus; a synthetic corpus says so in its name.
    split
        name of the split; the scores are on its test speakers.
    seed
        seed of the training run.
    scores
        for instance ``{"accuracy": 0.6}``.
    sotto
        version of the package that wrote the file.
    encrypted_for
        fingerprint of the secret key the first convolution is encrypted under; empty for a plain
        model. An encrypted model gives noise on plain features.
    """

    normalisation: Normalisation | None = None


class _Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a Normalisation that is not a tensor."""

    kind: Kind
    clip: float | None


class _Header(_Described, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record as it stands in the file, where nothing is left to a default: statistics are tensors beside it."""

    format: Literal[1]
    features: Spec
    normalisation: _Statistics | None
    corpus: str
    split: str
    seed: int
    scores: dict[str, float]
    sotto: str


def save(path: str | Path, module: nn.Module, record: ModelRecord) -> None:
    """Write ``module`` and ``record`` to ``path`` atomically; an interrupted save leaves the old file.

    Raises
    ------
    ModelError
        the record does not describe the module (architecture, arguments), or a weight is not
        finite.
    OSError
        the folder cannot be written.
    """
    path = Path(path)
    if type(module) is not architecture(record.architecture):
        raise ModelError(
            "other-architecture", f"a {type(module).__name__} is not an architecture {record.architecture!r}"
        )
    _require_classes(path, record)
    state = {f"module.{name}": tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    _require_layout(path, _layout(record.architecture, record.arguments), _shapes(state))
    if record.normalisation is not None:
        state["normalisation.mean"] = torch.from_numpy(record.normalisation.mean.copy())
        state["normalisation.scale"] = torch.from_numpy(record.normalisation.scale.copy())
    _require_finite(path, state)
    text = msgspec.json.encode(_header(record)).decode()
    if len(text) > MAX_RECORD_BYTES:
        raise ModelError(
            "record-too-large", f"{path}: the model record has {len(text)} bytes, more than {MAX_RECORD_BYTES}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=True) as partial:
        save_file(state, partial, metadata={METADATA_KEY: text})


def load(path: str | Path) -> tuple[nn.Module, ModelRecord]:
    """Read a model file: the network in evaluation mode, and its record.

    Raises
    ------
    ModelError
        the file is missing, too large, malformed, not a model of this project, or does not fit
        the architecture it names. One line, naming the file.
    """
    path = Path(path)
    _require_plausible(path)
    try:
        with safe_open(path, framework="pt") as file:
            record = _decode(path, (file.metadata() or {}).get(METADATA_KEY))
            _require_classes(path, record)
            found = {name: _file_shape(file, name) for name in file.keys()}  # noqa: SIM118  (a file, not a dict)
            try:
                layout = _layout(record.architecture, record.arguments)
            except ModelError as error:
                raise ModelError(error.code, f"{path}: {error}") from error
            statistics = _statistics(path, record, found)
            _require_layout(path, layout, {name: found[name] for name in found if name not in statistics})
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "not-safetensors", f"{path}: not a readable safetensors file ({str(error).splitlines()[0][:120]})"
        ) from error
    _require_finite(path, tensors)
    with torch.random.fork_rng(devices=[]):  # its size is the file's by now; its initial weights are overwritten
        module = build(record.architecture, record.arguments)
    weights = {name.removeprefix("module."): tensor for name, tensor in tensors.items() if name not in statistics}
    module.load_state_dict(weights, strict=True)
    return module.eval(), _record(path, record, tensors)


def _header(record: ModelRecord) -> _Header:
    statistics = record.normalisation
    stored = None if statistics is None else _Statistics(statistics.kind, statistics.clip)
    return _Header(format=FORMAT, normalisation=stored, **(_shared(record) | {"sotto": record.sotto or version()}))


def _shared(record: _Described) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _Described.__struct_fields__}


def _record(path: Path, header: _Header, tensors: dict[str, torch.Tensor]) -> ModelRecord:
    normalisation = None
    if header.normalisation is not None:
        mean = tensors["normalisation.mean"].numpy()
        scale = tensors["normalisation.scale"].numpy()
        try:
            normalisation = Normalisation(mean, scale, header.normalisation.kind, header.normalisation.clip)
        except ValueError as error:
            raise ModelError("bad-statistics", f"{path}: {error}") from error
    return ModelRecord(normalisation=normalisation, **_shared(header))


def _decode(path: Path, text: str | None) -> _Header:
    if text is None:
        raise ModelError("no-record", f"{path}: a safetensors file, but without a sotto model record")
    if len(text) > MAX_RECORD_BYTES:
        raise ModelError(
            "record-too-large", f"{path}: the model record has {len(text)} bytes, more than {MAX_RECORD_BYTES}"
        )
    try:
        return msgspec.json.decode(text, type=_Header)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ModelError(
            "malformed-record", f"{path}: malformed model record ({' '.join(str(error).split())[:160]})"
        ) from error


def _statistics(path: Path, record: _Header, found: Shapes) -> set[str]:
    """Names of the normalisation tensors in the file: both or none, as the record says, and float32."""
    names = {name for name in found if name.startswith("normalisation.")}
    if names != ({"normalisation.mean", "normalisation.scale"} if record.normalisation else set()):
        raise ModelError("statistics-mismatch", f"{path}: the statistics in the file do not match its record")
    if any(found[name][1] != "F32" for name in names):
        raise ModelError("statistics-dtype", f"{path}: the statistics in the file are not float32")
    return names


def _require_plausible(path: Path) -> None:
    if not path.is_file():
        raise ModelError("no-such-file", f"{path}: no such model file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError("too-large", f"{path}: {size} bytes, more than the {MAX_BYTES} a model file may have")


_DTYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.bool: "BOOL",
}


def _layout(name: str, arguments: dict[str, Argument]) -> Shapes:
    """What the file must hold, from the network without storage."""
    with torch.device("meta"):
        module = build(name, arguments)
    return _shapes({f"module.{key}": tensor for key, tensor in module.state_dict().items()})


def _shapes(state: dict[str, torch.Tensor]) -> Shapes:
    return {name: (tuple(tensor.shape), _DTYPES.get(tensor.dtype, "?")) for name, tensor in state.items()}


def _require_classes(path: Path, record: "_Header | ModelRecord") -> None:
    outputs = record.arguments.get("classes")
    if outputs is not None and outputs != len(record.classes):
        raise ModelError(
            "class-count",
            f"{path}: the record names {len(record.classes)} classes, the network has {str(outputs)[:40]!r}",
        )


def _file_shape(file: Any, name: str) -> tuple[tuple[int, ...], str]:
    entry = file.get_slice(name)
    return tuple(entry.get_shape()), entry.get_dtype()


def _require_layout(path: Path, expected: Shapes, found: Shapes) -> None:
    for name in expected.keys() | found.keys():
        if name not in found:
            raise ModelError("tensor-missing", f"{path}: tensor {name[:60]!r} is missing")
        if name not in expected:
            raise ModelError("tensor-unknown", f"{path}: tensor {name[:60]!r} does not belong to the architecture")
        if expected[name] != found[name]:
            raise ModelError(
                "tensor-shape",
                f"{path}: tensor {name[:60]!r} is {str(found[name])[:80]}, the architecture has {expected[name]}",
            )


def _require_finite(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(np.isfinite(tensor.numpy()).all()):
            raise ModelError("not-finite", f"{path}: tensor {name[:60]!r} holds values that are not finite")


def version() -> str:
    """Version of the installed package, or ``unknown`` in a bare checkout."""
    try:
        return importlib.metadata.version("sotto")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
