import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.svm import SVC

from sotto.link import BadValue
from sotto.models import ModelError, ModelRecord, Normalisation, load, save
from sotto.models.svm.svm import SVM, train_svm
from tests.error_codes import raises_code

DATA = os.environ.get("SOTTO_DATA")


@pytest.fixture(scope="module", params=[2, 5])
def fitted(request):
    rng = np.random.default_rng(request.param)
    y = rng.integers(0, request.param, 150)
    x = (rng.normal(size=(request.param, 7))[y] + rng.normal(size=(150, 7))).astype(np.float32)
    svc = SVC(C=3.0, gamma=0.1).fit(x.astype(np.float64), y)
    return svc, SVM.of(svc), rng.normal(size=(400, 7)).astype(np.float32), (x.astype(np.float64), y)


def test_answers_as_scikit_learn(fitted):
    svc, module, new, _ = fitted
    assert np.array_equal(module.predict(new), svc.predict(new.astype(np.float64)))
    scores = module(torch.from_numpy(new)).numpy()
    expected = svc.decision_function(new.astype(np.float64))
    assert np.allclose(scores[:, 1] if len(svc.classes_) == 2 else scores, expected, atol=1e-5)
    assert scores.dtype == np.float32


def test_the_largest_score_is_scikit_learns_answer_with_ties_broken(fitted):
    svc, module, new, trained = fitted
    svc = clone(svc).set_params(break_ties=len(svc.classes_) > 2).fit(*trained)
    assert np.array_equal(module(torch.from_numpy(new)).argmax(1).numpy(), svc.predict(new.astype(np.float64)))


def test_what_is_saved_answers_the_same(fitted, tmp_path):
    _, module, new, _ = fitted
    classes = tuple(f"class {i}" for i in range(len(module.support)))
    statistics = Normalisation.standard(new, clip=3.0)
    record = ModelRecord(architecture="svm", arguments=module.arguments, classes=classes, normalisation=statistics)
    save(tmp_path / "svm.safetensors", module, record)
    loaded, about = load(tmp_path / "svm.safetensors")
    assert isinstance(loaded, SVM)
    assert np.array_equal(loaded.decisions(new), module.decisions(new))
    assert about.classes == classes
    assert about.normalisation.clip == 3.0


def test_a_record_that_does_not_fit_is_refused(fitted, tmp_path):
    module = fitted[1]
    arguments = {**module.arguments, "support": tuple(count + 1 for count in module.support)}
    with pytest.raises(ModelError):
        save(tmp_path / "svm", module, ModelRecord(architecture="svm", arguments=arguments, classes=("a", "b")))


@pytest.mark.parametrize(
    "arguments", [(0, (1, 1), 1.0), (3, (1,), 1.0), (3, (0, 0), 1.0), (3, (2, -1), 1.0), (3, (1, 1), 0.0)]
)
def test_impossible_machines_are_refused(arguments):
    with raises_code(BadValue, ("bad-gamma", "empty")):
        SVM(*arguments)


def test_features_of_another_size_are_refused(fitted):
    with raises_code(BadValue, "wrong-shape"):
        fitted[1].predict(np.zeros((3, 8)))


def test_training_learns_and_is_reproducible():
    rng = np.random.default_rng(0)
    labels, speakers = np.tile(np.arange(4), 60), np.repeat(np.arange(12), 20)
    x = (2.0 * rng.normal(size=(4, 6))[labels] + rng.normal(size=(240, 6))).astype(np.float32)
    train = speakers < 9
    module, search = train_svm(x[train], labels[train], speakers[train])
    again, _ = train_svm(x[train], labels[train], speakers[train])
    assert (module.predict(x[~train]) == labels[~train]).mean() > 0.8
    assert search.accuracy > 0.8
    assert module.gamma == search.gamma
    assert np.array_equal(module.decisions(x), again.decisions(x))


@pytest.mark.parametrize("labels", [[0, 2, 0, 2], [0, 0, 0, 0], [1, 2, 1, 2], [0, 1, 0]])
def test_labels_have_to_be_positions_of_present_classes(labels):
    with raises_code(BadValue, ("bad-labels", "shapes-differ")):
        train_svm(np.zeros((4, 2)), labels, [0, 0, 1, 1])


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="SOTTO_DATA is not set")
def test_accuracy_on_ravdess_with_actors_held_out(capsys):
    """Eight emotions, six actor-disjoint folds, C and γ searched inside each training part: at least 0.50."""
    from sotto.audio import load_corpus
    from sotto.audio.features import EGeMAPS, extract
    from sotto.audio.splits import speaker_folds

    corpus = load_corpus("ravdess", Path(DATA) / "ravdess")
    features, speakers = extract(corpus, EGeMAPS()), np.array(corpus.labels("speaker"))
    classes = corpus.classes("emotion")
    labels = np.array([classes.index(label) for label in corpus.labels("emotion")])
    scores = []
    for split in speaker_folds(corpus, 6, seed=0, validation=0):
        train, test = np.array(split.train), np.array(split.test)
        statistics = Normalisation.standard(features[train], clip=3.0)
        module, _ = train_svm(statistics.transform(features[train]), labels[train], speakers[train])
        answers = module(torch.from_numpy(statistics.transform(features[test]))).argmax(1).numpy()
        scores.append(float((answers == labels[test]).mean()))
    with capsys.disabled():
        print(f"\nSVM on RAVDESS, 6 actor folds: {np.mean(scores):.4f} ± {np.std(scores):.4f} {np.round(scores, 3)}")
    assert np.mean(scores) >= 0.50
