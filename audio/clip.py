"""One recording and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sotto.link import BadValue

LABELS = ("speaker", "sex", "emotion", "intensity", "sentence", "transcript", "digit", "event", "fold")
"""The labels every clip has a field for; a corpus may carry others in `Clip.extra`."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording: a file, or samples in memory, with the labels its corpus gives it.

    Exactly one of `path` and `samples` is set. A label that the corpus does not have is None.

    Attributes
    ----------
    id
        unique within the corpus and the same on every machine (never an absolute path).
    path
        the wav or flac file; nothing is decoded until `audio.read`.
    samples
        (n,) or (n, channels), float in [-1, 1] or int16.
    rate
        samples per second; required with `samples`, else None (the file knows it).
    sex
        "female" or "male", where the corpus says so.
    fold
        the fold its authors put the clip in (ESC-50, UrbanSound8K).
    extra
        every other label, by name.
    """

    id: str
    path: Path | None = None
    samples: np.ndarray | None = field(default=None, compare=False, repr=False)
    rate: int | None = None
    speaker: str | None = None
    sex: str | None = None
    emotion: str | None = None
    intensity: str | None = None
    sentence: str | None = None
    transcript: str | None = None
    digit: str | None = None
    event: str | None = None
    fold: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.samples is None):
            raise BadValue("path-or-samples", f"clip {self.id}: give either path or samples")
        if self.samples is not None and (self.rate is None or self.rate <= 0):
            raise BadValue("wrong-rate", f"clip {self.id}: samples need a positive rate")

    @property
    def source(self) -> str:
        """What error messages call this clip: its file, or its id when it has none."""
        return str(self.path) if self.path is not None else f"clip {self.id}"

    def label(self, name: str) -> str | None:
        """The label `name` as text, or None when this clip has none."""
        value = getattr(self, name) if name in LABELS else self.extra.get(name)
        return None if value is None else str(value)
