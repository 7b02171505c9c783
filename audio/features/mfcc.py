"""Mel-frequency cepstral coefficients: frame by frame, and averaged over a clip (Davis & Mermelstein, 1980)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np

from sotto.audio.features.mel import FrontEnd, check_frames, normalise, to_length
from sotto.audio.features.spec import fit_length, require, whole


def cepstrum(decibels: np.ndarray, coefficients: int, lifter: int) -> np.ndarray:
    """The first `coefficients` of the orthonormal DCT-II over the bands, (mels, t) to (coefficients, t).

    lifter L > 0 weights coefficient k = 1, 2, … by 1 + L/2 sin(pi k / L), as HTK and librosa do.
    """
    bank: np.ndarray = (_cosines(coefficients, len(decibels)) @ decibels).astype(decibels.dtype)
    if lifter:
        k = np.arange(1, coefficients + 1)
        bank = bank * (1 + lifter / 2 * np.sin(np.pi * k / lifter))[:, None].astype(bank.dtype)
    return bank


@lru_cache(maxsize=8)
def _cosines(coefficients: int, bands: int) -> np.ndarray:
    """The first rows of the orthonormal DCT-II, float64 (coefficients, bands).  scipy has it, and 20 MB beside it."""
    rows = np.cos(np.pi / bands * np.outer(np.arange(coefficients), np.arange(bands) + 0.5))
    rows[0] *= np.sqrt(0.5)
    return rows * np.sqrt(2 / bands)


@dataclass(frozen=True, kw_only=True)
class MFCC(FrontEnd):
    """MFCC frames, (coefficients, frames).

    Attributes
    ----------
    frames
        cut from the middle of the clip, or padded to; None keeps every frame, so the width varies.
    lifter
        see `cepstrum`; 0 is off.
    normalisation
        "none", "mean" (per clip and coefficient: cepstral mean subtraction), or "mean_variance".
        It is taken over the clip's own frames, before cutting and before padding with "zero".
    padding
        a short clip gets frames of "zero", or its sound is padded with "silence", or "repeat"ed.
    """

    kind: ClassVar[str] = "mfcc"

    coefficients: int = field(default=40, kw_only=False)
    frames: int | None = 188
    lifter: int = 0
    normalisation: str = "none"
    padding: str = "silence"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_frames(self.frames, self.normalisation, self.padding)
        _check_cepstrum(self.coefficients, self.mels, self.lifter)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.coefficients, self.frames)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        sound = to_length(self.prepare(samples), self.frames, self.hop, self.padding)
        bank = normalise(cepstrum(self.log_mel(sound), self.coefficients, self.lifter), self.normalisation)
        return (bank if self.frames is None else fit_length(bank, self.frames)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class MFCCSamples(MFCC):
    """The samples that `MFCC` of the same parameters is computed from, (samples,): those of its frames, in order.

    Silence is trimmed and the length made up as there; nothing is analysed.  Where the sound goes on beyond the frames
    that `MFCC` keeps, half a window of it on either side is kept too.
    """

    kind: ClassVar[str] = "mfcc-samples"
    kept: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fixed = self.frames is not None and self.padding != "zero"
        require(fixed, "mfcc-samples: give frames, and another padding than zero, so that all clips have one length")

    @property
    def length(self) -> int:
        """How many samples."""
        return ((self.frames or 1) - 1) * self.hop + self.n_fft

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.length,)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        frames = self.frames or 1
        sound = to_length(self.prepare(samples), frames, self.hop, self.padding)
        first = max(0, 1 + sound.size // self.hop - frames) // 2
        padded = np.pad(sound, (self.n_fft // 2, self.n_fft))
        start = first * self.hop
        return padded[start : start + self.length].astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class MeanMFCC(FrontEnd):
    """The mean of every MFCC over all frames of the clip, (coefficients,).

    Its analysis is librosa's default (2048-sample windows, hop 512, 128 bands), as in published models of this kind.
    """

    kind: ClassVar[str] = "mean-mfcc"

    coefficients: int = field(default=40, kw_only=False)
    n_fft: int = 2048
    hop: int = 512
    mels: int = 128
    lifter: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_cepstrum(self.coefficients, self.mels, self.lifter)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.coefficients,)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        bank = cepstrum(self.log_mel(self.prepare(samples)), self.coefficients, self.lifter)
        return bank.mean(axis=1).astype(np.float32)


def _check_cepstrum(coefficients: int, mels: int, lifter: int) -> None:
    whole("coefficients", coefficients)
    whole("lifter", lifter, 0)
    require(coefficients <= mels, f"{coefficients} coefficients need at least as many mel bands, not {mels}")
