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

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from sotto.bench.papers.niwa.sounds.likeness import correlation, decibels, from_decibels, intelligibility, means
from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT, reconstructed, spectral_convergence
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw, write_sound
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, encrypted, speech_examples
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row
from sotto.keyed import KEY_TYPES, Key, generate_key

DESCRIPTION = "sound from encrypted spectrograms by phase gradient heap integration, against plain ones (WAV in --out)"

Floats = npt.NDArray[np.float64]

STFT = GaussianSTFT(1024, 128)
_SIZES = {"quick": (3,), "full": (3, 8)}
_COUNT = {"quick": 4, "full": 16}
_LIMITS = (-80.0, 0.0)


Change = Callable[[Floats], Floats]
"""From plain magnitudes to those that the attacker works on."""


def run(request: Request) -> Iterator[Row]:
    """A row for each kind of spectrogram, key type and block size."""
    examples = speech_examples(request, _COUNT[request.preset])
    for values in ("decibels", "magnitudes"):
        yield _row("plain", values, None, _plain, examples, request)
        for size in _SIZES[request.preset]:
            for kind in KEY_TYPES:
                key = generate_key(kind, size, 2, seed=request.seed)
                yield _row(kind, values, key, partial(_under, key, values), examples, request)
            key = generate_key("flipping", size, 2, seed=request.seed)
            change = partial(_under, key, values, signs_right=True)
            yield _row("flipping, sign put right", values, key, change, examples, request)
    yield _row("plain, phases at random", "magnitudes", None, _plain, examples, request, integrate=False)


def _plain(magnitudes: Floats) -> Floats:
    return magnitudes


def _under(key: Key, values: str, magnitudes: Floats, *, signs_right: bool = False) -> Floats:
    if values == "magnitudes":
        return np.abs(_encrypted(magnitudes, key))
    levels = _encrypted(decibels(magnitudes), key)
    return from_decibels(-np.abs(levels) if signs_right else levels)


def _encrypted(values: Floats, key: Key) -> Floats:
    """What the key leaves of the edges goes along unencrypted, so that the shape stays; the papers do not say."""
    whole = encrypted(values, key)
    result = values.copy()
    result[: whole.shape[0], : whole.shape[1]] = whole
    return result


def _row(
    mode: str,
    values: str,
    key: Key | None,
    change: Change,
    examples: list[Example],
    request: Request,
    *,
    integrate: bool = True,
) -> Row:
    """Means over the examples; the first is drawn and can be heard.  Without ``integrate``, phases are drawn."""
    measured: list[Metrics] = []
    for number, example in enumerate(examples):
        plain = np.abs(STFT.transform(example.sound))
        given = change(plain)
        if integrate:
            reconstruction = reconstructed(given, STFT, len(example.sound), seed=request.seed)
        else:
            angles = np.random.default_rng(request.seed + number).uniform(0, 2 * np.pi, plain.shape)
            reconstruction = STFT.sound(given * np.exp(1j * angles), len(example.sound))
        again = np.abs(STFT.transform(reconstruction))
        measured.append(
            {
                "stoi": intelligibility(example.sound, reconstruction, RATE),
                "correlation_of_spectrograms": correlation(decibels(plain), decibels(again)),
                "spectral_convergence_db": spectral_convergence(again, given),
                "correlation_of_given_spectrogram": correlation(decibels(plain), decibels(given)),
            }
        )
        if number == 0:
            stem = "-".join([*mode.replace(",", "").split(), values, *([str(key.block_size)] if key else [])])
            panels = [
                Panel("original", example.sound, decibels(plain), _LIMITS),
                Panel("given to the reconstruction", None, decibels(given), _LIMITS),
                Panel("reconstructed", reconstruction, decibels(again), _LIMITS),
            ]
            draw(panels, request.out / stem, seconds=len(example.sound) / RATE, rate=RATE)
            write_sound(request.out / f"{stem}.wav", reconstruction, RATE)
    figures = means(measured)
    request.say(f"{mode}, {values}: STOI {figures['stoi'] or 0:.2f}")
    return Row(
        paradigm="plaintext",
        mode=mode,
        corpus=request.corpus,
        seed=request.seed,
        n_queries=len(measured),
        parameters={"values": values, "block_size": key.block_size if key else 0, "window": STFT.length},
        metrics=figures,
    )
