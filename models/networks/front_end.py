"""The analysis before an emotion network as layers of its own: from samples to normalised MFCC.

What :class:`sotto.audio.features.MFCC` computes is a windowed Fourier transform (a strided convolution), squares, mel
filters (a linear map), a logarithm above a floor, a limit below the clip's maximum, and a cosine transform (linear, the
network's statistics with it).  As a module, whoever evaluates a network can evaluate this too, and the device with the
microphone needs nothing but samples (:class:`sotto.audio.features.MFCCSamples`).

Energies are held 2^10 and mel powers 2^14 times as large as they are: on a scale of samples within [-1, 1] both then
lie above 2^-16 and below 2^29, which is what fixed point has.  The floor is -90 dB in place of MFCC's -100.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from sotto.audio.features import MFCC
from sotto.audio.features.mel import hann, mel_filters
from sotto.audio.features.mfcc import cepstrum
from sotto.link import BadValue
from sotto.models.normalisation import Normalisation

_AMPLITUDE, _FILTERS = 2.0**5, 2.0**4
_FLOOR = 2.0**-16
_DECIBELS = 10 / math.log(10)  # of a natural logarithm of a power


class CepstralFrontEnd(nn.Module):
    """Input float32 (n, samples) in [-1, 1]; output float32 (n, coefficients, frames), normalised.

    Its tensors are public: nothing is trained.
    """

    def __init__(self, spec: MFCC, normalisation: Normalisation) -> None:
        """

        Raises
        ------
        ValueError
            frames depend on the clip in a way that no fixed layers have: no number of frames, padding with zeros, a
            normalisation by clip; or the statistics are not by coefficient.
        """
        super().__init__()
        if spec.frames is None or spec.padding == "zero" or spec.normalisation != "none":
            raise BadValue(
                "wrong-features",
                "a front end of layers needs frames, padding that sounds, and no normalisation by clip",
            )
        if normalisation.mean.shape not in ((1,), (spec.coefficients, 1)):
            raise BadValue(
                "wrong-normalisation", f"statistics by coefficient are needed, not {normalisation.mean.shape}"
            )
        filters = mel_filters(spec.rate, spec.n_fft, spec.mels, spec.fmin, spec.fmax)
        used = np.flatnonzero(filters.any(axis=0))
        self.transform = nn.Conv1d(1, 2 * len(used), spec.n_fft, stride=spec.hop, bias=False)
        self.filters = nn.Conv1d(len(used), spec.mels, 1, bias=False)
        self.cepstrum = nn.Conv1d(spec.mels, spec.coefficients, 1)
        self.below = None if spec.top_db is None else spec.top_db / _DECIBELS
        self.clip = normalisation.clip
        cosines = cepstrum(np.eye(spec.mels), spec.coefficients, spec.lifter)
        scale, mean = (
            np.broadcast_to(each, (spec.coefficients, 1)) for each in (normalisation.scale, normalisation.mean)
        )
        unit = 10 * math.log10(_AMPLITUDE**2 * _FILTERS)
        with torch.no_grad():
            self.transform.weight.copy_(torch.from_numpy(_AMPLITUDE * _waves(spec, used))[:, None])
            self.filters.weight.copy_(torch.from_numpy(_FILTERS * filters[:, used])[..., None])
            self.cepstrum.weight.copy_(torch.from_numpy(_DECIBELS * cosines / scale)[..., None])
        shift = (-unit * cosines.sum(axis=1) - mean[:, 0]) / scale[:, 0]
        self.cepstrum.bias = nn.Parameter(torch.from_numpy(shift).float())
        self.requires_grad_(False)

    def forward(self, samples: Tensor) -> Tensor:
        """Features (n, coefficients, frames)."""
        real, imaginary = self.transform(samples[:, None]).chunk(2, dim=1)
        power = self.filters(real * real + imaginary * imaginary)
        level = power.clamp(min=_FLOOR).log()
        if self.below is not None:
            level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - self.below)
        features = self.cepstrum(level)
        return features if self.clip is None else features.clamp(-self.clip, self.clip)


def _waves(spec: MFCC, bins: np.ndarray) -> np.ndarray:
    """Cosines, then sines, of the Fourier transform at ``bins`` under the window, (2 · bins, n_fft)."""
    turns = 2 * np.pi * np.outer(bins, np.arange(spec.n_fft)) / spec.n_fft
    waves: np.ndarray = np.concatenate([np.cos(turns), np.sin(turns)]) * hann(spec.n_fft, spec.win)
    return waves
