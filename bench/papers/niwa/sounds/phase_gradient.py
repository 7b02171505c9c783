"""Sound from a spectrogram without phases: phase gradient heap integration (PGHI).

Under a Gaussian window the phase of a short-time Fourier transform follows from its magnitudes: its derivatives are
those of the logarithm of the magnitudes, exchanged.  They are summed up from bin to bin, the loudest first, so that an
error stays where little is heard.  Not iterative, and as good as the magnitudes belong to a sound at all.

Source: Průša, Balazs, Søndergaard, "A noniterative method for reconstruction of phase from STFT magnitude", 2017,
§III and Algorithm 1.  Everything here is public signal processing; no key comes near it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_QUIET = 1e-7  # of the loudest bin: below this a phase says nothing, and any will do


@dataclass(frozen=True)
class GaussianSTFT:
    """Short-time Fourier transform with a truncated Gaussian window; phases refer to the middle of each frame.

    ``length`` is that of window and transform (even), ``hop`` divides it: their ratio is the redundancy, 8 or more for
    good phases.  ``edge`` is the window's height at its ends.
    """

    length: int = 1024
    hop: int = 128
    edge: float = 0.01

    @property
    def spread(self) -> float:
        """γ in samples²: the window is exp(-π t² / γ)."""
        return float(-np.pi / 4 * self.length**2 / np.log(self.edge))

    @property
    def window(self) -> Floats:
        """(length,), the middle of the frame at length / 2."""
        time = np.arange(self.length) - self.length // 2
        return np.asarray(np.exp(-np.pi * time**2 / self.spread), np.float64)

    def transform(self, sound: Floats) -> npt.NDArray[np.complex128]:
        """Of ``sound`` (samples,): complex (1 + length / 2, 1 + samples // hop), silence around it."""
        padded = np.pad(sound, self.length // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.length)[:: self.hop]
        return np.fft.rfft(np.fft.ifftshift(frames * self.window, axes=1)).T

    def sound(self, spectrum: npt.NDArray[np.complex128], samples: int) -> Floats:
        """The sound (samples,) whose transform comes nearest to ``spectrum`` (least squares)."""
        frames = np.fft.fftshift(np.fft.irfft(spectrum.T, self.length), axes=1) * self.window
        total = np.zeros(self.hop * (len(frames) - 1) + self.length)
        weight = np.zeros_like(total)
        for number, frame in enumerate(frames):
            place = slice(number * self.hop, number * self.hop + self.length)
            total[place] += frame
            weight[place] += self.window**2
        middle = slice(self.length // 2, self.length // 2 + samples)
        middle_part = total[middle] / np.maximum(weight[middle], 1e-12)
        return np.pad(middle_part, (0, samples - len(middle_part)))


def reconstructed(magnitudes: Floats, stft: GaussianSTFT, samples: int, *, seed: int = 0) -> Floats:
    """The sound (samples,) whose spectrogram should be ``magnitudes`` (bins, frames); ``seed``: phases of silence."""
    return stft.sound(magnitudes * np.exp(1j * phases(magnitudes, stft, seed=seed)), samples)


def phases(magnitudes: Floats, stft: GaussianSTFT, *, seed: int = 0) -> Floats:
    """Phases (bins, frames) in radians that fit ``magnitudes``, up to a constant in each region of sound."""
    floor = max(_QUIET * float(magnitudes.max()), np.finfo(np.float64).tiny)
    logarithm = np.log(np.maximum(magnitudes, floor))
    bins = np.arange(len(magnitudes))[:, None]
    turns = stft.hop * stft.length / stft.spread
    in_time = turns * np.gradient(logarithm, axis=0) + 2 * np.pi * stft.hop * bins / stft.length
    in_frequency = -np.gradient(logarithm, axis=1) / turns
    found = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitudes.shape)
    return _integrated(magnitudes, in_frequency, in_time, floor, found)


def _integrated(magnitudes: Floats, in_frequency: Floats, in_time: Floats, floor: float, start: Floats) -> Floats:
    """Algorithm 1: from the loudest bin outwards, each step by the mean of the derivatives at both its ends."""
    height, width = magnitudes.shape
    loud, down, right = magnitudes.ravel().tolist(), in_frequency.ravel().tolist(), in_time.ravel().tolist()
    phase = start.ravel().tolist()
    done = (magnitudes <= floor).ravel().tolist()
    heap: list[tuple[float, int]] = []
    for seed in np.argsort(-magnitudes.ravel()).tolist():
        if done[seed]:
            continue
        phase[seed], done[seed] = 0.0, True
        heap.append((-loud[seed], seed))
        while heap:
            _, here = heapq.heappop(heap)
            row, column = divmod(here, width)
            for there, inside, slope, sign in (
                (here + 1, column + 1 < width, right, 1),
                (here - 1, column > 0, right, -1),
                (here + width, row + 1 < height, down, 1),
                (here - width, row > 0, down, -1),
            ):
                if inside and not done[there]:
                    phase[there] = phase[here] + sign * (slope[here] + slope[there]) / 2
                    done[there] = True
                    heapq.heappush(heap, (-loud[there], there))
    return np.array(phase).reshape(height, width)


def spectral_convergence(found: Floats, wanted: Floats) -> float:
    """Distance of two spectrograms of magnitudes, ‖found - wanted‖ / ‖wanted‖, in decibels; below -20 is good."""
    ratio = float(np.linalg.norm(found - wanted)) / float(np.linalg.norm(wanted))
    return float(20 * np.log10(max(ratio, 1e-12)))
