"""From sound to class in one scikit-learn pipeline: the eGeMAPS extractor, the hash, and the machine on hashes."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sotto.audio.features import EGeMAPS
from sotto.hashing import DiscriminantFeatures, HammingSVC, SecureModularHash

SPEC = EGeMAPS()


def functionals(sounds):
    """eGeMAPS of each sound: (n, 88)."""
    return np.stack([SPEC.compute(sound) for sound in sounds])


@pytest.fixture(scope="module")
def sounds():
    """Twelve buzzes of half a second: pitch says who, a slow or fast tremolo says which class."""
    rng = np.random.default_rng(0)
    time = np.arange(SPEC.sample_rate // 2) / SPEC.sample_rate
    made = []
    for speaker in range(3):
        for label in (0, 1, 0, 1):
            tremolo = 1 + 0.8 * np.sin(2 * np.pi * (3 + 12 * label) * time)
            pitch = 110 * 1.3**speaker * (1 + 0.5 * label * time)
            buzz = tremolo * np.sign(np.sin(2 * np.pi * pitch * time)) + 0.01 * rng.normal(size=len(time))
            made.append((0.1 * buzz).astype(np.float32))
    return made, np.tile([0, 1, 0, 1], 3), np.repeat(np.arange(3), 4)


def test_sounds_go_in_and_classes_come_out(sounds):
    heard, labels, speakers = sounds
    train, test = np.flatnonzero(speakers < 2), np.flatnonzero(speakers == 2)
    pipeline = make_pipeline(
        FunctionTransformer(functionals),
        StandardScaler(),
        DiscriminantFeatures(),
        SecureModularHash(delta=3.0, seed=0),
        HammingSVC(),
    ).fit([heard[i] for i in train], labels[train])
    assert pipeline.predict([heard[i] for i in test]).tolist() == labels[test].tolist()


def test_k_delta_c_and_gamma_are_searched_on_held_out_speakers(sounds):
    heard, labels, speakers = sounds
    pipeline = make_pipeline(
        FunctionTransformer(functionals), StandardScaler(), SecureModularHash(seed=0), HammingSVC()
    )
    grid = {
        "securemodularhash__k": [2, 3],
        "securemodularhash__delta": [0.01, 15.0],
        "hammingsvc__C": [3.0],
        "hammingsvc__gamma": [3.0],
    }
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(3), error_score="raise").fit(heard, labels, groups=speakers)
    assert search.best_params_["securemodularhash__delta"] == 15.0  # at 0.01 every hash is far from every other
    assert search.best_score_ > 0.7
