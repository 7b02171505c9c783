"""How well M separates: SDR and SI-SDR of the events it leaves, in decibels.

The masked magnitudes get the phase of the mixture back and become sound again.  SDR is the energy of the event over
that of the error; SI-SDR first scales the event to fit best, so that a mask cannot win or lose by its level (Le Roux,
Wisdom, Erdogan, Hershey, ICASSP 2019).  The mixtures themselves stand at 5 dB, as speech is attenuated by 5 dB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sounds.segments import Floats, Segments

_BATCH = 64
_TINY = 1e-12


@dataclass(frozen=True)
class SeparationQuality:
    """Means over the segments with speech, in dB: of the separated events, and of the mixtures."""

    sdr: float
    si_sdr: float
    sdr_mixture: float
    si_sdr_mixture: float


def separation_quality(sensor: Sensor, segments: Segments) -> SeparationQuality:
    """Separate the segments that hold speech with the mask of ``sensor``."""
    spoken = segments[segments.has_speech]
    found = separated(sensor, spoken.waveforms)
    return SeparationQuality(
        float(sdr(found, spoken.target).mean()),
        float(si_sdr(found, spoken.target).mean()),
        float(sdr(spoken.waveforms, spoken.target).mean()),
        float(si_sdr(spoken.waveforms, spoken.target).mean()),
    )


@torch.no_grad()
def separated(sensor: Sensor, waveforms: Floats) -> Floats:
    """What the sensor's mask leaves, as sound (n, samples) float32."""
    sensor.eval()
    device = sensor.spectrogram.window.device
    pieces = []
    for part in torch.from_numpy(waveforms).split(_BATCH):
        spectrum = sensor.spectrogram.transform(part.to(device))
        masked = spectrum * sensor.mask_of(spectrum.abs())
        pieces.append(sensor.spectrogram.inverse(masked, part.shape[1]).cpu())
    return torch.cat(pieces).numpy()


def sdr(found: Floats, target: Floats) -> npt.NDArray[np.float64]:
    """Signal-to-distortion ratio of each row, dB (n,)."""
    truth = target.astype(np.float64)
    return _decibels(truth, found - truth)


def si_sdr(found: Floats, target: Floats) -> npt.NDArray[np.float64]:
    """The same with the target scaled to fit best, dB (n,)."""
    truth = target.astype(np.float64)
    scale = (found * truth).sum(axis=1, keepdims=True) / np.maximum((truth**2).sum(axis=1, keepdims=True), _TINY)
    return _decibels(scale * truth, found - scale * truth)


def _decibels(signal: npt.NDArray[np.float64], error: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ratio = np.maximum((signal**2).sum(axis=1), _TINY) / np.maximum((error**2).sum(axis=1), _TINY)
    return np.asarray(10 * np.log10(ratio))
