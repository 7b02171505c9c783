"""What capable attackers do to secret-key transforms: the evaluation that the papers leave out.

Four attackers on each key type and block size, on waveforms (LibriSpeech test speakers at 16 kHz, digit strings at
8 kHz) and on the log-mel frames of the digit strings:

* *known-plaintext*: as many blocks of Alice's speech as it takes until the computed key is exact;
* *chosen-plaintext*: one clip of the attacker's own making that she encrypts;
* *ciphertext-only*: her encrypted queries and public speech of other people: signs, jigsaw, second-order statistics;
* *neural-inverter*: the same, by a network trained on public speech under other keys.

Each key is then used on all queries, and what comes out is heard by an unmodified recogniser and verifier.  The row
*none* is what they make of the encrypted speech as it is.  ``seconds`` is how much of Alice's speech the attacker had:
those without the clear speech get a query, and if they do not recover it at a correlation of 0.99, ten; on ROM with
long blocks, ten at once.

Every row is the mean over several keys, drawn from the seed, with the standard deviation beside it (``…_sd``);
``key_exact`` is the share of keys that were found, and ``correlation_least`` the worst key's.  The waveforms of the
digit strings are attacked by themselves; how well is ``correlation_strings``.

The full preset has the block sizes that the quick one leaves out.  Both have the same listeners, queries and number of
keys, so that their rows compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import soxr
import torch
from scipy.signal import stft
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sotto import keyed
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.papers.niwa.sounds.likeness import intelligibility, log_spectral_distance, mean_of
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row, told
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import Recogniser, log_mel, recognisers
from sotto.bench.speech_tasks.spoken_digits import RATE as STRING_RATE
from sotto.bench.speech_tasks.verification import RATE, public_speech, queries, verification_task
from sotto.keyed.attacks import (
    blocks_until_exact,
    chosen_speech,
    correlation,
    guess_key,
    key_from_pairs,
    keys_from_chosen,
    train_inverter,
)
from sotto.keyed.encryption.transform import blocks, whole_blocks

DESCRIPTION = "attackers on keyed transforms: correlation, STOI, distance, WER, EER of what they recover (--data DIR)"

WAVEFORM_SIZES = {"quick": (3, 10), "full": (5, 15, 20, 128)}
SPECTROGRAM_SIZES = {"quick": (3,), "full": (8,)}
_LISTENERS = "quick"  # the preset with which recogniser and verifier are trained
_KEYS = 5
_STARTS = 32
_STEPS = 2000
_QUERIES = 20  # of which ten are attacked; the verifier hears all
_ATTACKED = 10
_SHORT = 10  # numbers in a block: beyond, the network has not learnt anything and a search on ROM takes a minute
_LISTENED = 12  # clips, for STOI and the spectral distance
_RECOVERED = 0.99
_DECIBELS = 20.0  # in one unit of the recogniser's features

Guess = Callable[[Tensor], keyed.Key | None]
"""From encrypted queries to a key."""

Listen = Callable[[keyed.Key, Sequence[keyed.Key | None]], Metrics]
"""Figures of what comes out when a guess for each form of speech is used; None decrypts nothing."""


@dataclass(frozen=True, eq=False)
class Speech:
    """What Alice says in one form, what the attacker has of other people in the same form, and how long a clip is."""

    said: Tensor
    public: Tensor
    seconds: float
    dimension: int


@dataclass(frozen=True, eq=False)
class Stage:
    """All that the attacks of a run are carried out on."""

    verifier: SpeechTask
    recogniser: Recogniser
    utterances: Speech
    strings: Speech
    frames: Speech
    plain: dict[tuple[int, int], dict[str, float | None]] = field(default_factory=dict)  # figures, by dimension and M

    @classmethod
    def open(cls, request: Request) -> Stage:
        data, seed, say = request.data, request.seed, request.say
        verifier = verification_task(data, preset=_LISTENERS, seed=seed, say=say)
        recogniser = recognisers(data, preset=_LISTENERS, seed=seed, say=say, folds=1)[0]
        said = verifier.inputs[_spread(len(verifier.inputs), _QUERIES)]
        others = public_speech(data)
        slower = [np.asarray(soxr.resample(wave, RATE, STRING_RATE), np.float32) for wave in others]
        strings = [string.samples for string in recogniser.strings]
        frames = log_mel(slower, recogniser.task.inputs.shape[2])
        longest = max(map(len, strings)) / STRING_RATE
        return cls(
            verifier,
            recogniser,
            Speech(said, queries(others, 1), said.shape[1] / RATE, 1),
            Speech(_at_once(strings), _at_once(slower), longest, 1),
            Speech(recogniser.task.inputs, frames, longest, 2),
        )


def run(request: Request) -> Iterator[Row]:
    """A row for each key type, block size and attacker."""
    request.require_corpus("librispeech", "fsdd")
    stage = Stage.open(request)
    for dimension, sizes in ((1, WAVEFORM_SIZES), (2, SPECTROGRAM_SIZES)):
        for size in sizes[request.preset]:
            for kind in keyed.KEY_TYPES:
                for attacker, metrics in _over_keys(kind, size, dimension, stage, request.seed).items():
                    request.say(f"{kind} {size}, dimension {dimension}, {attacker}: {told(metrics)}")
                    yield _row(kind, size, dimension, attacker, metrics, stage, request.seed)


def _over_keys(kind: keyed.KeyType, size: int, dimension: int, stage: Stage, seed: int) -> dict[str, Metrics]:
    """Figures of every attacker, over keys of one type and size."""
    each: dict[str, list[Metrics]] = {}
    speeches = [stage.utterances, stage.strings] if dimension == 1 else [stage.frames]
    inverters = trained_inverters(kind, size, speeches)
    listen = partial(_heard, stage=stage)
    for key in islice(drawn_keys(kind, size, dimension, seed=seed, purpose="attacks"), _KEYS):
        for attacker, metrics in attacked(key, speeches, inverters, listen):
            each.setdefault(attacker, []).append(metrics)
    return {attacker: over_keys(found) for attacker, found in each.items()}


def trained_inverters(kind: keyed.KeyType, size: int, speeches: Sequence[Speech]) -> list[Guess]:
    """The neural inverter for each form of speech; none for long blocks."""
    return [
        train_inverter(speech.public, kind, size, speech.dimension, steps=_STEPS).guess_key
        for speech in speeches
        if size**speech.dimension <= _SHORT
    ]


def over_keys(each: Sequence[Metrics]) -> Metrics:
    """Mean and standard deviation over keys; a figure that a key has not is left out of both."""
    summary: dict[str, float | None] = {}
    for name in each[0]:
        values = [value for metrics in each if (value := metrics[name]) is not None]
        summary[name] = float(np.mean(values)) if values else None
        if len(values) > 1 and name != "key_exact":
            summary[f"{name}_sd"] = float(np.std(values, ddof=1))
        if name == "correlation":
            summary["correlation_least"] = min(values)
    return summary


def attacked(
    key: keyed.Key, speeches: Sequence[Speech], inverters: Sequence[Guess], listen: Listen
) -> Iterator[tuple[str, Metrics]]:
    """Name and figures of every attacker that there is for this key, on each form of speech."""
    first = speeches[0]
    yield "none", listen(key, [None] * len(speeches))
    known, count = _known_plaintext(key, first)
    seconds = None if count is None else count * _block_seconds(key, first)
    with_known = listen(key, [known] * len(speeches))
    yield "known-plaintext", {"blocks": count, "seconds": seconds, **with_known}
    chosen = chosen_speech(key.kind, key.block_size, key.dimension)
    (exact,) = keys_from_chosen(keyed.encrypt(chosen, key), key.kind, key.block_size, key.dimension)
    count = blocks(chosen, key.block_size, key.dimension).shape[:3].numel()
    cost = {"blocks": count, "seconds": count * _block_seconds(key, first)}
    yield "chosen-plaintext", {**cost, **listen(key, [exact] * len(speeches))}
    searches: list[Guess] = [partial(guess_key, public=speech.public, like=key, starts=_STARTS) for speech in speeches]
    yield "ciphertext-only", _without_plaintext(key, searches, speeches, listen)
    if inverters:
        yield "neural-inverter", _without_plaintext(key, inverters, speeches, listen)


def _known_plaintext(key: keyed.Key, speech: Speech) -> tuple[keyed.Key | None, int | None]:
    """The key from as few successive blocks as suffice, and how many those are."""
    count = blocks_until_exact(speech.said, key)
    if count is None:
        return None, None
    plain, encrypted = (
        blocks(x, key.block_size, key.dimension).reshape(-1, key.length)
        for x in (speech.said, keyed.encrypt(speech.said, key))
    )
    sounding = (plain != 0).any(1)
    pairs = plain[sounding][:count], encrypted[sounding][:count]
    return key_from_pairs(*pairs, key.kind, key.block_size, key.dimension), count


def _without_plaintext(key: keyed.Key, attacks: Sequence[Guess], speeches: Sequence[Speech], listen: Listen) -> Metrics:
    """By searches on each form of speech; of long blocks, which take longest, on the first, for all."""
    found, needed = [], []
    searched = list(zip(attacks, speeches, strict=True))[: 1 if key.length > _SHORT else None]
    for attack, speech in searched:
        some = min(_ATTACKED, len(speech.said))
        for clips in [some] if key.kind == "rom" and key.length > _SHORT else sorted({1, some}):
            guess = attack(keyed.encrypt(speech.said[:clips], key))
            if correlation(decrypted_with(speech.said, key, guess), _whole(speech.said, key)) > _RECOVERED:
                break
        found.append(guess)
        needed.append(clips * speech.seconds)
    if len(found) < len(speeches):
        found *= len(speeches)
    return {"seconds": needed[0], **listen(key, found)}


def _heard(key: keyed.Key, guesses: Sequence[keyed.Key | None], stage: Stage) -> dict[str, float | None]:
    """Figures of all queries after decryption with a guess for each form of speech; None decrypts nothing.

    Where every guess is the very key and moves numbers without rounding them, the plain speech is heard, once.
    """
    exact = all(guess is not None and np.array_equal(guess.matrix(), key.matrix()) for guess in guesses)
    if key.kind == "rom" or not exact:
        return _listened(key, guesses, stage)
    size = key.dimension, key.block_size
    if size not in stage.plain:
        stage.plain[size] = _listened(key, guesses, stage)
    return dict(stage.plain[size])


def _listened(key: keyed.Key, guesses: Sequence[keyed.Key | None], stage: Stage) -> dict[str, float | None]:
    if key.dimension == 2:
        (guess,) = guesses
        plain, recovered = _whole(stage.frames.said, key), decrypted_with(stage.frames.said, key, guess)
        task = stage.recogniser.task
        return {
            "key_exact": key_exact(guess, key),
            "correlation": correlation(recovered, plain),
            "distance_db": _DECIBELS * float((recovered - plain).square().mean().sqrt()),
            "wer_percent": 100 * task.measure(task.module, recovered),
        }
    utterances, strings = stage.utterances.said, stage.strings.said
    plain, recovered = _whole(utterances, key), decrypted_with(utterances, key, guesses[0])
    pairs = [(plain[i].double().numpy(), recovered[i].double().numpy()) for i in _spread(len(plain), _LISTENED)]
    everyone = decrypted_with(stage.verifier.inputs, key, guesses[0])
    digits = decrypted_with(strings, key, guesses[1])
    lengths = [len(string.samples) for string in stage.recogniser.strings]
    return {
        "key_exact": key_exact(guesses[0], key),
        "correlation": correlation(recovered, plain),
        "correlation_strings": correlation(digits, _whole(strings, key)),
        "stoi": mean_of([intelligibility(one, other, RATE) for one, other in pairs]),
        "distance_db": mean_of([log_spectral_distance(_spectrum(one), _spectrum(other)) for one, other in pairs]),
        "wer_percent": 100
        * stage.recogniser.word_error_rate_of([x[:n] for x, n in zip(digits.numpy(), lengths, strict=True)]),
        "eer_percent": 100 * stage.verifier.measure(stage.verifier.module, everyone),
    }


def decrypted_with(speech: Tensor, key: keyed.Key, guess: keyed.Key | None) -> Tensor:
    """Speech (n, ...) after encryption with the key and decryption with the guess; None leaves it encrypted."""
    encrypted = keyed.encrypt(speech, key)
    return encrypted if guess is None else keyed.decrypt(encrypted, guess)


def _whole(speech: Tensor, key: keyed.Key) -> Tensor:
    return whole_blocks(speech, key.block_size, key.dimension)


def key_exact(guess: keyed.Key | None, key: keyed.Key) -> float:
    """Whether the guess is the key, to 0.001 in every entry; in a waveform its negative sounds the same."""
    if guess is None:
        return 0.0
    signs = (1, -1) if key.dimension == 1 else (1,)
    return float(any(np.abs(sign * guess.matrix() - key.matrix()).max() < 1e-3 for sign in signs))


def _block_seconds(key: keyed.Key, speech: Speech) -> float:
    """How long one block lasts; of a spectrogram, its share of the frames that it stands in a row of."""
    count = blocks(speech.said[:1], key.block_size, key.dimension).shape[:3].numel()
    return speech.seconds / count


def _spectrum(sound: np.ndarray) -> np.ndarray:
    return np.abs(stft(sound, RATE, nperseg=512)[2])


def _at_once(waves: Sequence[np.ndarray]) -> Tensor:
    """Sounds of different lengths (n, longest), float32, silence after each."""
    return pad_sequence([torch.from_numpy(wave) for wave in waves], batch_first=True)


def _spread(count: int, most: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(most, count)).astype(int)


def _row(kind: str, size: int, dimension: int, attacker: str, metrics: Metrics, stage: Stage, seed: int) -> Row:
    return Row(
        paradigm="keyed",
        mode=kind,
        model="patch-ctc" if dimension == 2 else "patch-ctc, speaker-embedding",
        corpus=", ".join(dict.fromkeys([stage.recogniser.corpus, stage.verifier.corpus])),
        split="unseen speakers",
        seed=seed,
        n_queries=len(stage.frames.said) if dimension == 2 else len(stage.utterances.said),
        parameters={"attacker": attacker, "block_size": size, "dimension": dimension, "keys": _KEYS},
        metrics=metrics,
    )
