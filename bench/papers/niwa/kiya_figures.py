"""Niwa, Shiota, Kiya, Figures 3 to 7: waveforms and spectrograms before and after, for each key type.

Waveforms in blocks of 10 and 128 samples (their Figures 3 and 4), log spectrograms in blocks of 8 × 8 and 32 × 32
(Figures 5 and 6), and a spectrogram under ROM with M = 3, decrypted with the correct key and with another (Figure 7).
The pictures are of the first example, the figures are means over all of them; the waveforms also come as sound, to be
listened to.  Spectrograms are in decibels against the loudest bin, at least -80, as they would go into a network.

Looking different is no security: the attacks of :mod:`sotto.keyed.attacks` undo most of what these pictures show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from sotto.bench.papers.niwa.sounds.likeness import (
    LOUDEST_TO_FLOOR,
    correlation,
    decibels,
    intelligibility,
    log_spectral_distance,
    mean_of,
)
from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, speech_examples
from sotto.bench.plaintext import plaintext_row
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.keyed import KEY_TYPES, Key, decrypt, encrypt, generate_key

DESCRIPTION = "waveforms and spectrograms before and after each key type (PNG, SVG and WAV in --out), with distances"

Floats = npt.NDArray[np.float64]

WAVE_BLOCKS, PLANE_BLOCKS, DECRYPTED_BLOCK = (10, 128), (8, 32), 3
STFT = GaussianSTFT(512, 128)
_COUNT = {"quick": 6, "full": 24}
_LIMITS = (-LOUDEST_TO_FLOOR, 0.0)


@dataclass(frozen=True, eq=False)
class _Examples:
    """All examples, the request, and the first of them as it is drawn."""

    request: Request
    examples: list[Example]

    @property
    def first(self) -> Floats:
        return self.examples[0].sound

    @property
    def seconds(self) -> float:
        return len(self.first) / RATE

    def picture(self, name: str, panels: list[Panel]) -> None:
        paths = draw(panels, self.request.out / name, seconds=self.seconds, rate=RATE)
        self.request.say("drawn: " + ", ".join(str(path) for path in paths))


def run(request: Request) -> list[Row]:
    """Draw the figures, write the sounds, and return a row for each key type and block size."""
    found = _Examples(request, speech_examples(request, _COUNT[request.preset]))
    _write_sound(request.out / "plain.wav", found.first)
    rows: list[Row] = []
    for kind in KEY_TYPES:
        rows += _of_waveforms(kind, found)
        rows += _of_spectrograms(kind, found)
    return [*rows, *_decrypted(found)]


def _of_waveforms(kind: str, found: _Examples) -> list[Row]:
    panels = [Panel("plain", found.first, decibels(np.abs(STFT.transform(found.first))), _LIMITS)]
    rows = []
    for size in WAVE_BLOCKS:
        key = generate_key(kind, size, seed=found.request.seed)
        measured = []
        for number, example in enumerate(found.examples):
            heard = _encrypted(example.sound, key)
            plain = example.sound[: len(heard)]
            magnitudes = np.abs(STFT.transform(heard)), np.abs(STFT.transform(plain))
            measured.append(
                {
                    "stoi": intelligibility(plain, heard, RATE),
                    "correlation": correlation(plain, heard),
                    "spectrogram_correlation": correlation(decibels(magnitudes[0]), decibels(magnitudes[1])),
                    "log_spectral_distance_db": log_spectral_distance(*magnitudes),
                    "share_of_energy_above_4_khz": _high(heard),
                    "share_of_energy_above_4_khz_plain": _high(plain),
                }
            )
            if number == 0:
                panels.append(Panel(f"{kind}, M = {size}", heard, decibels(magnitudes[0]), _LIMITS))
                _write_sound(found.request.out / f"waveform-{kind}-{size}.wav", heard)
        rows.append(_row(f"waveform {kind}", key, found, measured))
    found.picture(f"waveform-{kind}", panels)
    return rows


def _of_spectrograms(kind: str, found: _Examples) -> list[Row]:
    panels = [Panel("plain", None, decibels(np.abs(STFT.transform(found.first))), _LIMITS)]
    rows = []
    for size in PLANE_BLOCKS:
        key = generate_key(kind, size, 2, seed=found.request.seed)
        measured = []
        for number, example in enumerate(found.examples):
            plain = decibels(np.abs(STFT.transform(example.sound)))
            seen = _encrypted(plain, key)
            measured.append(_compared(plain[: seen.shape[0], : seen.shape[1]], seen))
            if number == 0:
                panels.append(Panel(f"{kind}, M = {size}", None, seen))
        rows.append(_row(f"spectrogram {kind}", key, found, measured))
    found.picture(f"spectrogram-{kind}", panels)
    return rows


def _decrypted(found: _Examples) -> list[Row]:
    """Figure 7: the correct key gives the spectrogram back, to rounding; another gives noise."""
    request = found.request
    key, other = (generate_key("rom", DECRYPTED_BLOCK, 2, seed=request.seed + number) for number in range(2))
    rows, panels = [], []
    for name, used in (("encrypted", None), ("correct key", key), ("incorrect key", other)):
        measured = []
        for number, example in enumerate(found.examples):
            plain = decibels(np.abs(STFT.transform(example.sound)))
            seen = _encrypted(plain, key)
            if used is not None:
                seen = decrypt(torch.from_numpy(seen), used).numpy()
            measured.append(_compared(plain[: seen.shape[0], : seen.shape[1]], seen))
            if number == 0:
                panels.append(Panel(name, None, seen, _LIMITS if used is key else None))
        rows.append(_row(f"decryption: {name}", key, found, measured))
    found.picture("decryption-rom", panels)
    return rows


def _compared(plain: Floats, seen: Floats) -> dict[str, float | None]:
    return {
        "correlation": correlation(plain, seen),
        "largest_error_db": float(np.abs(plain - seen).max()),
        "rms_error_db": float(np.sqrt(np.mean((plain - seen) ** 2))),
        "correlation_of_block_energies": correlation(_block_energy(plain), _block_energy(seen)),
    }


def _block_energy(values: Floats, size: int = 32) -> Floats:
    """Root mean square of each block of 32 × 32, which is whole blocks of every size in use but 3."""
    height, width = (side // size * size for side in values.shape)
    apart = values[:height, :width].reshape(height // size, size, width // size, size)
    return np.asarray(np.sqrt((apart**2).mean(axis=(1, 3))), np.float64)


def _encrypted(values: Floats, key: Key) -> Floats:
    return np.asarray(encrypt(torch.from_numpy(values), key).numpy(), np.float64)


def _high(sound: Floats) -> float:
    """Of the energy, what lies in the upper half of the frequencies."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power[len(power) // 2 :].sum() / power.sum())


def _write_sound(path: Path, sound: Floats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.9 * sound / np.abs(sound).max(), RATE, subtype="PCM_16")


def _row(mode: str, key: Key, found: _Examples, measured: list[dict[str, float | None]]) -> Row:
    request = found.request
    return plaintext_row(
        mode=mode,
        model="none",
        corpus=request.corpus,
        split="none",
        seed=request.seed,
        n_queries=len(measured),
        parameters={"block_size": key.block_size, "dimension": key.dimension, "key": key.kind},
        accuracy=None,
        metrics={name: mean_of([one[name] for one in measured]) for name in measured[0]},
        published={},
    )
