"""Niwa, Shiota, Kiya, §III-C: how many keys there are, and beside it how little it takes to find the one.

*ours* counts the keys that :func:`sotto.keyed.generate_key` can give (identities are none), *published* is the papers'
formula: N! for Shuffling and 2^N for Flipping, with N = M or M²; for ROM they say "many".  The figure for ROM is an
upper bound, float32's 24 bits for each of N(N - 1)/2 free numbers.  All keys come from a generator with at most 256
bits.

**The key space is no security level.**  Nobody searches it.  The same row says how many blocks of known speech, and how
many of the attacker's choice, give the exact key; and how much encrypted speech, with public speech of other people, it
takes until the guessed key decrypts speech (all of it, not only what the attack saw) to a correlation of 0.95 with the
original, and to half the distance from 1 that it had encrypted.  Speech: waveforms at 16 kHz; standardised log-mel
spectrograms of 80 bands.  A blank: not reached with all the speech there was, or not tried for a block of that size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sotto.audio.features import LogMel
from sotto.bench.papers.niwa.sounds.speech_examples import RATE, Example, speech_examples
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.keyed import KEY_TYPES, Key, encrypt, generate_key
from sotto.keyed.attacks import blocks_until_exact, chosen_blocks, chosen_speech, guess_key, judge, keys_from_chosen
from sotto.keyed.encryption.transform import blocks

DESCRIPTION = "how many keys there are, and how few blocks of speech give the one away"

_SIZES = {"quick": {1: (3, 5, 10, 20, 128), 2: (3, 8)}, "full": {1: (3, 5, 8, 10, 15, 20, 32, 128), 2: (2, 3, 8, 16)}}
_MOST_ATTACKED = {"quick": 10, "full": 64}  # numbers in a block
_STARTS = {"quick": 64, "full": 512}
_COUNT = {"quick": 8, "full": 24}
_SECONDS = (0.5, 1, 2, 5, 10, 30)
_EXACT = 1e-3  # in every entry, from float32 speech
_MISSING = 0.05  # from a correlation of 1
_LOG_MEL = LogMel(mels=80, n_fft=512, hop=160, frames=None)
_STREAM_BITS = 256


def run(request: Request) -> Iterator[Row]:
    """A row for each block and key type."""
    examples = speech_examples(request, 2 * _COUNT[request.preset])
    half = max(1, len(examples) // 2)
    secret, public = examples[:half], examples[half:] or examples[:1]
    for dimension, sizes in _SIZES[request.preset].items():
        speech, known = (_speech(part, dimension) for part in (secret, public))
        for size in sizes:
            for kind in KEY_TYPES:
                key = generate_key(kind, size, dimension, seed=request.seed)
                row = _row(key, speech, known, request)
                found = row.metrics
                request.say(
                    f"{key.kind}, {size}{f' × {size}' * (dimension - 1)}: 2^{found['key_space_bits']:.0f} keys, "
                    f"{found['known_blocks_until_exact'] or 0:.0f} known blocks give this one"
                )
                yield row


def _speech(examples: list[Example], dimension: int) -> Tensor:
    """(clips, samples) or (clips, bands, frames), float32, cut to the shortest."""
    shortest = min(len(example.sound) for example in examples)
    sounds = [example.sound[:shortest].astype(np.float32) for example in examples]
    if dimension == 1:
        return torch.from_numpy(np.stack(sounds))
    planes = np.stack([_LOG_MEL.compute(sound) for sound in sounds])
    return torch.from_numpy((planes - planes.mean()) / planes.std())


def _row(key: Key, speech: Tensor, public: Tensor, request: Request) -> Row:
    known = blocks_until_exact(speech, key)
    metrics: dict[str, float | None] = {
        "key_space_bits": key.space_bits,
        "secret_bits_at_most": min(key.space_bits, float(_STREAM_BITS)),
        "known_blocks_until_exact": None if known is None else float(known),
        "chosen_blocks_until_exact": _chosen(key),
    }
    if key.length <= _MOST_ATTACKED[request.preset]:
        metrics |= _ciphertext_only(key, speech, public, request)
    return Row(
        paradigm="plaintext",
        mode=key.kind,
        corpus=request.corpus,
        seed=request.seed,
        n_queries=len(speech),
        parameters={"block_size": key.block_size, "dimension": key.dimension, "numbers": key.length},
        metrics=metrics,
        published={} if key.kind == "rom" else {"key_space_bits": _published_bits(key)},
    )


def _published_bits(key: Key) -> float:
    return math.lgamma(key.length + 1) / math.log(2) if key.kind == "shuffling" else float(key.length)


def _chosen(key: Key) -> float | None:
    """How many blocks of the attacker's making, encrypted by Alice, gave the key; None if they did not."""
    encrypted = encrypt(chosen_speech(key.kind, key.block_size, key.dimension), key)
    guesses = keys_from_chosen(encrypted, key.kind, key.block_size, key.dimension)
    exact = len(guesses) == 1 and float(np.abs(guesses[0].matrix() - key.matrix()).max()) < _EXACT
    return float(len(chosen_blocks(key.kind, key.length))) if exact else None


def _ciphertext_only(key: Key, speech: Tensor, public: Tensor, request: Request) -> dict[str, float | None]:
    """Seconds and blocks of encrypted speech until it is recovered, and the correlation with all of it."""
    clip_seconds = speech.shape[-1] / RATE if key.dimension == 1 else speech.shape[-1] * _LOG_MEL.hop / RATE
    whole = clip_seconds * len(speech)
    found: dict[str, float | None] = {}
    for seconds in (*(seconds for seconds in _SECONDS if seconds < whole), whole):
        observed = speech[: math.ceil(seconds / clip_seconds)]
        if seconds < clip_seconds:
            observed = observed[..., : int(seconds / clip_seconds * speech.shape[-1])]
        encrypted = encrypt(observed, key)
        count = blocks(encrypted, key.block_size, key.dimension).shape[:3].numel()
        guess = guess_key(encrypted, public, key, starts=_STARTS[request.preset])
        outcome = judge("ciphertext-only", guess, key, speech, count)
        found = {
            "ciphertext_only_correlation": outcome.correlation,
            "encrypted_correlation": outcome.correlation_encrypted,
        }
        missing, before = 1 - outcome.correlation, 1 - outcome.correlation_encrypted
        if missing <= _MISSING and missing <= before / 2:
            return found | {
                "encrypted_seconds_until_recovered": float(seconds),
                "encrypted_blocks_until_recovered": float(count),
            }
    return found
