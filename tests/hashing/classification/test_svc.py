import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.spatial.distance import cdist
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sotto.hashing import HammingSVC, HashFileError, HashingError, modular_hash, pack
from sotto.hashing.tensor_file import _RECORD
from tests.error_codes import raises_code


@parametrize_with_checks([HammingSVC()])
@pytest.mark.filterwarnings("ignore")
def test_is_a_scikit_learn_classifier(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def hashes(material):
    return modular_hash(material.features, material.key)


@pytest.fixture(scope="module")
def fitted(material, hashes):
    return HammingSVC(C=2.0, gamma=4.0).fit(pack(hashes, 3), material.labels, fingerprint="f" * 32)


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_scikit_learns_machine_on_the_same_kernel(material, hashes, classes):
    chosen = material.labels < classes
    x, y = hashes[chosen], material.labels[chosen]
    kernel = np.exp(-4.0 * cdist(hashes, x, "hamming") ** 2)
    svc = SVC(C=2.0, kernel="precomputed", break_ties=classes > 2).fit(kernel[chosen], y)
    ours = HammingSVC(C=2.0, gamma=4.0).fit(x, y)
    assert np.allclose(ours.decision_function(hashes), svc.decision_function(kernel), atol=1e-12)
    assert np.array_equal(ours.predict(hashes), svc.predict(kernel))
    assert np.array_equal(ours.predict(pack(hashes, 3)), svc.predict(kernel))


def test_more_queries_than_fit_one_block(fitted, hashes):
    many = np.tile(hashes, (15, 1))
    assert len(many) > 2048
    assert np.array_equal(fitted.predict(pack(many, 3)), np.tile(fitted.predict(hashes), 15))


def test_learns_held_out_speakers(material, hashes):
    train = material.speakers < 6
    classifier = HammingSVC().fit(hashes[train], material.labels[train])
    assert classifier.score(hashes[~train], material.labels[~train]) > 0.9


def test_labels_may_be_text(material, hashes):
    names = np.array(["calm", "sad", "angry"])[material.labels]
    classifier = HammingSVC().fit(hashes, names)
    assert classifier.classes_.tolist() == ["angry", "calm", "sad"]
    assert (classifier.predict(hashes) == names).mean() > 0.9


@pytest.mark.parametrize("text", [False, True])
def test_what_is_saved_answers_the_same(material, hashes, tmp_path, text):
    labels = np.array(["calm", "sad", "angry"])[material.labels] if text else material.labels * 2
    classifier = HammingSVC(C=2.0, gamma=4.0).fit(pack(hashes, 3), labels, fingerprint="abc")
    classifier.save(tmp_path / "model.safetensors")
    loaded = HammingSVC.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.predict(hashes), classifier.predict(hashes))
    assert np.array_equal(loaded.decision_function(hashes), classifier.decision_function(hashes))
    assert loaded.fingerprint_ == "abc"
    assert loaded.get_params() == {"C": 2.0, "gamma": 4.0}


def test_only_hashes_can_be_saved(material, tmp_path):
    classifier = HammingSVC().fit(material.features, material.labels)
    with raises_code(HashFileError, "no-classifier"):
        classifier.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_hashes_and_labels_have_to_fit(material, hashes, fitted):
    with raises_code(HashingError, "wrong-shape"):
        HammingSVC().fit(pack(hashes, 3), material.labels[:-1])
    with raises_code(HashingError, "one-class"):
        HammingSVC().fit(pack(hashes, 3), np.zeros(len(hashes)))
    with raises_code(HashingError, "other-size"):
        fitted.predict(pack(hashes[:, :64], 3))


def rewritten(path, change):
    tensors = {name: tensor.copy() for name, tensor in load_file(path).items()}
    length = int.from_bytes(path.read_bytes()[:8], "little")
    record = msgspec.json.decode(msgspec.json.decode(path.read_bytes()[8 : 8 + length])["__metadata__"][_RECORD])
    change(record, tensors)
    save_file(tensors, path, metadata={_RECORD: msgspec.json.encode(record).decode()})


@pytest.mark.parametrize(
    "change",
    [
        lambda record, tensors: record.update(support=[1, 2]),
        lambda record, tensors: record.update(support=[-1, 2, 3]),
        lambda record, tensors: record.update(classes=["a", "a", "b"]),
        lambda record, tensors: record.update(classes=[]),
        lambda record, tensors: record.update(classes=["a", 1, 2]),
        lambda record, tensors: record.update(k=2),
        lambda record, tensors: record.update(k=99),
        lambda record, tensors: record.update(symbols=10**9),
        lambda record, tensors: record.update(gamma=-1.0),
        lambda record, tensors: record.update(format="sotto-hash-key"),
        lambda record, tensors: tensors.update(planes=tensors["planes"].astype(np.int64)),
        lambda record, tensors: tensors["planes"].fill(2**64 - 1),
        lambda record, tensors: tensors["dual"].fill(np.inf),
        lambda record, tensors: tensors.update(dual=tensors["dual"][:, :-1].copy()),
        lambda record, tensors: tensors.update(dual=tensors["dual"].astype(np.float32)),
        lambda record, tensors: tensors.update(intercept=tensors["intercept"][:-1]),
        lambda record, tensors: tensors.pop("intercept"),
    ],
)
def test_tampered_files_are_refused_in_one_line(fitted, tmp_path, change):
    path = tmp_path / "model"
    fitted.save(path)
    rewritten(path, change)
    with pytest.raises(HashFileError) as caught:
        HammingSVC.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_files_are_refused(material, tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(HashFileError):
            HammingSVC.load(path)
    material.key.save(tmp_path / "key")
    with raises_code(HashFileError, "wrong-file", match="no HammingSVC file"):
        HammingSVC.load(tmp_path / "key")
