"""Recordings that a user names: refused with a reason before anything is trained or sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sotto.audio import BrokenClip, Clip, read

_LEAST_SECONDS = 0.25  # one or two syllables; eGeMAPS has no values for much less


def require_speech(path: Path) -> None:
    """Raise :class:`sotto.audio.BrokenClip` for a clip that cannot be decoded or holds nothing to classify."""
    samples = read(Clip(id=path.name, path=path))
    if samples.size < _LEAST_SECONDS * 16000:
        raise BrokenClip(f"{path}: has {samples.size / 16000:.2f} s of sound, at least {_LEAST_SECONDS} s are needed")
    if not np.abs(samples).max() > 0:
        raise BrokenClip(f"{path}: is silent")
