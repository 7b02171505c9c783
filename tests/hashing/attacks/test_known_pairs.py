import numpy as np
import pytest

from sotto.hashing import HashingError, HashKey, HashParameters, modular_hash
from sotto.hashing.attacks import known_pairs_attack
from sotto.hashing.attacks.known_pairs import _from_near_to_far, learn_measurements
from tests.error_codes import raises_code


def attacked(material, pairs, seed=2, **parameters):
    key = HashKey.generate(HashParameters(12, **parameters), seed=seed)
    victims = material.speakers >= 6
    known = np.flatnonzero(~victims)
    chosen = known[np.random.default_rng(0).permutation(len(known))[:pairs]]
    return known_pairs_attack(material.features[victims][:20], key, material.features[chosen])


def test_known_pairs_give_the_key_and_the_features_of_others(material):
    result = attacked(material, 100, delta=4.0)
    assert result.pairs == 100
    assert result.key_correlation > 0.9
    assert result.predicted > 0.8
    assert result.learnt.utterances == 20
    assert result.learnt.relative_error < 0.2
    assert result.learnt.correlation > 0.95


def test_learning_the_key_beats_regression_and_more_pairs_give_more(material):
    few, many = attacked(material, 20, delta=4.0), attacked(material, 100, delta=4.0)
    assert many.learnt.relative_error < many.regressed.relative_error
    assert many.learnt.relative_error < few.learnt.relative_error
    assert many.key_correlation > few.key_correlation


def test_wrapping_far_below_the_distances_of_all_pairs_gives_nothing(material):
    result = attacked(material, 100, delta=0.05)
    assert result.learnt.relative_error == pytest.approx(1.0, abs=0.1)
    assert abs(result.predicted - 1 / 3) < 0.05
    assert abs(result.key_correlation) < 0.2


def test_pairs_under_one_key_say_nothing_about_another(material):
    parameters = HashParameters(12, delta=4.0)
    key, other = HashKey.generate(parameters, seed=1), HashKey.generate(parameters, seed=2)
    known = material.features[material.speakers < 6]
    learnt = learn_measurements(known, modular_hash(known, key), parameters)
    assert abs(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(learnt.matrix, other.matrix, strict=True)])) < 0.1
    unseen = material.features[material.speakers >= 6]
    assert (learnt.symbols(unseen) == modular_hash(unseen, key)).mean() > 0.8
    assert (learnt.symbols(unseen) == modular_hash(unseen, other)).mean() < 0.4


def test_every_pair_but_the_origin_is_measured_once_the_nearest_first(material):
    x = material.features[:30].astype(float)
    directions = np.hstack([x - x[4], np.ones((30, 1))])
    order = _from_near_to_far(directions, 4, np.diag(np.append(np.ones(12), 1.0)), 4.0, 12.0)
    assert sorted(order.tolist()) == [i for i in range(30) if i != 4]
    assert order[0] == np.argsort(np.linalg.norm(x - x[4], axis=1))[1]


def test_pairs_have_to_fit(material):
    parameters = HashParameters(12)
    for known, hashes in ((np.zeros((3, 12)), np.zeros((2, 5))), (np.zeros((1, 12)), np.zeros((1, 5)))):
        with raises_code(HashingError, "wrong-shape"):
            learn_measurements(known, hashes, parameters)
