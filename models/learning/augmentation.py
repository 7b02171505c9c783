"""Augmentation of MFCC frames, done on the log-mel frames behind them.

A cepstrum is a linear map of log-mel frames, so training keeps the log-mel frames of every clip at several playback
speeds and draws a new variation of them for every step: voice (speed changes pitch and formants together), tempo,
position in time, and masked bands and moments (SpecAugment, Park et al. 2019). What the model sees at inference is
the plain feature; nothing here runs there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.features import MFCC, LogMel, extract
from sotto.audio.features.mfcc import cepstrum
from sotto.audio.reading import decode
from sotto.link import BadValue
from sotto.models.normalisation import Normalisation


@dataclass(frozen=True)
class Augmentation:
    """How far a training example may differ from the recording.

    Attributes
    ----------
    speeds
        playback speeds besides 1; 1.16 raises pitch and formants by 16 %. Tempo is restored.
    tempo
        the tempo changes by a factor up to e^tempo either way.
    shift
        frames the window moves at most, either way.
    bands, band_width
        how many mel bands are masked, each up to this wide (on the mel axis).
    moments, moment_width
        how many stretches of time are masked, each up to this many frames.
    width
        frames kept of every clip, from which the window is taken.
    """

    speeds: tuple[float, ...] = (0.84, 0.92, 1.08, 1.16)
    tempo: float = 0.15
    shift: float = 12.0
    bands: int = 1
    band_width: float = 8.0
    moments: int = 2
    moment_width: float = 20.0
    width: int = 256

    def __post_init__(self) -> None:
        if any(not 0.5 <= speed <= 2 for speed in self.speeds):
            raise BadValue("out-of-range", f"augmentation speeds are {self.speeds}; each must be between 0.5 and 2")
        amounts = (self.tempo, self.shift, self.bands, self.band_width, self.moments, self.moment_width)
        if min(amounts) < 0 or self.width < 1:
            raise BadValue("out-of-range", "augmentation amounts must not be negative, and width at least 1")


class Variations:
    """Log-mel frames of a corpus at several speeds: (speeds, n, mels, width), computed once and shared by folds."""

    def __init__(self, corpus: Corpus, spec: MFCC, augmentation: Augmentation, *, jobs: int | None = None) -> None:
        """Compute, or read from the feature cache, every speed.

        Raises
        ------
        ValueError
            ``spec`` normalises each clip or keeps every frame; neither can be done on variations.
        """
        if spec.normalisation != "none" or spec.frames is None:
            raise BadValue(
                "wrong-features",
                "augmentation works on MFCC with a number of frames and without normalisation per clip",
            )
        if augmentation.width < spec.frames:
            raise BadValue(
                "too-few-frames", f"augmentation width {augmentation.width} is less than the {spec.frames} frames used"
            )
        self.spec, self.augmentation = spec, augmentation
        self.speeds = (1.0, *augmentation.speeds)
        wide = _log_mel(spec, augmentation.width)
        self.frames = torch.empty((len(self.speeds), len(corpus), spec.mels, augmentation.width), dtype=torch.float16)
        for k, speed in enumerate(self.speeds):
            played = corpus if speed == 1 else at_speed(corpus, speed)
            self.frames[k] = torch.from_numpy(extract(played, wide, jobs=jobs))


class VariedCepstra:
    """Training examples (:class:`sotto.models.learning.training.Examples`): normalised MFCC, varied whenever they are
    drawn."""

    def __init__(self, plain: NDArray[np.float32], variations: Variations, normalisation: Normalisation) -> None:
        """``plain`` (n, coefficients, frames) is the unvaried, unnormalised feature of the same clips."""
        if len(plain) != variations.frames.shape[1]:
            raise BadValue(
                "shapes-differ", f"{len(plain)} features and variations of {variations.frames.shape[1]} clips"
            )
        self._plain = torch.from_numpy(normalisation.transform(plain))
        self._variations = variations
        self._mean = torch.from_numpy(normalisation.mean)
        self._scale = torch.from_numpy(normalisation.scale)
        self._clip = normalisation.clip
        spec = variations.spec
        basis = cepstrum(np.eye(spec.mels, dtype=np.float32), spec.coefficients, spec.lifter)
        self._basis = torch.from_numpy(np.ascontiguousarray(basis, dtype=np.float32))

    def __len__(self) -> int:
        return len(self._plain)

    def plain(self, indices: Tensor) -> Tensor:
        """Normalised MFCC as at inference, (k, coefficients, frames)."""
        return self._plain[indices]

    def draw(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Normalised MFCC of variations, (k, coefficients, frames)."""
        how = self._variations.augmentation
        bands = self._window(indices, generator)
        bands = mask(bands, 1, how.bands, how.band_width, bands.mean((1, 2), keepdim=True), generator)
        x = (self._basis @ bands - self._mean) / self._scale
        if self._clip is not None:
            x = x.clamp(-self._clip, self._clip)
        return mask(x, 2, how.moments, how.moment_width, torch.zeros(1), generator)

    def _window(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """A window of frames at a random speed, tempo and position, interpolated linearly: (k, mels, frames)."""
        how, k, length = self._variations.augmentation, len(indices), self._variations.spec.frames or 0
        speeds = torch.tensor(self._variations.speeds)
        which = torch.randint(len(speeds), (k,), generator=generator)
        frames = self._variations.frames[which, indices].float()
        pace = torch.exp(spread(k, how.tempo, generator)) / speeds[which]
        centre = (how.width - 1) / 2 + spread(k, how.shift, generator)
        steps = torch.arange(length) - (length - 1) / 2
        position = (centre[:, None] + steps * pace[:, None]).clamp(0, how.width - 1)
        left = position.floor().long().clamp(max=how.width - 2)
        share = (position - left)[:, None]
        index = left[:, None].expand(-1, frames.shape[1], -1)
        return torch.lerp(frames.gather(2, index), frames.gather(2, index + 1), share)


def at_speed(corpus: Corpus, speed: float) -> Corpus:
    """The same clips, in memory, played ``speed`` times as fast: pitch, formants and tempo change together."""
    clips = tuple(_clip_at_speed(clip, speed) for clip in corpus)
    return replace(corpus, clips=clips, trials=())


def _clip_at_speed(clip: Clip, speed: float) -> Clip:
    samples, rate = decode(clip)
    whole = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    return replace(clip, path=None, samples=whole, rate=round(rate * speed))


def _log_mel(spec: MFCC, width: int) -> LogMel:
    """The log-mel analysis behind ``spec``, with ``width`` frames."""
    shared = ("rate", "n_fft", "win", "hop", "mels", "fmin", "fmax", "pre_emphasis", "trim_db", "top_db")
    return LogMel(**{name: getattr(spec, name) for name in shared}, frames=width, padding="silence")


def mask(x: Tensor, axis: int, masks: int, width: float, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Overwrite ``masks`` stretches per example (k, a, b), each up to ``width`` long on ``axis``, by ``fill``."""
    size = x.shape[axis]
    shape: Sequence[int] = (1, -1, 1) if axis == 1 else (1, 1, -1)
    along = torch.arange(size).reshape(shape)
    for _ in range(masks):
        wide = torch.rand(len(x), 1, 1, generator=generator) * min(width, size)
        start = torch.rand(len(x), 1, 1, generator=generator) * (size - wide)
        x = torch.where((along >= start) & (along < start + wide), fill, x)
    return x


def spread(k: int, amount: float, generator: torch.Generator) -> Tensor:
    """Uniform on -``amount`` … ``amount``, (k,)."""
    return (torch.rand(k, generator=generator) * 2 - 1) * amount
