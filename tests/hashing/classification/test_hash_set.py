import numpy as np
import pytest

from sotto.hashing import (
    HashFileError,
    HashingError,
    HashKey,
    HashSet,
    join,
    modular_hash,
    train_hamming_svc,
    training_hashes,
)
from tests.error_codes import raises_code

CLASSES = ("calm", "sad", "angry")


@pytest.fixture(scope="module")
def hashed(material):
    names = [f"speaker {number}" for number in material.speakers]
    return training_hashes(material.key, material.features, material.labels, classes=CLASSES, speakers=names)


def test_the_set_holds_hashes_and_no_names(material, hashed):
    assert np.array_equal(hashed.hashes.unpack(), modular_hash(material.features, material.key))
    assert np.array_equal(hashed.speakers, material.speakers)
    assert hashed.fingerprint == material.key.fingerprint


def test_what_is_saved_comes_back(hashed, tmp_path):
    hashed.save(tmp_path / "set")
    loaded = HashSet.load(tmp_path / "set")
    for part in ("labels", "speakers", "classes", "fingerprint"):
        assert np.array_equal(getattr(loaded, part), getattr(hashed, part))
    assert np.array_equal(loaded.hashes.planes, hashed.hashes.planes)
    (tmp_path / "set").write_bytes((tmp_path / "set").read_bytes()[:-1])
    with raises_code(HashFileError, "wrong-file", match="no HashSet file"):
        HashSet.load(tmp_path / "set")


def test_training_searches_on_held_out_speakers(material, hashed):
    classifier, search = train_hamming_svc(hashed, costs=(1.0, 10.0), spreads=(0.2, 0.8), folds=4)
    assert search.accuracy > 0.9
    assert len(search.grid) == 4
    assert (classifier.C, classifier.gamma) == (search.cost, search.gamma)
    assert classifier.fingerprint_ == material.key.fingerprint
    assert classifier.score(hashed.hashes, material.labels) > 0.95


def test_parties_with_one_key_can_pool(material, hashed):
    parts = [
        training_hashes(
            material.key,
            material.features[chosen],
            material.labels[chosen],
            classes=CLASSES,
            speakers=material.speakers[chosen],
        )
        for chosen in (material.speakers < 3, material.speakers >= 3)
    ]
    pooled = join(parts)
    assert np.array_equal(pooled.hashes.planes, hashed.hashes.planes)
    assert np.array_equal(pooled.speakers, hashed.speakers)


def test_pooling_across_keys_or_classes_is_refused(material, hashed):
    other = HashKey.generate(material.key.parameters)
    foreign = training_hashes(other, material.features, material.labels, classes=CLASSES)
    renamed = training_hashes(material.key, material.features, material.labels, classes=("a", "b", "c"))
    with raises_code(HashingError, "other-key"):
        join([hashed, foreign])
    with raises_code(HashingError, "other-classes"):
        join([hashed, renamed])
    with raises_code(HashingError, "nothing-to-join"):
        join([])


def test_without_speakers_there_is_no_search(material):
    silent = training_hashes(material.key, material.features, material.labels, classes=CLASSES)
    assert (silent.speakers == -1).all()
    with raises_code(HashingError, "no-speakers"):
        train_hamming_svc(silent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": np.zeros(3, np.int64)},
        {"labels": np.full(144, 3)},
        {"labels": np.full(144, -1)},
        {"classes": ("calm",)},
        {"classes": ("calm", "calm", "sad")},
        {"speakers": ["one"]},
    ],
)
def test_parts_have_to_fit(material, wrong):
    arguments = {"labels": material.labels, "classes": CLASSES, **wrong}
    with pytest.raises(HashingError):
        training_hashes(material.key, material.features, **arguments)
