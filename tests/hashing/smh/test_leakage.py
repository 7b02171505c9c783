import numpy as np
import pytest
from scipy.spatial.distance import pdist

from sotto.hashing import HashingError, HashKey, HashParameters, delta_for_leakage, leakage, modular_hash, pack
from sotto.hashing.smh.leakage import expected_leakage, information_above, privacy_threshold
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def hashes(material):
    return pack(modular_hash(material.features, material.key), 3)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.65, 1.1])
def test_counts_pairs_once_and_none_with_itself(hashes, threshold):
    expected = (pdist(hashes.unpack(), "hamming") < threshold).mean()
    assert leakage(hashes, threshold=threshold) == pytest.approx(expected)


def test_between_two_sets(hashes):
    both = leakage(hashes[:10], hashes[10:30], threshold=0.4)
    pairs = [leakage(hashes[[i, j]], threshold=0.4) for i in range(10) for j in range(10, 30)]
    assert both == pytest.approx(np.mean(pairs))


def test_the_papers_thresholds_are_the_default():
    assert [privacy_threshold(k, 2816) for k in (2, 3, 5, 10)] == [0.475, 0.65, 0.775, 0.875]
    assert 0.7 < privacy_threshold(4, 2816) < 0.75


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_delta_for_leakage_gives_that_leakage(k, share):
    x = np.random.default_rng(0).normal(size=(300, 20)) * np.linspace(0.2, 3, 20)
    delta = delta_for_leakage(x, share, k=k, measurements_per_coefficient=140)
    keys = [HashKey.generate(HashParameters(20, k, delta, 140), seed=seed) for seed in range(8)]
    # One key may leak a little more or less than another; delta is chosen for their mean.
    assert np.mean([leakage(pack(modular_hash(x, key), k)) for key in keys]) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("delta", [0.3, 2.0, 5.0])
def test_expected_leakage_is_what_hashes_leak_on_average(material, delta):
    x, parameters = material.features, HashParameters(12, delta=delta)
    found = [leakage(pack(modular_hash(x, HashKey.generate(parameters, seed=s)), 3)) for s in range(30)]
    expected = expected_leakage(pdist(x), delta, k=3, symbols=parameters.symbols)
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / np.sqrt(30) + 0.003


def test_a_share_that_chance_alone_exceeds_is_refused():
    with raises_code(HashingError, "share-too-small"):
        delta_for_leakage(np.random.default_rng(0).normal(size=(50, 88)), 0.01)


def test_delta_scales_with_the_features():
    x = np.random.default_rng(0).normal(size=(100, 5))
    delta = delta_for_leakage(x, 0.3, threshold=0.5)
    assert delta_for_leakage(10 * x, 0.3, threshold=0.5) == pytest.approx(10 * delta)
    assert delta_for_leakage(x, 0.3, threshold=0.5, pairs=800) == pytest.approx(delta, rel=0.2)


def test_pairs_above_the_threshold_still_tell_something(material, hashes):
    key = HashKey.generate(HashParameters(12, delta=1.5, measurements_per_coefficient=32), seed=1)
    tight = pack(modular_hash(material.features, key), 3)
    assert 0.02 < information_above(tight, material.features, threshold=0.6) < 0.95


@pytest.mark.parametrize(
    "call",
    [
        lambda h: leakage(h[:1]),
        lambda h: leakage(h, h[:0]),
        lambda h: information_above(h, np.zeros((3, 4))),
        lambda h: information_above(h, np.zeros((len(h), 4)), threshold=2.0),
        lambda h: delta_for_leakage(np.zeros((9, 2)), 0.5),
        lambda h: delta_for_leakage(np.eye(9), 1.5),
        lambda h: delta_for_leakage(np.eye(9), 0.5, threshold=0.7),
        lambda h: delta_for_leakage(np.zeros(9), 0.5),
    ],
)
def test_what_has_no_answer_is_refused(hashes, call):
    with pytest.raises(HashingError):
        call(hashes)
