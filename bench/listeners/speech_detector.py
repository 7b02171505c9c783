"""Whether somebody speaks: Silero VAD, a probability for every 32 ms."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sotto.bench.listeners.packages import load
from sotto.bench.listeners.sound import RATE, at_level

SPEECH = 0.5
"""The probability from which its authors call a frame speech."""


def speech_probabilities(waves: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Probability of speech (n, frames) float32, in frames of 512 samples, of sounds (n, samples) at 16 kHz.

    Raises
    ------
    ListenersMissing
        silero-vad or onnxruntime is not installed.
    """
    batch = torch.from_numpy(np.stack([at_level(wave) for wave in waves]))
    found: npt.NDArray[np.float32] = _detector().audio_forward(batch, RATE).numpy()
    return found


@cache
def _detector() -> Any:
    load("onnxruntime")
    return load("silero_vad").load_silero_vad(onnx=True)
