"""The 88 functionals of eGeMAPS v02 (Eyben et al., IEEE Trans. Affective Computing 7(2), 2016), by openSMILE."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from sotto.audio.features.spec import FeatureSpec, whole


@dataclass(frozen=True, kw_only=True)
class EGeMAPS(FeatureSpec):
    """Pitch, loudness, voice quality and spectrum of one clip in 88 numbers, (88,). `names()` says which is which.

    Attributes
    ----------
    rate
        samples per second; spectral functionals reach up to half of it.

    A clip shorter than about 0.1 s, less than openSMILE's pitch analysis needs, has no functionals (NaN).
    """

    kind: ClassVar[str] = "egemaps"
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opensmile", "soundfile", "soxr")
    seconds_each: ClassVar[float] = 0.05

    rate: int = 16000

    def __post_init__(self) -> None:
        whole("rate", self.rate, 8000, 384_000)

    @property
    def sample_rate(self) -> int:
        return self.rate

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (88,)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            # what openSMILE cannot measure comes back as NaN, which `extract` reports as a fault of the clip
            warnings.filterwarnings("ignore", message="Segment too short")
            values = np.asarray(_smile()(samples, self.rate), dtype=np.float32).reshape(-1)
        if values.shape != (88,):
            raise ValueError(f"openSMILE returned {values.size} functionals instead of 88")
        return values

    @staticmethod
    def names() -> tuple[str, ...]:
        """openSMILE's names of the 88 functionals, in order."""
        return tuple(_smile().feature_names)


@lru_cache(maxsize=1)
def _smile() -> Any:
    """One extractor per process: making it reads openSMILE's configuration, which costs as much as several clips."""
    import opensmile  # here, because importing it is slow and only this feature needs it

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
