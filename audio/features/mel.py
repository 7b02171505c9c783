"""The front end that log-mel and MFCC features share: from sound to mel power in decibels, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sotto.audio.features.spec import AtRate, fit_length, require, whole

NORMALISATIONS = ("none", "mean", "mean_variance")
_FRAMES_AT_ONCE = 1024  # ten minutes of sound fit into memory
PADDINGS = ("zero", "silence", "repeat")


@dataclass(frozen=True, kw_only=True)
class FrontEnd(AtRate):
    """Parameters of the mel analysis. All are keyword arguments of the features built on it.

    Attributes
    ----------
    rate
        samples per second.
    n_fft, win, hop
        samples per transform, per Hann window (None: n_fft) and between frames; frames are centred.
    mels
        mel bands (Slaney's scale and normalisation, as librosa).
    fmin, fmax
        their range in Hz; fmax None is half the rate.
    pre_emphasis
        coefficient of y[t] = x[t] - c x[t-1]; 0 is off.
    trim_db
        drop silence at both ends, where it is this far below the loudest frame; None is off.
    top_db
        clip the decibel spectrum this far below the clip's maximum; None is off.
    """

    libraries: ClassVar[tuple[str, ...]] = ("librosa", "numpy", "scipy", "soundfile", "soxr")

    n_fft: int = 1024
    win: int | None = None
    hop: int = 256
    mels: int = 64
    fmin: float = 0.0
    fmax: float | None = None
    pre_emphasis: float = 0.0
    trim_db: float | None = None
    top_db: float | None = 80.0

    def __post_init__(self) -> None:
        whole("rate", self.rate, 1000, 384_000)
        whole("n_fft", self.n_fft, 16, 1 << 16)
        if self.win is not None:
            whole("win", self.win, 1, self.n_fft)
        whole("hop", self.hop, 1, 1 << 16)
        whole("mels", self.mels, 1, self.n_fft // 2)
        high = self.rate / 2 if self.fmax is None else self.fmax
        require(0 <= self.fmin < high <= self.rate / 2, "fmin and fmax must satisfy 0 <= fmin < fmax <= rate / 2")
        require(0 <= self.pre_emphasis < 1, "pre_emphasis must be in [0, 1)")
        require(self.trim_db is None or self.trim_db > 0, "trim_db must be positive, or None for no trimming")
        require(self.top_db is None or self.top_db > 0, "top_db must be positive, or None for no limit")

    def prepare(self, samples: np.ndarray) -> np.ndarray:
        """Trim silence and emphasise high frequencies, as asked."""
        if self.trim_db is not None:
            samples = trimmed(samples, self.trim_db)
        if self.pre_emphasis:
            import librosa  # which takes a while, and few ask for it

            samples = librosa.effects.preemphasis(samples, coef=self.pre_emphasis)
        return samples

    def log_mel(self, samples: np.ndarray) -> np.ndarray:
        """Mel power in dB (re 1), float32 (mels, frames)."""
        spectrum = transform(samples, self.n_fft, self.hop, self.win)
        power = spectrum.real**2 + spectrum.imag**2
        filters = mel_filters(self.rate, self.n_fft, self.mels, self.fmin, self.fmax)
        decibels = _decibels(filters @ power)
        return decibels if self.top_db is None else np.maximum(decibels, decibels.max() - self.top_db)


def _decibels(power: np.ndarray) -> np.ndarray:
    """10 log10 of ``power``, which counts as 1e-10 at least."""
    return 10 * np.log10(np.maximum(power, 1e-10))


def trimmed(samples: np.ndarray, below: float) -> np.ndarray:
    """Without the frames at both ends that are ``below`` dB under the loudest; frames of 2048 samples, 512 apart."""
    frames = sliding_window_view(np.pad(samples, 1024), 2048)[::512]
    level = _decibels(np.mean(np.square(frames), axis=1))
    (loud,) = np.nonzero(level > level.max() - below)
    return samples[512 * loud[0] : 512 * (loud[-1] + 1)]


def transform(samples: np.ndarray, n_fft: int, hop: int, win: int | None = None) -> np.ndarray:
    """Short-time Fourier transform with a Hann window, complex64 (1 + n_fft // 2, 1 + n // hop), centred frames."""
    window = hann(n_fft, win)
    frames = sliding_window_view(np.pad(samples, n_fft // 2), n_fft)[::hop]
    spectrum = np.empty((len(frames), 1 + n_fft // 2), np.complex64)
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        chosen = slice(first, first + _FRAMES_AT_ONCE)
        spectrum[chosen] = np.fft.rfft(frames[chosen] * window)
    return spectrum.T


def hann(n_fft: int, win: int | None) -> np.ndarray:
    """A Hann window of ``win`` samples (None: ``n_fft``) in the middle of ``n_fft``, float64."""
    width = win or n_fft
    before = (n_fft - width) // 2
    window = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, width, endpoint=False))
    return np.pad(window, (before, n_fft - width - before))


@lru_cache(maxsize=8)
def mel_filters(rate: int, n_fft: int, mels: int, fmin: float, fmax: float | None) -> np.ndarray:
    """Triangles (mels, 1 + n_fft // 2) of one area each, float32, with corners equally spaced on Slaney's scale."""
    low, high = _mel(np.array([fmin, rate / 2 if fmax is None else fmax]))
    corners = _hertz(np.linspace(low, high, mels + 2))
    ramps = np.subtract.outer(corners, np.fft.rfftfreq(n_fft, 1 / rate))
    widths = np.diff(corners)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    return (triangles.astype(np.float32) * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


def mel_bands(low: float, high: float, bands: int) -> np.ndarray:
    """Frequencies in Hz from ``low`` to ``high``, (bands,), equally spaced on Slaney's scale."""
    ends = _mel(np.array([low, high]))
    return _hertz(np.linspace(ends[0], ends[1], bands))


def _mel(hertz: np.ndarray) -> np.ndarray:
    """Linear up to 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    return np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def to_length(samples: np.ndarray, frames: int | None, hop: int, padding: str) -> np.ndarray:
    """Lengthen the sound before analysis where `padding` asks for it; never shortens it."""
    if frames is None or padding == "zero":
        return samples
    wanted = (frames - 1) * hop + 1
    if samples.size >= wanted:
        return samples
    if padding == "silence":
        return fit_length(samples, wanted)
    return np.resize(samples, wanted)


def normalise(frames: np.ndarray, how: str) -> np.ndarray:
    """Per clip and per row: subtract the mean over time, and divide by the standard deviation if asked."""
    if how == "none":
        return frames
    centred = frames - frames.mean(axis=1, keepdims=True)
    if how == "mean":
        return centred
    return centred / (centred.std(axis=1, keepdims=True) + 1e-6)


def check_frames(frames: int | None, normalisation: str, padding: str) -> None:
    """Raise ValueError unless these are among the choices."""
    if frames is not None:
        whole("frames", frames, 1, 1 << 16)
    require(normalisation in NORMALISATIONS, f"normalisation must be one of {', '.join(NORMALISATIONS)}")
    require(padding in PADDINGS, f"padding must be one of {', '.join(PADDINGS)}")
