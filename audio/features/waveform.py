"""The sound itself, at one length: as it is, or in blocks and companded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sotto.audio.features.mel import trimmed
from sotto.audio.features.spec import AtRate, fit_length, require, whole

SCALINGS = ("none", "peak", "rms")


@dataclass(frozen=True, kw_only=True)
class Waveform(AtRate):
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
    block: int = 1
    scaling: str = "none"

    def __post_init__(self) -> None:
        whole("rate", self.rate, 1000, 384_000)
        whole("block", self.block, 1, 1 << 16)
        require(0 < self.seconds <= 3600, "seconds must be more than 0 and at most 3600")
        require(self.scaling in SCALINGS, f"scaling must be one of {', '.join(SCALINGS)}")

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


@dataclass(frozen=True, kw_only=True)
class SampleBlocks(AtRate):
    """Samples in blocks, (block, blocks): one column after the other, companded as on a telephone line.

    A convolution over the columns is one over the sound with ``block`` samples from window to window.  Silence at both
    ends is trimmed; then the middle of the clip, or the clip with silence on both sides.  Nothing is analysed.

    Attributes
    ----------
    rate
        samples per second.
    block, blocks
        samples in a column, and columns.
    companding
        mu of the mu-law, ``sign(x) log(1 + mu |x|) / log(1 + mu)`` (ITU-T G.711 has 255), which brings soft and loud
        sounds closer together; 0 is off.
    trim_db
        drop silence at both ends, where it is this far below the loudest frame; None is off.
    """

    kind: ClassVar[str] = "sample-blocks"
    kept: ClassVar[bool] = False

    rate: int = 8000
    block: int = 128
    blocks: int = 128
    companding: float = 255.0
    trim_db: float | None = 35.0

    def __post_init__(self) -> None:
        whole("rate", self.rate, 1000, 384_000)
        whole("block", self.block, 1, 1 << 16)
        whole("blocks", self.blocks, 1, 1 << 16)
        require(0 <= self.companding <= 1e6, "companding must be from 0 to 1e6")
        require(self.trim_db is None or self.trim_db > 0, "trim_db must be positive, or None for no trimming")

    @property
    def shape(self) -> tuple[int | None, ...]:
        return self.block, self.blocks

    def compute(self, samples: np.ndarray) -> np.ndarray:
        if self.trim_db is not None:
            samples = trimmed(samples, self.trim_db)
        sound = np.clip(fit_length(samples, self.block * self.blocks), -1, 1)
        if self.companding:
            sound = np.sign(sound) * np.log1p(self.companding * np.abs(sound)) / np.log1p(self.companding)
        return np.ascontiguousarray(sound.reshape(self.blocks, self.block).T, np.float32)
