"""The networks a weights file may name.

A weights file names its architecture; only the names in this table are ever built, so a file cannot choose what
code runs. The table maps a name to where the class lives; the module is imported when the name is first used.
"""

import importlib
from collections.abc import Mapping

from torch import nn

from sotto.link import BadValue, Coded

Argument = bool | int | float | str | tuple[int, ...] | None

_ARCHITECTURES: dict[str, tuple[str, str]] = {
    "depinto": ("sotto.models.networks.emotion_cnn", "Depinto"),
    "frames": ("sotto.models.networks.emotion_cnn", "Frames"),
    "filterbank": ("sotto.models.networks.filterbank_cnn", "FilterbankCNN"),
    "mlp": ("sotto.models.networks.mlp", "MLP"),
    "wave-patch-cnn": ("sotto.models.networks.patch_cnn", "WavePatchCNN"),
    "spectrogram-patch-cnn": ("sotto.models.networks.patch_cnn", "SpectrogramPatchCNN"),
    "svm": ("sotto.models.svm.svm", "SVM"),
    "speaker-embedding": ("sotto.models.networks.speaker_embedding", "SpeakerEmbedding"),
    "patch-ctc": ("sotto.models.networks.ctc", "PatchCTC"),
    "convmixer": ("sotto.models.networks.convmixer", "ConvMixer"),
}


class ModelError(Coded, ValueError):
    """A model, or a file that should hold one, cannot be used; the message is one line that says why."""


def names() -> tuple[str, ...]:
    """The architecture names that :func:`build` knows."""
    return tuple(_ARCHITECTURES)


def register(name: str, cls: type[nn.Module]) -> None:
    """Add a network of a package above this one to the table, under a name no other class has.

    Packages register their own networks when they are imported, so a file still names only what this program defines.

    Raises
    ------
    ValueError
        the name belongs to another class.
    """
    entry = (cls.__module__, cls.__qualname__)
    if _ARCHITECTURES.setdefault(name, entry) != entry:
        raise BadValue("named-already", f"architecture {name!r} is {'.'.join(_ARCHITECTURES[name])} already")


def architecture(name: str) -> type[nn.Module]:
    """The class behind ``name``; raises ModelError for a name that is not in the table."""
    if name not in _ARCHITECTURES:
        raise ModelError(
            "unknown-architecture", f"unknown architecture {name[:40]!r}; known: {', '.join(_ARCHITECTURES)}"
        )
    module, attribute = _ARCHITECTURES[name]
    found = getattr(importlib.import_module(module), attribute)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError("not-a-module", f"architecture {name!r} is not a torch module class")
    return found


def build(name: str, arguments: Mapping[str, Argument]) -> nn.Module:
    """A freshly initialised network; raises ModelError when the arguments do not fit the architecture."""
    cls = architecture(name)
    try:
        return cls(**dict(arguments))
    except (TypeError, ValueError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError("cannot-build", f"architecture {name!r} cannot be built: {reason[:200]}") from error
