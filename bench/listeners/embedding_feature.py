"""The published speaker encoder as a feature like any other: computed once a clip and cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sotto.audio.features import FeatureSpec
from sotto.bench.listeners.sound import RATE
from sotto.bench.listeners.speaker_encoder import SIZE, speaker_embeddings


@dataclass(frozen=True)
class SpeakerEmbeddingFeature(FeatureSpec):
    """256 numbers of the encoder, whose weights nobody here trained, (256,): at least 0, length 1."""

    kind: ClassVar[str] = "ge2e"
    libraries: ClassVar[tuple[str, ...]] = (*FeatureSpec.libraries, "librosa", "resemblyzer", "torch")
    seconds_each: ClassVar[float] = 0.1

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (SIZE,)

    @property
    def sample_rate(self) -> int:
        return RATE

    def compute(self, samples: np.ndarray) -> np.ndarray:
        return speaker_embeddings([samples])[0]
