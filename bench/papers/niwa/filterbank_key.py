"""The key of an encrypted verifier, read off its first two layers, without any speech.

They make a short-time Fourier transform together, which a provider knows or guesses.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from sotto import keyed
from sotto.bench.speech_tasks import SpeechTask
from sotto.models.networks.speaker_embedding import SpeakerEmbedding, fourier


def key_error(task: SpeechTask, kind: str) -> float:
    """The largest error of a matrix entry so found, under a fresh key for the task's verifier."""
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
