"""What every feature is: a frozen description that computes, and that can be written down and read back.

A description is part of a model's record, because a model only makes sense on the features it was trained on; it is
also part of the cache key, together with the versions of the libraries that compute it.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from sotto.link import BadValue

_KINDS: dict[str, type[FeatureSpec]] = {}
#: Where the kinds of this package are defined: a record brings in the libraries of its own kind alone.
_MODULES = {
    "egemaps": "egemaps",
    "log-mel": "logmel",
    "mean-mfcc": "mfcc",
    "mfcc": "mfcc",
    "mfcc-samples": "mfcc",
    "sample-blocks": "waveform",
    "stft": "stft",
    "waveform": "waveform",
}


@dataclass(frozen=True)
class FeatureSpec(ABC):
    """One feature with all its parameters. Subclasses are frozen dataclasses of plain JSON values.

    Attributes
    ----------
    kind
        its name in records.
    revision
        raised when the same parameters begin to mean other numbers, so that old caches are not used.
    libraries
        distributions whose version is part of the cache key.
    kept
        whether the result is worth caching, which it is not when computing it is as quick as reading it back.
    seconds_each
        about what one clip takes to compute; only used to spread the work.
    """

    kind: ClassVar[str]
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "soundfile", "soxr")
    kept: ClassVar[bool] = True
    seconds_each: ClassVar[float] = 0.003

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    @property
    @abstractmethod
    def shape(self) -> tuple[int | None, ...]:
        """Shape of one clip's feature; None where it depends on the clip's length."""

    @property
    def fixed_shape(self) -> tuple[int, ...]:
        """The same in whole numbers; 0 where it depends on the clip's length."""
        return tuple(length or 0 for length in self.shape)

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples per second of the sound given to `compute`."""

    @abstractmethod
    def compute(self, samples: np.ndarray) -> np.ndarray:
        """The feature of one clip.

        Parameters
        ----------
        samples
            mono float (n,), n > 0, at `sample_rate`.

        Returns
        -------
        float32 of shape `self.shape`.
        """

    def to_record(self) -> dict[str, Any]:
        """A plain JSON object from which `from_record` makes this description again."""
        return {"kind": self.kind, "revision": self.revision, **asdict(self)}

    def cache_record(self) -> dict[str, Any]:
        """Everything the numbers depend on apart from the sound."""
        return {**self.to_record(), "libraries": {name: version(name) for name in self.libraries}}


@dataclass(frozen=True, kw_only=True)
class AtRate(FeatureSpec):
    """A feature of sound at ``rate`` samples per second."""

    rate: int = 16000

    @property
    def sample_rate(self) -> int:
        return self.rate


def from_record(record: dict[str, Any]) -> FeatureSpec:
    """The description that `to_record` wrote.

    Raises
    ------
    ValueError
        an unknown kind, another revision, an unknown or missing parameter, or a value out of range.
    """
    kind = record.get("kind")
    if not isinstance(kind, str):
        raise BadValue(
            "unknown-feature", f"unknown feature {kind!r}; known are {', '.join(sorted({*_MODULES, *_KINDS}))}"
        )
    cls = _class_of(kind)
    if record.get("revision") != cls.revision:
        raise BadValue(
            "bad-parameter",
            f"feature {kind} has revision {record.get('revision')!r}, this program computes {cls.revision}",
        )
    known = {field.name for field in fields(cls)}
    given = set(record) - {"kind", "revision"}
    if given != known:
        odd = ", ".join(sorted(given ^ known))
        raise BadValue(
            "bad-parameter", f"feature {kind}: its parameters are {', '.join(sorted(known))}; missing or unknown: {odd}"
        )
    return cls(**{name: record[name] for name in known})


def from_text(text: str) -> FeatureSpec:
    """The description that a command line gives: a kind, or one with parameters, ``mfcc:coefficients=13,hop=160``.

    Raises
    ------
    ValueError
        an unknown kind or parameter, or a value out of range.
    """
    kind, _, rest = text.partition(":")
    cls = _class_of(kind)
    given: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        known = [field.name for field in fields(cls)]
        if not equals or name not in known:
            raise BadValue("bad-parameter", f"feature {kind}: {part[:40]!r} is no NAME=VALUE of {', '.join(known)}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = None if value == "none" and not isinstance(getattr(cls, name, None), str) else value
    try:
        return cls(**given)
    except TypeError as error:
        raise BadValue("bad-parameter", f"feature {kind}: {error}") from None


def _class_of(kind: str) -> type[FeatureSpec]:
    if kind in _MODULES:
        importlib.import_module(f"{__package__}.{_MODULES[kind]}")
    if kind not in _KINDS:
        raise BadValue(
            "unknown-feature", f"unknown feature {kind[:40]!r}; known are {', '.join(sorted({*_MODULES, *_KINDS}))}"
        )
    return _KINDS[kind]


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless `condition` holds."""
    if not condition:
        raise BadValue("bad-parameter", message)


def whole(name: str, value: Any, least: int = 1, most: int = 1 << 20) -> None:
    """Raise ValueError unless `value` is an int in [least, most]."""
    if type(value) is not int or not least <= value <= most:
        raise BadValue("bad-parameter", f"{name} must be a whole number from {least} to {most}, not {value!r}")


def fit_length(array: np.ndarray, length: int) -> np.ndarray:
    """Cut the middle out of `array`, or pad it with zeros on both sides, to `length` along its last axis."""
    have = array.shape[-1]
    if have >= length:
        start = (have - length) // 2
        return array[..., start : start + length]
    before = (length - have) // 2
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(before, length - have - before)])
