"""Log-mel spectrogram frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sotto.audio.features.mel import FrontEnd, check_frames, normalise, to_length
from sotto.audio.features.spec import fit_length


@dataclass(frozen=True, kw_only=True)
class LogMel(FrontEnd):
    """Mel power in decibels over time, (mels, frames). Parameters as `MFCC`, without the cepstrum."""

    kind: ClassVar[str] = "log-mel"

    frames: int | None = 188
    normalisation: str = "none"
    padding: str = "silence"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_frames(self.frames, self.normalisation, self.padding)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.mels, self.frames)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        sound = to_length(self.prepare(samples), self.frames, self.hop, self.padding)
        bands = normalise(self.log_mel(sound), self.normalisation)
        return (bands if self.frames is None else fit_length(bands, self.frames)).astype(np.float32)
