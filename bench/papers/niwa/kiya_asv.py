"""Speaker verification under Shuffling, Flipping and ROM: equal error rates (table I of Niwa, Shiota, Kiya).

The papers' network is HuBERT with an x-vector head trained on thousands of hours and tested on VoxCeleb1; the one here
is small and trained on less than an hour, so its figures compare with the papers' only in how they change.

Its first two layers make a short-time Fourier transform.  A provider who knows or guesses that reads the key off the
encrypted model, without any speech: ``attack_filterbank_error`` is the largest error of a matrix entry so found.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from sotto import keyed
from sotto.bench.papers.niwa.encryption_scenario import rows
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.verification import verification_task
from sotto.models.networks.speaker_embedding import SpeakerEmbedding, fourier

DESCRIPTION = "speaker verification, encrypted: EER in % with the correct key, none, incorrect ones (--data DIR)"

_PUBLISHED = {
    "": {
        "shuffling": (7.91, 36.7, 7.91, 33.3),
        "flipping": (7.91, 37.2, 7.91, 34.1),
        "rom": (7.91, 35.3, 7.91, 35.1),
    },
    "_first": {"shuffling": (8.3, 41.3, 8.3, 37.6), "flipping": (8.3, 39.3, 8.3, 39.1)},
}


def run(request: Request) -> list[Row]:
    """One row for each key type; espeak-ng's voices where no folder of recordings is named."""
    request.require_corpus("librispeech")
    task = verification_task(request.data, preset=request.preset, seed=request.seed, say=request.say)
    found = rows([task], "speaker-embedding", request, _PUBLISHED)
    return [
        msgspec.structs.replace(row, metrics=row.metrics | {"attack_filterbank_error": _key_error(task, row.mode)})
        for row in found
    ]


def _key_error(task: SpeechTask, kind: str) -> float:
    key = keyed.generate_key(kind, task.block_size, task.dimension)
    encrypted = keyed.encrypt_model(task.module, key, example=task.inputs[:1])
    if not isinstance(encrypted, SpeakerEmbedding):
        raise TypeError("the verifier is a speaker embedding")
    return float(np.abs(key_from_filterbank(encrypted) - key.matrix()).max())


def key_from_filterbank(encrypted: SpeakerEmbedding) -> npt.NDArray[np.float64]:
    """The key (M, M) of an encrypted model whose first two layers are known to make a Fourier transform together.

    Filters times patches give the transform, so the filters give the plain patches E, and E' = E K the key.
    """
    patches, filters = (layer.weight.detach().double() for layer in (encrypted.front.patches, encrypted.front.filters))
    _, block, window = filters.shape
    transform = fourier(window * block).double().reshape(-1, window, block)
    plain = torch.linalg.lstsq(filters.transpose(1, 2).reshape(-1, block), transform.reshape(-1, block)).solution
    key: npt.NDArray[np.float64] = torch.linalg.solve(plain, patches[:, 0]).numpy()
    return key
