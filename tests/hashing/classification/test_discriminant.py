import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sotto.hashing import (
    DiscriminantFeatures,
    HammingSVC,
    HashingError,
    HashKey,
    HashParameters,
    delta_for_leakage,
    modular_hash,
)
from tests.error_codes import raises_code


@parametrize_with_checks([DiscriminantFeatures(), DiscriminantFeatures(weight=0.0)])
@pytest.mark.filterwarnings("ignore")
def test_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_sizes(material, weight):
    x = DiscriminantFeatures(weight).fit(material.features, material.labels).transform(material.features)
    assert x.shape == (len(material.features), 2 + (12 if weight else 0))
    assert np.mean(x[:, :2] ** 2) == pytest.approx(1.0)
    assert np.sum(x[:, 2:] ** 2) == pytest.approx(weight**2 * np.sum(x[:, :2] ** 2))


def test_at_equal_leakage_held_out_speakers_are_classified_better(material):
    """On features whose speakers differ more than their classes, few close pairs are of one class."""
    rng = np.random.default_rng(0)
    noise = np.hstack([material.features, 3.0 * rng.normal(size=(8, 30))[material.speakers]])
    train = material.speakers < 6
    scores = []
    for x in (noise, DiscriminantFeatures(0.3).fit(noise[train], material.labels[train]).transform(noise)):
        delta = delta_for_leakage(x[train], 0.3, threshold=0.6)
        key = HashKey.generate(HashParameters(x.shape[1], delta=delta), seed=0)
        hashes = modular_hash(x, key)
        classifier = HammingSVC().fit(hashes[train], material.labels[train])
        scores.append(classifier.score(hashes[~train], material.labels[~train]))
    assert scores[1] > 0.9
    assert scores[1] > scores[0] + 0.2


def test_the_map_is_a_classifier_by_itself(material):
    train = material.speakers < 6
    names = np.array(["calm", "sad", "angry"])[material.labels]
    learnt = DiscriminantFeatures().fit(material.features[train], names[train])
    found = learnt.nearest_class(material.features[~train])
    assert (found == names[~train]).mean() > 0.9
    along = learnt.transform(material.features[train])[:, :2]
    assert np.allclose(learnt.centres_[0], along[names[train] == learnt.classes_[0]].mean(axis=0))


def test_arguments_out_of_range(material):
    with raises_code(HashingError, "bad-weight"):
        DiscriminantFeatures(-1.0).fit(material.features, material.labels)
    with raises_code(HashingError, "one-class"):
        DiscriminantFeatures().fit(material.features, np.zeros(len(material.features)))
