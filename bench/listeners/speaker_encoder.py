"""Who speaks: 256 numbers of Resemblyzer's speaker encoder (GE2E, Wan et al., ICASSP 2018).

It was trained on VoxCeleb 1 and 2 and on LibriSpeech's "other" training part: none of its test speakers, none of
RAVDESS's actors.  The sounds are not cut at silences, as its own front end would: that stage is a decision on speech
and would throw transformed speech away.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.bench.listeners.packages import load
from sotto.bench.listeners.sound import at_level

SIZE = 256
"""Numbers in an embedding."""


def speaker_embeddings(waves: Iterable[npt.ArrayLike]) -> npt.NDArray[np.float32]:
    """Embeddings (n, 256) float32 of sounds (samples,) at 16 kHz, each of length 1 (or 0).

    Raises
    ------
    ListenersMissing
        Resemblyzer is not installed.
    """
    encoder = _encoder()
    rows = [encoder.embed_utterance(at_level(wave)) for wave in waves]
    return np.nan_to_num(np.array(rows, np.float32).reshape(-1, SIZE))


@cache
def _encoder() -> Any:
    return load("resemblyzer").VoiceEncoder("cpu", verbose=False)
