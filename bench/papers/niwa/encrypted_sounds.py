"""Niwa, Shiota, Kiya, Figures 3 to 7: waveforms and spectrograms before and after, for each key type.

Waveforms in blocks of 10 and 128 samples (their Figures 3 and 4), log spectrograms in blocks of 8 × 8 and 32 × 32
(Figures 5 and 6), and a spectrogram under ROM with M = 3, decrypted with the correct key and with another (Figure 7).
The pictures are of the first example, the figures are means over all of them; the waveforms also come as sound, to be
listened to.  Spectrograms are in decibels against the loudest bin, at least -80, as they would go into a network.

Looking different is no security: the attacks of :mod:`sotto.keyed.attacks` undo most of what these pictures show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from sotto.bench.papers.niwa.sounds.likeness import (
    LOUDEST_TO_FLOOR,
    correlation,
    decibels,
    intelligibility,
    log_spectral_distance,
    means,
)
from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw, write_sound
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, encrypted, speech_examples
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row
from sotto.keyed import KEY_TYPES, Key, decrypt, generate_key

DESCRIPTION = "waveforms and spectrograms before and after each key type (PNG, SVG and WAV in --out), with distances"

Floats = npt.NDArray[np.float64]

WAVE_BLOCKS, PLANE_BLOCKS, DECRYPTED_BLOCK = (10, 128), (8, 32), 3
STFT = GaussianSTFT(512, 128)
_COUNT = {"quick": 6, "full": 24}
_LIMITS = (-LOUDEST_TO_FLOOR, 0.0)


@dataclass(frozen=True, eq=False)
class _Column:
    """What a key makes of a sound: its place in the rows, and for one sound the figures and the picture."""

    mode: str
    key: Key
    change: Callable[[Floats], tuple[Metrics, Panel]]


def run(request: Request) -> Iterator[Row]:
    """Draw the figures, write the sounds, and return a row for each key type and block size."""
    examples = speech_examples(request, _COUNT[request.preset])
    plain = examples[0].sound
    write_sound(request.out / "plain.wav", plain, RATE)
    levels = _levels(plain)
    for kind in KEY_TYPES:
        keys = [generate_key(kind, size, seed=request.seed) for size in WAVE_BLOCKS]
        waves = [_Column(f"waveform {kind}", key, partial(_waveform, key)) for key in keys]
        yield from _figure(f"waveform-{kind}", [Panel("plain", plain, levels, _LIMITS)], waves, examples, request)
        keys = [generate_key(kind, size, 2, seed=request.seed) for size in PLANE_BLOCKS]
        planes = [_Column(f"spectrogram {kind}", key, partial(_spectrogram, key)) for key in keys]
        yield from _figure(f"spectrogram-{kind}", [Panel("plain", None, levels, _LIMITS)], planes, examples, request)
    key, other = (generate_key("rom", DECRYPTED_BLOCK, 2, seed=request.seed + number) for number in range(2))
    decrypted = [
        _Column(f"decryption: {name}", key, partial(_decrypted, key, used, name, limits))
        for name, used, limits in (
            ("encrypted", None, None), ("correct key", key, _LIMITS), ("incorrect key", other, None),
        )
    ]  # fmt: skip
    yield from _figure("decryption-rom", [], decrypted, examples, request)


def _figure(
    name: str, panels: list[Panel], columns: Sequence[_Column], examples: Sequence[Example], request: Request
) -> Iterator[Row]:
    """Draw the first example after ``panels``, write what can be heard of it; a row of means for each column."""
    for column in columns:
        measured = [column.change(example.sound) for example in examples]
        panel = measured[0][1]
        if panel.waveform is not None:
            write_sound(request.out / f"{name}-{column.key.block_size}.wav", panel.waveform, RATE)
        panels = [*panels, panel]
        yield Row(
            paradigm="plaintext",
            mode=column.mode,
            corpus=request.corpus,
            seed=request.seed,
            n_queries=len(measured),
            parameters={
                "block_size": column.key.block_size, "dimension": column.key.dimension, "key": column.key.kind,
            },
            metrics=means([metrics for metrics, _ in measured]),
        )  # fmt: skip
    paths = draw(panels, request.out / name, seconds=len(examples[0].sound) / RATE, rate=RATE)
    request.say("drawn: " + ", ".join(str(path) for path in paths))


def _waveform(key: Key, sound: Floats) -> tuple[Metrics, Panel]:
    observed = encrypted(sound, key)
    plain = sound[: len(observed)]
    magnitudes = np.abs(STFT.transform(observed)), np.abs(STFT.transform(plain))
    levels = decibels(magnitudes[0])
    figures = {
        "stoi": intelligibility(plain, observed, RATE),
        "correlation": correlation(plain, observed),
        "spectrogram_correlation": correlation(levels, decibels(magnitudes[1])),
        "log_spectral_distance_db": log_spectral_distance(*magnitudes),
        "share_of_energy_above_4_khz": _high(observed),
        "share_of_energy_above_4_khz_plain": _high(plain),
    }
    return figures, Panel(f"{key.kind}, M = {key.block_size}", observed, levels, _LIMITS)


def _spectrogram(key: Key, sound: Floats) -> tuple[Metrics, Panel]:
    plain = _levels(sound)
    observed = encrypted(plain, key)
    return _compared(plain, observed), Panel(f"{key.kind}, M = {key.block_size}", None, observed)


def _decrypted(
    key: Key, used: Key | None, name: str, limits: tuple[float, float] | None, sound: Floats
) -> tuple[Metrics, Panel]:
    """Figure 7: the correct key gives the spectrogram back, to rounding; another gives noise."""
    plain = _levels(sound)
    observed = encrypted(plain, key)
    if used is not None:
        observed = decrypt(torch.from_numpy(observed), used).numpy()
    return _compared(plain, observed), Panel(name, None, observed, limits)


def _levels(sound: Floats) -> Floats:
    return decibels(np.abs(STFT.transform(sound)))


def _compared(plain: Floats, observed: Floats) -> Metrics:
    plain = plain[: observed.shape[0], : observed.shape[1]]
    return {
        "correlation": correlation(plain, observed),
        "largest_error_db": float(np.abs(plain - observed).max()),
        "rms_error_db": float(np.sqrt(np.mean((plain - observed) ** 2))),
        "correlation_of_block_energies": correlation(_block_energy(plain), _block_energy(observed)),
    }


def _block_energy(values: Floats, size: int = 32) -> Floats:
    """Root mean square of each block of 32 × 32, which is whole blocks of every size in use but 3."""
    height, width = (side // size * size for side in values.shape)
    apart = values[:height, :width].reshape(height // size, size, width // size, size)
    return np.asarray(np.sqrt((apart**2).mean(axis=(1, 3))), np.float64)


def _high(sound: Floats) -> float:
    """Of the energy, what lies in the upper half of the frequencies."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power[len(power) // 2 :].sum() / power.sum())
