"""Niwa, Shiota, Kiya, Figures 8 and 9: decryption attacks of Chang and Case on encrypted spectrograms as 8-bit images.

The paper shows pictures under M = 3 and finds that the spectrograms "could not be completely decrypted"; here every
attack is measured: correlation with the plain image, up to its sign, and the share of pixels that come back to within
two of the 255 grey levels.  As there, the attacker knows the block size and scales what he sees so that its largest
value is 255 and its smallest 0.

*decibels* are spectrograms against their loudest bin, where every plain value is negative; *standardised* ones have
mean 0 and variance 1, as networks are usually given them.  The attack with helper images is chosen plaintext, the
others see nothing but the encrypted image (and, for least difference, the first plain pixel).  The paper does not try
these attacks on ROM; there *helper images, all grey levels* reads the whole matrix off the helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from sotto.bench.papers.niwa.sounds import image_attacks
from sotto.bench.papers.niwa.sounds.likeness import correlation, decibels, means
from sotto.bench.papers.niwa.sounds.phase_gradient import GaussianSTFT
from sotto.bench.papers.niwa.sounds.sound_pictures import Panel, draw
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, encrypted, speech_examples
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row
from sotto.keyed import KEY_TYPES, Key, generate_key

DESCRIPTION = "Chang and Case's attacks on encrypted spectrograms as 8-bit images (PNG and SVG in --out)"

Floats = npt.NDArray[np.float64]

STFT = GaussianSTFT(512, 128)
_SIZES = {"quick": (3,), "full": (3, 8)}
_COUNT = {"quick": 6, "full": 24}
_SCALES: dict[str, Callable[[Floats], Floats]] = {
    "decibels": lambda levels: levels,
    "standardised": lambda levels: (levels - levels.mean()) / levels.std(),
}


def run(request: Request) -> Iterator[Row]:
    """A row for each scale, key type, block size and attack."""
    examples = speech_examples(request, _COUNT[request.preset])
    for scale in _SCALES:
        for size in _SIZES[request.preset]:
            for kind in KEY_TYPES:
                key = generate_key(kind, size, 2, seed=request.seed)
                yield from _attacked(key, scale, examples, request)


def _attacked(key: Key, scale: str, examples: list[Example], request: Request) -> list[Row]:
    measured: dict[str, list[Metrics]] = {}
    for number, example in enumerate(examples):
        plain, observed = _pair(example, key, scale)
        truth = image_attacks.to_image(plain)[0].astype(np.float64)
        guesses = _attacks(key, observed, float(plain[0, 0]))
        for attack, guess in guesses.items():
            measured.setdefault(attack, []).append(_likeness(truth, guess))
        if number == 0:
            panels = [Panel("plain", None, truth), *(Panel(attack, None, guess) for attack, guess in guesses.items())]
            name = f"{key.kind}-{key.block_size}-{scale}"
            draw(panels, request.out / name, seconds=len(example.sound) / RATE, rate=RATE, unit="grey level")
    figures = {attack: means(each) for attack, each in measured.items()}
    best = max(figures, key=lambda attack: figures[attack]["correlation"] or 0)
    request.say(f"{key.kind}, M = {key.block_size}, {scale}: most is recovered by {best}")
    return [
        Row(
            paradigm="plaintext",
            mode=f"{key.kind}, {attack}",
            corpus=request.corpus,
            seed=request.seed,
            n_queries=len(examples),
            parameters={"values": scale, "block_size": key.block_size, "key": key.kind, "attack": attack},
            metrics=metrics,
        )
        for attack, metrics in figures.items()
    ]


def _pair(example: Example, key: Key, scale: str) -> tuple[Floats, Floats]:
    """Plain and encrypted spectrogram, (bins, frames) in whole blocks."""
    values = _SCALES[scale](decibels(np.abs(STFT.transform(example.sound))))
    observed = encrypted(values, key)
    return values[: observed.shape[0], : observed.shape[1]], observed


def _attacks(key: Key, observed: Floats, first: float) -> dict[str, Floats]:
    """Grey levels after each attack; ``first`` is the plain value at the top left."""
    size = key.block_size
    image, zero = image_attacks.to_image(observed)
    step = float(observed.max() - observed.min()) / 255
    values = np.stack([encrypted(helper, key) for helper in image_attacks.helper_values(size)])
    helpers, black = image_attacks.to_image(values)
    place, inverted = image_attacks.read_helpers(helpers, black)
    guesses = {
        "encrypted": image.astype(np.float64),
        "helper images": image_attacks.descrambled(image, place, inverted, zero, size),
        "leading bits": image_attacks.leading_bits(image, zero),
        "least difference": image_attacks.least_difference(image, zero, zero + first / step, size),
    }
    if key.kind == "rom":
        matrix = (helpers.reshape(len(helpers), -1) - black) * float(values.max() - values.min()) / 255
        turned = image_attacks.blocks_of(guesses["encrypted"] - zero, size) @ np.linalg.pinv(matrix) + zero
        guesses["helper images, all grey levels"] = image_attacks.image_of(turned, image.shape, size)
    return guesses


def _likeness(truth: Floats, guess: Floats) -> Metrics:
    """Correlation up to its sign (a negative is as easy to read); pixels that fit after a regression of the levels."""
    slope, offset = np.polyfit(guess.ravel(), truth.ravel(), 1) if guess.std() > 0 else (0.0, truth.mean())
    return {
        "correlation": abs(correlation(truth, guess)),
        "pixels_recovered": float((np.abs(slope * guess + offset - truth) <= 2).mean()),
    }
