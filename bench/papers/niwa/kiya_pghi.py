"""Niwa, Shiota, Kiya, phase reconstruction: sound from encrypted spectrograms by phase gradient heap integration.

Their Figures 6 and 7 (Shuffling and Flipping) and, in the extended paper, Figure 8 (ROM), all with M = 3: the papers
show spectrograms and say that the speech is not reconstructed; here it is measured.  An attacker who does not even try
to find the key takes the encrypted spectrogram for a spectrogram.  The row *plain* is what the method reaches without
encryption, *phases at random* what the plain magnitudes give without it: the ceiling and the floor.

Two kinds of spectrogram: *decibels* (against the loudest bin, at least -80: what networks get, and what the papers'
pictures show) and *magnitudes*, of which the attacker takes absolute values.  Every plain value of either kind has one
sign, known to all, so Flipping is undone by giving it back (*flipping, sign put right*): nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from sotto.bench.papers.niwa.sounds.likeness import correlation, decibels, from_decibels, intelligibility, mean_of
from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT, reconstructed, spectral_convergence
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, speech_examples
from sotto.bench.plaintext import plaintext_row
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.keyed import KEY_TYPES, Key, encrypt, generate_key

DESCRIPTION = "sound from encrypted spectrograms by phase gradient heap integration, against plain ones (WAV in --out)"

Floats = npt.NDArray[np.float64]

STFT = GaussianSTFT(1024, 128)
_SIZES = {"quick": (3,), "full": (3, 8)}
_COUNT = {"quick": 4, "full": 16}
_LIMITS = (-80.0, 0.0)


def run(request: Request) -> list[Row]:
    """A row for each kind of spectrogram, key type and block size."""
    examples = speech_examples(request, _COUNT[request.preset])
    rows = []
    for values in ("decibels", "magnitudes"):
        rows.append(_row("plain", values, None, _plain, examples, request))
        for size in _SIZES[request.preset]:
            for kind in KEY_TYPES:
                key = generate_key(kind, size, 2, seed=request.seed)
                rows.append(_row(kind, values, key, _under(values, key), examples, request))
            key = generate_key("flipping", size, 2, seed=request.seed)
            rows.append(_row("flipping, sign put right", values, key, _signs_right(values, key), examples, request))
    return [*rows, _random_phases(examples, request)]


Change = Callable[[Floats], Floats]  # from plain magnitudes to those that the attacker works on


def _plain(magnitudes: Floats) -> Floats:
    return magnitudes


def _under(values: str, key: Key) -> Change:
    def change(magnitudes: Floats) -> Floats:
        if values == "decibels":
            return from_decibels(_encrypted(decibels(magnitudes), key))
        return np.abs(_encrypted(magnitudes, key))

    return change


def _signs_right(values: str, key: Key) -> Change:
    def change(magnitudes: Floats) -> Floats:
        if values == "decibels":
            return from_decibels(-np.abs(_encrypted(decibels(magnitudes), key)))
        return np.abs(_encrypted(magnitudes, key))

    return change


def _encrypted(values: Floats, key: Key) -> Floats:
    """What the key leaves of the edges goes along unencrypted, so that the shape stays; the papers do not say."""
    whole = encrypt(torch.from_numpy(values), key).numpy()
    result = values.copy()
    result[: whole.shape[0], : whole.shape[1]] = whole
    return result


def _row(mode: str, values: str, key: Key | None, change: Change, examples: list[Example], request: Request) -> Row:
    measured = []
    for number, example in enumerate(examples):
        plain = np.abs(STFT.transform(example.sound))
        given = change(plain)
        heard = reconstructed(given, STFT, len(example.sound), seed=request.seed)
        again = np.abs(STFT.transform(heard))
        measured.append(
            _measured(example.sound, heard, plain, again)
            | {
                "spectral_convergence_db": spectral_convergence(again, given),
                "correlation_of_given_spectrogram": correlation(decibels(plain), decibels(given)),
            }
        )
        if number == 0:
            name = "-".join(part for part in (mode.replace(", ", "-").replace(" ", "-"), values) if part)
            size = "" if key is None else f"-{key.block_size}"
            _keep(name + size, example, plain, given, heard, again, request)
    request.say(f"{mode}, {values}: STOI {mean_of([one['stoi'] for one in measured]) or 0:.2f}")
    return _as_row(mode, values, key, measured, request)


def _random_phases(examples: list[Example], request: Request) -> Row:
    measured = []
    for number, example in enumerate(examples):
        plain = np.abs(STFT.transform(example.sound))
        angles = np.random.default_rng(request.seed + number).uniform(0, 2 * np.pi, plain.shape)
        heard = STFT.sound(plain * np.exp(1j * angles), len(example.sound))
        again = np.abs(STFT.transform(heard))
        measured.append(
            _measured(example.sound, heard, plain, again)
            | {
                "spectral_convergence_db": spectral_convergence(again, plain),
                "correlation_of_given_spectrogram": 1.0,
            }
        )
    return _as_row("plain, phases at random", "magnitudes", None, measured, request)


def _measured(sound: Floats, heard: Floats, plain: Floats, again: Floats) -> dict[str, float | None]:
    """Of the reconstructed sound against the original one."""
    return {
        "stoi": intelligibility(sound, heard, RATE),
        "correlation_of_spectrograms": correlation(decibels(plain), decibels(again)),
    }


def _keep(
    name: str, example: Example, plain: Floats, given: Floats, heard: Floats, again: Floats, request: Request
) -> None:
    panels = [
        Panel("original", example.sound, decibels(plain), _LIMITS),
        Panel("given to the reconstruction", None, decibels(given), _LIMITS),
        Panel("reconstructed", heard, decibels(again), _LIMITS),
    ]
    draw(panels, request.out / name, seconds=len(example.sound) / RATE, rate=RATE)
    soundfile.write(request.out / f"{name}.wav", 0.9 * heard / max(np.abs(heard).max(), 1e-12), RATE, subtype="PCM_16")


def _as_row(mode: str, values: str, key: Key | None, measured: list[dict[str, float | None]], request: Request) -> Row:
    return plaintext_row(
        mode=mode,
        model="none",
        corpus=request.corpus,
        split="none",
        seed=request.seed,
        n_queries=len(measured),
        parameters={"values": values, "block_size": 0 if key is None else key.block_size, "window": STFT.length},
        accuracy=None,
        metrics={name: mean_of([one[name] for one in measured]) for name in measured[0]},
        published={},
    )
