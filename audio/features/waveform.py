"""The sound itself, at one length."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sotto.audio.features.spec import FeatureSpec, fit_length, require, whole

SCALINGS = ("none", "peak", "rms")


@dataclass(frozen=True, kw_only=True)
class Waveform(FeatureSpec):
    """Samples, (samples,): the middle of the clip, or the clip with silence on both sides.

    Attributes
    ----------
    seconds
        length, rounded up to whole blocks.
    rate
        samples per second.
    block
        the length is a multiple of this many samples, for models that work on blocks of that size.
    scaling
        "none", or divide by the clip's "peak", or by its "rms" (root mean square, before cutting).
    """

    kind: ClassVar[str] = "waveform"
    kept: ClassVar[bool] = False

    seconds: float = field(default=3.0, kw_only=False)
    rate: int = 16000
    block: int = 1
    scaling: str = "none"

    def __post_init__(self) -> None:
        whole("rate", self.rate, 1000, 384_000)
        whole("block", self.block, 1, 1 << 16)
        require(0 < self.seconds <= 3600, "seconds must be more than 0 and at most 3600")
        require(self.scaling in SCALINGS, f"scaling must be one of {', '.join(SCALINGS)}")

    @property
    def sample_rate(self) -> int:
        return self.rate

    @property
    def samples(self) -> int:
        """Length in samples."""
        return math.ceil(round(self.seconds * self.rate) / self.block) * self.block

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.samples,)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        level = 1.0
        if self.scaling == "peak":
            level = float(np.abs(samples).max())
        elif self.scaling == "rms":
            level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        scaled = samples / level if level > 0 else samples
        return fit_length(scaled, self.samples).astype(np.float32)
