"""What espeak-ng cannot do to a voice: vocal tract, tremor, roughness, spectral tilt, breath, level and a room's noise.

All functions take and return mono float64 and draw what is random from the generator they are given.
"""

from __future__ import annotations

import numpy as np
import soxr
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import map_coordinates
from scipy.signal import butter, sosfiltfilt

_BREATH_FLOOR_DB = -34.0
"""Breath noise of a plain voice, relative to the voice."""


def scale_tract(samples: np.ndarray, rate: int, wanted_rate: int, tract: float) -> np.ndarray:
    """Resample to `wanted_rate` with formants (and pitch and tempo) scaled by `tract`."""
    stretched: np.ndarray = soxr.resample(samples, rate * tract, wanted_rate, quality="HQ")
    return stretched


def tremble(samples: np.ndarray, rate: int, depth: float, generator: np.random.Generator) -> np.ndarray:
    """Wobble pitch by `depth` and level by six times that, at 4 to 8 Hz."""
    frequency, phase = generator.uniform(4, 8), generator.uniform(0, 2 * np.pi)
    if depth <= 0:
        return samples
    angle = 2 * np.pi * frequency * np.arange(samples.size) / rate + phase
    # d/dt of this displacement is depth * cos(angle): the local change of playing speed, hence of pitch
    displacement = depth * rate / (2 * np.pi * frequency) * np.sin(angle)
    moved: np.ndarray = map_coordinates(samples, [np.arange(samples.size) + displacement], order=3, mode="nearest")
    return moved * (1 + 6 * depth * np.sin(angle))


def roughen(samples: np.ndarray, rate: int, depth: float, generator: np.random.Generator) -> np.ndarray:
    """Irregular amplitude (shimmer): multiply by 1 plus band noise of 25 to 90 Hz with standard deviation `depth`."""
    noise = generator.standard_normal(samples.size)
    if depth <= 0:
        return samples
    band = sosfiltfilt(butter(2, [25, 90], btype="bandpass", fs=rate, output="sos"), noise)
    return samples * np.maximum(1 + depth * band / (band.std() + 1e-12), 0.05)


def tilt_spectrum(samples: np.ndarray, rate: int, decibels: float) -> np.ndarray:
    """Change the spectrum by `decibels` per octave around 1 kHz, from 125 Hz upwards."""
    size = next_fast_len(samples.size + rate // 20, real=True)  # room for what the filter spreads beyond the end
    frequency = np.maximum(rfftfreq(size, 1 / rate), 125.0)
    gain = 10 ** (decibels * np.log2(frequency / 1000) / 20)
    tilted: np.ndarray = irfft(rfft(samples, size) * gain, size)[: samples.size]
    return tilted


def breathe(samples: np.ndarray, rate: int, decibels: float, generator: np.random.Generator) -> np.ndarray:
    """Add noise above 1.5 kHz that follows the voice's envelope, `decibels` above a plain voice's breath."""
    noise = sosfiltfilt(
        butter(2, 1500, btype="highpass", fs=rate, output="sos"), generator.standard_normal(samples.size)
    )
    envelope = np.maximum(sosfiltfilt(butter(2, 25, fs=rate, output="sos"), np.abs(samples)), 0)
    level = 10 ** ((_BREATH_FLOOR_DB + decibels) / 20)
    return samples + noise * envelope * level * 1.57  # pi / 2: from mean of the absolute value to amplitude


def set_level(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Scale to this root mean square, in dB below full scale; peaks are bent, not cut, towards full scale."""
    level = float(np.sqrt(np.mean(samples**2)))
    scaled = samples * (10 ** (decibels / 20) / max(level, 1e-9))
    knee = 0.8
    over = np.abs(scaled) > knee
    scaled[over] = np.sign(scaled[over]) * (knee + (1 - knee) * np.tanh((np.abs(scaled[over]) - knee) / (1 - knee)))
    return scaled


def put_in_room(samples: np.ndarray, rate: int, noise_decibels: float, generator: np.random.Generator) -> np.ndarray:
    """Add a pause before and after, and steady noise at this level (dB below full scale), darker than white."""
    before, after = (int(generator.uniform(0.1, 0.3) * rate) for _ in range(2))
    padded = np.concatenate([np.zeros(before), samples, np.zeros(after)])
    noise = tilt_spectrum(generator.standard_normal(padded.size), rate, -4.0)
    return padded + noise * (10 ** (noise_decibels / 20) / noise.std())
