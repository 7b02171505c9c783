"""Encrypted waveforms given to unmodified models: what blocks of 5, 10, 20 and 128 samples leave to recognise.

Source: Niwa, Shiota, Kiya (extended paper), table IV: word error rates of a recogniser that knows of no key.  Here also
the equal error rate of an unmodified verifier.  The recogniser works at 8 kHz and the verifier at 16 kHz (as in the
paper), so M samples are twice as long for the recogniser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import torch

from sotto import keyed
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import Recogniser, recognisers
from sotto.bench.speech_tasks.verification import verification_task

DESCRIPTION = "encrypted waveforms into an unmodified recogniser and verifier, M = 5, 10, 20, 128: % (--data DIR)"

SIZES = (5, 10, 20, 128)
_KEYS = {"quick": 2, "full": 5}
_PUBLISHED_PLAIN = 2.7
_PUBLISHED: Mapping[str, Mapping[int, float]] = {
    "shuffling": {5: 13.9, 10: 30.6, 20: 63.9, 128: 94.9},
    "flipping": {5: 40.5, 10: 68.1, 20: 82.9, 128: 95.0},
    "rom": {5: 28.9, 10: 57.6, 20: 85.4, 128: 94.8},
}


def run(request: Request) -> Iterator[Row]:
    """A row for each block size and key type."""
    request.require_corpus("fsdd", "librispeech")
    listeners = recognisers(request.data, preset=request.preset, seed=request.seed, say=request.say)
    verifier = verification_task(request.data, preset=request.preset, seed=request.seed, say=request.say)
    plain = {
        "wer_plain": 100 * float(np.mean([each.task.measure(each.module, each.task.inputs) for each in listeners])),
        "eer_plain": 100 * verifier.measure(verifier.module, verifier.inputs),
    }
    for size in SIZES:
        for kind in keyed.KEY_TYPES:
            row = _row(kind, size, listeners, verifier, plain, request)
            metrics = row.metrics
            request.say(
                f"{kind}, M = {size}: WER {metrics['wer']:.1f} %, EER {metrics['eer']:.1f} % "
                f"(plain {plain['wer_plain']:.1f} and {plain['eer_plain']:.1f})"
            )
            yield row


def _row(
    kind: str,
    size: int,
    listeners: list[Recogniser],
    verifier: SpeechTask,
    plain: Mapping[str, float],
    request: Request,
) -> Row:
    keys = list(islice(drawn_keys(kind, size, seed=request.seed, purpose="block size"), _KEYS[request.preset]))
    words = [word_error_rate(each, key) for each in listeners for key in keys]
    speakers = [verifier.measure(verifier.module, keyed.encrypt(verifier.inputs, key)) for key in keys]
    return Row(
        paradigm="keyed",
        mode=kind,
        model="patch-ctc, speaker-embedding",
        corpus=f"{listeners[0].corpus}, {verifier.corpus}",
        split="unseen speakers",
        seed=request.seed,
        n_queries=sum(len(each.strings) for each in listeners),
        parameters={"block_size": size, "keys": len(keys)},
        metrics={
            "wer": 100 * float(np.mean(words)),
            "wer_sd": 100 * float(np.std(words, ddof=1)),
            "eer": 100 * float(np.mean(speakers)),
            "eer_sd": 100 * float(np.std(speakers, ddof=1)),
            **plain,
        },
        published={"wer": _PUBLISHED[kind][size], "wer_plain": _PUBLISHED_PLAIN},
    )


def word_error_rate(recogniser: Recogniser, key: keyed.Key) -> float:
    """Of the unmodified recogniser on the test strings' waveforms under ``key``."""
    sounds = [keyed.encrypt(torch.from_numpy(string.samples), key).numpy() for string in recogniser.strings]
    return recogniser.word_error_rate_of(sounds)
