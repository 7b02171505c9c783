"""Speech for the listeners: espeak-ng's voices, which stand in for people where there are no recordings."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from sotto.bench.listeners.sound import RATE
from sotto.bench.speech_tasks.spoken_digits import RATE as STRING_RATE
from sotto.bench.speech_tasks.spoken_digits import compose, synthetic_takes


@pytest.fixture(scope="session")
def strings():
    """Six digit strings of three voices, two each."""
    return compose(synthetic_takes(1, voices=3), 6, np.random.default_rng(1))


@pytest.fixture(scope="session")
def sounds(strings):
    """The same at 16 kHz."""
    return [soxr.resample(string.samples, STRING_RATE, RATE) for string in strings]
