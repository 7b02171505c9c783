"""Magnitude of the short-time Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sotto.audio.features.mel import check_frames, to_length, transform
from sotto.audio.features.spec import AtRate, fit_length, require, whole

SCALES = ("magnitude", "power", "log")


@dataclass(frozen=True, kw_only=True)
class STFT(AtRate):
    """Spectrogram, (1 + n_fft // 2, frames), Hann window, centred frames.

    Attributes
    ----------
    n_fft, hop
        samples per transform and between frames.
    frames
        cut from the middle of the clip, or padded to; None keeps every frame.
    rate
        samples per second.
    scale
        "magnitude", "power", or "log": natural logarithm of 1e-6 plus the magnitude.
    padding
        "zero" frames, "silence" before analysis, or "repeat" the sound.
    """

    kind: ClassVar[str] = "stft"
    libraries: ClassVar[tuple[str, ...]] = ("librosa", "numpy", "scipy", "soundfile", "soxr")

    n_fft: int = field(default=512, kw_only=False)
    hop: int = 256
    frames: int | None = 188
    scale: str = "log"
    padding: str = "silence"

    def __post_init__(self) -> None:
        whole("n_fft", self.n_fft, 16, 1 << 16)
        whole("hop", self.hop, 1, 1 << 16)
        whole("rate", self.rate, 1000, 384_000)
        check_frames(self.frames, "none", self.padding)
        require(self.scale in SCALES, f"scale must be one of {', '.join(SCALES)}")

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (1 + self.n_fft // 2, self.frames)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        sound = to_length(samples, self.frames, self.hop, self.padding)
        values = np.abs(transform(sound, self.n_fft, self.hop))
        if self.scale == "power":
            values = values**2
        elif self.scale == "log":
            values = np.log(values + 1e-6)
        return (values if self.frames is None else fit_length(values, self.frames)).astype(np.float32)
