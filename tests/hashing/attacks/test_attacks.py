import numpy as np
import pytest

from sotto.hashing import HashingError, HashKey, HashParameters, modular_hash
from sotto.hashing.attacks import Recovery, known_key_attack, least_squares, linkability, recover_features
from tests.error_codes import raises_code


def attacked(material, **parameters):
    key = HashKey.generate(HashParameters(12, **parameters), seed=2)
    victims = material.speakers >= 6
    return known_key_attack(material.features[victims][:20], key, material.features[~victims])


def test_the_key_opens_the_hashes(material):
    result = attacked(material, delta=4.0)
    assert result.utterances == 20
    assert result.relative_error < 0.05
    assert result.correlation > 0.95
    assert result.recovered > 0.9
    assert result.explained > 0.9


def test_fewer_measurements_give_less_and_wrapping_far_below_the_spread_gives_nothing(material):
    errors = [attacked(material, delta=4.0, measurements_per_coefficient=mpc).relative_error for mpc in (32, 4, 1)]
    assert errors[0] < errors[1] < errors[2]
    hopeless = attacked(material, delta=0.02, measurements_per_coefficient=4)
    assert hopeless.relative_error == pytest.approx(1.0)
    assert abs(hopeless.explained - 1 / 3) < 0.1


def test_least_squares_needs_few_wraps_where_the_filter_does_not(material):
    victims = material.speakers >= 6
    x, known = material.features[victims][:20].astype(float), material.features[~victims].astype(float)
    errors = {}
    for delta in (4.0, 3.0):
        key = HashKey.generate(HashParameters(12, delta=delta), seed=2)
        symbols = modular_hash(x, key)
        for name, attack in (("least squares", least_squares), ("filter", recover_features)):
            found = Recovery.of(attack(symbols, key, known), x, known.mean(axis=0))
            errors[name, delta] = found.relative_error
    assert errors["least squares", 4.0] < 0.1
    assert errors["filter", 3.0] < 0.1 < 0.5 < errors["least squares", 3.0]


def test_another_key_gives_nothing(material):
    parameters = HashParameters(12, delta=2.0)
    key, wrong = HashKey.generate(parameters, seed=1), HashKey.generate(parameters, seed=2)
    x = material.features[material.speakers >= 6][:10].astype(float)
    known = material.features[material.speakers < 6]
    estimate = recover_features(modular_hash(x, key), wrong, known)
    assert np.median(np.linalg.norm(estimate - x, axis=1) / np.linalg.norm(x - known.mean(0), axis=1)) > 0.5


def test_hashes_under_one_key_name_the_speaker_and_under_two_keys_do_not(material):
    enrolled = np.tile(np.arange(6) < 3, len(material.labels) // 6)
    other = HashKey.generate(material.key.parameters, seed=99)
    result = linkability(material.features, material.speakers, enrolled, material.key, other)
    assert (result.speakers, result.probes) == (8, 72)
    assert result.chance == pytest.approx(1 / 8)
    for same, plain in (
        (result.same_key.nearest, result.plaintext.nearest),
        (result.same_key.trained, result.plaintext.trained),
    ):
        assert same > 3 * result.chance
        assert same <= plain + 0.1
    assert result.different_keys.nearest < 2.5 * result.chance
    assert result.different_keys.trained < 2.5 * result.chance


def test_arguments_have_to_fit(material):
    enrolled = np.arange(len(material.labels)) % 2 == 0
    other = HashKey.generate(material.key.parameters)
    everyone = (material.features, material.speakers)
    for arguments in (
        (*everyone, enrolled[:-1], material.key, other),
        (*everyone, np.ones(len(enrolled), bool), material.key, other),
        (*everyone, material.speakers > 0, material.key, other),
        (*everyone, enrolled, material.key, material.key),
        (*everyone, enrolled, material.key, HashKey.generate(HashParameters(12))),
    ):
        with pytest.raises(HashingError):
            linkability(*arguments)
    with raises_code(HashingError, "wrong-shape"):
        recover_features(np.zeros((1, 5)), material.key, material.features)
