"""Features with speakers and classes, made up but shaped like speech features: classes and speakers have centres."""

from dataclasses import dataclass

import numpy as np
import pytest

from sotto.hashing import HashKey, HashParameters


@dataclass(frozen=True)
class Material:
    features: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    key: HashKey


@pytest.fixture(scope="session")
def material() -> Material:
    rng = np.random.default_rng(3)
    inputs, speakers, classes, each = 12, 8, 3, 6
    label = np.tile(np.repeat(np.arange(classes), each), speakers)
    speaker = np.repeat(np.arange(speakers), classes * each)
    centres = 1.2 * rng.normal(size=(classes, inputs))
    voices = 0.6 * rng.normal(size=(speakers, inputs))
    features = centres[label] + voices[speaker] + 0.5 * rng.normal(size=(len(label), inputs))
    key = HashKey.generate(HashParameters(inputs, delta=4.0), seed=11)
    return Material(features.astype(np.float32), label.astype(np.int64), speaker, key)
