"""Recordings that a user names: refused with a reason before anything is trained or sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sotto.audio import BrokenClip, Clip, read

_LEAST_SECONDS = 0.25  # one or two syllables; eGeMAPS has no values for much less
_USUAL_SECONDS = 30


def require_speech(path: Path, warn: Callable[[str], None]) -> None:
    """Raise :class:`sotto.audio.BrokenClip` for a clip that cannot be decoded or holds nothing to classify.

    ``warn`` is told of a clip much longer than the utterances that models learn from.
    """
    samples = read(Clip(id=path.name, path=path))
    if samples.size < _LEAST_SECONDS * 16000:
        raise BrokenClip(
            "too-short", f"{path}: has {samples.size / 16000:.2f} s of sound, at least {_LEAST_SECONDS} s are needed"
        )
    if not np.abs(samples).max() > 0:
        raise BrokenClip("silent", f"{path}: is silent")
    if samples.size > _USUAL_SECONDS * 16000:
        seconds = samples.size / 16000
        warn(f"{path}: {seconds:.0f} s of sound; models know utterances of a few seconds, so cut it to one of them")
