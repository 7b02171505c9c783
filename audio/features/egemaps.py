"""The 88 functionals of eGeMAPS v02 (Eyben et al., IEEE Trans. Affective Computing 7(2), 2016), by openSMILE.

openSMILE is called by its package's binding of the C library, which needs NumPy alone: what the package itself imports,
pandas and pyarrow among it, holds 90 MB in a process that only wants 88 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from sotto.audio.features.spec import AtRate, whole
from sotto.link import BadValue

_SOURCE, _SINK = "extsource", "extsink"


@dataclass(frozen=True, kw_only=True)
class EGeMAPS(AtRate):
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

    def __post_init__(self) -> None:
        whole("rate", self.rate, 8000, 384_000)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (88,)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        found: list[np.ndarray] = []
        extractor = _extractor(self.rate)
        extractor.external_sink_set_callback_ex(_SINK, lambda values, _: found.append(values.copy()))
        extractor.external_audio_source_write_data(_SOURCE, (samples * 32768).astype(np.int16).tobytes())
        extractor.external_audio_source_set_eoi(_SOURCE)
        extractor.run()
        extractor.free()
        if not found:  # what openSMILE cannot measure is NaN, which `extract` reports as a fault of the clip
            return np.full(88, np.nan, np.float32)
        values = np.concatenate(found).astype(np.float32).reshape(-1)
        if values.shape != (88,):
            raise BadValue("wrong-shape", f"openSMILE returned {values.size} functionals instead of 88")
        return values

    @staticmethod
    def names() -> tuple[str, ...]:
        """openSMILE's names of the 88 functionals, in order."""
        extractor = _extractor(16000)
        count = extractor.external_sink_get_num_elements(_SINK)
        found = tuple(extractor.external_sink_get_element_name(_SINK, place) for place in range(count))
        extractor.free()
        return found


def _extractor(rate: int) -> Any:
    """openSMILE set up for one clip of ``rate`` samples per second; reading its settings costs milliseconds."""
    binding, folder = _binding()
    shared, extractor = folder / "config" / "shared", binding.OpenSMILE()
    options = {
        "sink": shared / "standard_external_data_output_single.conf.inc",
        "sinkLevel": "func",
        "bufferModeRbConf": shared / "BufferModeRb.conf.inc",
        "frameModeFunctionalsConf": shared / "FrameModeFunctionals.conf.inc",
        "source": shared / "standard_external_wave_input.conf.inc",
        "sampleRate": rate,
        "nBits": 16,
    }
    extractor.initialize(str(folder / "config" / "egemaps" / "v02" / "eGeMAPSv02.conf"), options)
    return extractor


@lru_cache(maxsize=1)
def _binding() -> tuple[ModuleType, Path]:
    """The module of openSMILE's binding and the folder it lies in, without importing the package around it."""
    folder = Path(str(distribution("opensmile").locate_file("opensmile/core")))
    binding = ModuleType("opensmile_binding")
    binding.__file__ = str(folder / "lib.py")
    SourceFileLoader(binding.__name__, binding.__file__).exec_module(binding)
    return binding, folder
