"""Sounds as every listener gets them: 16 kHz, one level, within what 16 bits hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE = 16000
"""Samples per second of whatever a listener hears."""

LEVEL = 0.05
"""Root mean square of a sound, full scale 1: -26 dB, the level that telephone speech is measured at (ITU-T P.56)."""

Wave = npt.NDArray[np.float32]


def at_level(wave: npt.ArrayLike) -> Wave:
    """The sound (samples,) at :data:`LEVEL`, cut off at full scale; silence stays silence."""
    samples = np.asarray(wave, np.float64)
    power = float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
    return np.clip(samples * (LEVEL / power if power > 0 else 1.0), -1, 1).astype(np.float32)


def pcm(wave: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """The sound at its level in 16 bits."""
    return np.round(at_level(wave) * 32767).astype(np.int16)
