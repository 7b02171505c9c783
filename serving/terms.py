"""What Alice and Bob must agree on before anything else is said: paradigm, mode, shape, classes, front end, parameters.

All of it is public.  Bob publishes his terms in the handshake; Alice may hold a copy of her own, from whoever gave her
her key or told her which service to use, and goes on only when Bob's are the same.  No weight is in them, nor a digest
of weights, which would let anybody confirm a guess at the model.

The front end is what Alice does with a recording before the protocol begins.  Where it is part of what protects her
(``hashing``, ``keyed``, ``adversarial``), hers comes from her own folder and never from Bob.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.link import Array, Coded, FrameError
from sotto.link.frames import printable
from sotto.serving.reveal import Reveal

if TYPE_CHECKING:  # hosts and dealers load neither, nor the libraries behind them, unless they need them
    from sotto.audio import Clip
    from sotto.audio.features import FeatureSpec
    from sotto.models import ModelRecord, Normalisation

MOST_CLASSES = 1 << 10
MOST_INPUTS = 1 << 22  # numbers in one example
MOST_OVERLAP = 32  # of a feature's windows: memory and time are then at most a small multiple of the recording's
MOST_BYTES = 4 << 20
TERMS_FILE, FRONT_FILE = "terms.json", "front.json"

Scalar = bool | int | float | str


class TermsError(Coded, ValueError):
    """Terms or a front end that cannot be used; the message says what to do."""


def class_or_logits(reveal: Reveal) -> Literal["class", "logits"]:
    """``reveal``, for a paradigm that tells no more than that.  Raises :class:`TermsError`."""
    if reveal == "values":
        raise TermsError("values-only-mpc", "only mpc reveals values: ask for the class or logits")
    return reveal


class Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Public statistics of features (:class:`sotto.models.Normalisation`)."""

    kind: Literal["standard", "range"]
    clip: float | None
    mean: Array
    scale: Array


class FrontEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a recording to what Alice's door takes: a feature, its statistics, then ``x -> (x - origin) @ matrix``."""

    features: dict[str, Any]
    statistics: Statistics | None = None
    origin: Array | None = None
    matrix: Array | None = None

    @classmethod
    def of(cls, record: ModelRecord) -> Self:
        """The front end that a model was trained behind."""
        return cls(dict(record.features), statistics_of(record.normalisation))

    def spec(self) -> FeatureSpec:
        """The feature.  Raises :class:`TermsError` for an unknown or an oversized one."""
        from sotto.audio.features import from_record

        try:
            spec = from_record(self.features)
            shape = spec.shape
        except (ValueError, TypeError, OverflowError) as error:
            raise TermsError("bad-front-end", f"the front end cannot be used: {printable(str(error), 300)}") from None
        if getattr(spec, "n_fft", 0) > MOST_OVERLAP * getattr(spec, "hop", 1):
            raise TermsError(
                "too-much-overlap",
                f"the front end's windows overlap more than {MOST_OVERLAP} times: its cost would tell of a recording",
            )
        if None in shape or math.prod(length or 0 for length in shape) > MOST_INPUTS:
            raise TermsError("no-fixed-size", "the front end has no fixed size, or too large a one")
        return spec

    def blank(self) -> npt.NDArray[np.float32]:
        """Zeros of the shape that :meth:`compute` gives.  Raises :class:`TermsError`."""
        shape = tuple(length or 0 for length in self.spec().shape)
        try:
            if self.matrix is not None and self.origin is not None:
                shape = self.matrix.numpy(dtype=np.float64, shape=(None, None)).shape[1:]
        except FrameError as error:
            raise TermsError("bad-front-end", f"the front end cannot be used: {error}") from None
        return np.zeros((1, *shape), np.float32)

    def compute(self, clip: Clip) -> npt.NDArray[np.float32]:
        """One recording as the door takes it (1, …) float32.  Raises :class:`TermsError`, ``audio.BrokenClip``."""
        from sotto.audio import read

        spec = self.spec()
        features = spec.compute(read(clip, spec.sample_rate))[None].astype(np.float32)
        if not np.isfinite(features).all():
            raise TermsError(
                "not-finite", f"{clip.source}: its {spec.kind} features are not finite numbers; is it too short?"
            )
        try:
            if self.statistics:
                features = normalisation_of(self.statistics).transform(features)
            if self.matrix is not None and self.origin is not None:
                matrix = self.matrix.numpy(dtype=np.float64, shape=(features.shape[1], None))
                origin = self.origin.numpy(dtype=np.float64, shape=(features.shape[1],))
                features = ((features.astype(np.float64) - origin) @ matrix).astype(np.float32)
        except (ValueError, FrameError) as error:
            raise TermsError("front-end-misfit", f"the front end does not fit its feature: {error}") from None
        return features


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a service is.  ``reveal`` is the most that Alice may learn; ``parameters`` are the paradigm's own."""

    paradigm: str
    mode: str
    reveal: Reveal = "class"
    model: str = ""
    input_shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    front: FrontEnd | None = None
    parameters: dict[str, Scalar] = {}

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.input_shape))
        return (
            f"<Terms {self.paradigm}/{self.mode} {self.model}, {shape} to {len(self.classes)} classes, "
            f"{self.fingerprint[:8]}>"
        )

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name these terms."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]

    def check(self) -> None:
        """Raise :class:`TermsError` for terms that no honest service publishes."""
        sizes_fit = math.prod(self.input_shape) <= MOST_INPUTS and all(length > 0 for length in self.input_shape)
        if len(self.classes) > MOST_CLASSES or len(self.input_shape) > 8 or not sizes_fit:
            raise TermsError("impossible-size", "the service publishes a model of impossible size")
        if any(not name.isprintable() or len(name) > 200 for name in self.classes):
            raise TermsError("bad-class-name", "the service names a class that cannot be shown")

    def difference(self, other: Terms) -> str:
        """In a few words what of ``other`` is not as here; empty when all is."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine == theirs:
                continue
            if isinstance(mine, dict):
                names = [key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
                differing = [f"{key} is {theirs.get(key)!s:.60}, not {mine.get(key)!s:.60}" for key in sorted(names)]
                return "; ".join(differing)
            if name == "front":
                return "the front end is another one"
            return f"{name.replace('_', ' ')} is {_shown(theirs)}, not {_shown(mine)}"
        return ""


def statistics_of(normalisation: Normalisation | None) -> Statistics | None:
    """The wire form of a normalisation."""
    if normalisation is None:
        return None
    mean, scale = Array.of(normalisation.mean), Array.of(normalisation.scale)
    return Statistics(normalisation.kind, normalisation.clip, mean, scale)


def normalisation_of(statistics: Statistics) -> Normalisation:
    """Raises ``ValueError`` or :class:`sotto.link.FrameError` for statistics that are none."""
    from sotto.models import Normalisation

    axes = len(statistics.mean.shape)
    mean, scale = (part.numpy(dtype=np.float32, shape=(None,) * axes) for part in (statistics.mean, statistics.scale))
    return Normalisation(mean, scale, statistics.kind, statistics.clip)


def write_terms(folder: Path, terms: Terms, front: FrontEnd | None = None) -> None:
    """Write a party's copy of the terms and, where it has one of its own, its front end."""
    (folder / TERMS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(terms), indent=1))
    if front is not None:
        (folder / FRONT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(front), indent=1))


def read_terms(path: Path) -> Terms | None:
    """A party's copy of the terms, a file or in its folder; None where it has none.  Raises :class:`TermsError`."""
    return _read(path if path.is_file() else path / TERMS_FILE, Terms)


def read_front(folder: Path) -> FrontEnd | None:
    """A party's own front end, None where it has none.  Raises :class:`TermsError`."""
    return _read(folder / FRONT_FILE, FrontEnd)


def _read(path: Path, kind: Any) -> Any:
    try:
        if not path.exists():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise TermsError("too-large", f"{path}: is too large for such a file")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise TermsError("cannot-read", f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        if isinstance(error, TermsError):
            raise
        raise TermsError("wrong-release", f"{path}: is no file of this release: prepare it again") from None


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        text = (" × " if all(isinstance(part, int) for part in value) else ", ").join(map(str, value))
    else:
        text = str(value)
    return f"'{text[:80]}'"
