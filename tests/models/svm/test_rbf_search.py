import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sotto.link import BadValue
from sotto.models.svm.rbf_search import search_rbf
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def material():
    """Two features tell the class, one tells the speaker much more loudly."""
    rng = np.random.default_rng(0)
    speakers, labels = np.repeat(np.arange(6), 20), np.tile(np.arange(2), 60)
    x = np.column_stack([2.0 * labels + rng.normal(size=120), rng.normal(size=120), 9.0 * speakers])
    return cdist(x, x, "sqeuclidean"), labels, speakers


def test_the_choice_is_the_best_cell(material):
    search = search_rbf(*material, costs=(0.1, 1.0, 10.0), spreads=(0.1, 1.0))
    assert len(search.grid) == 6
    best = max(accuracy for _, _, accuracy in search.grid)
    assert search.accuracy == best
    assert (search.cost, search.gamma, best) in search.grid


def test_scaling_the_distances_scales_gamma_and_nothing_else(material):
    squared, labels, speakers = material
    one, other = search_rbf(squared, labels, speakers), search_rbf(100 * squared, labels, speakers)
    assert other.cost == one.cost
    assert other.gamma == pytest.approx(one.gamma / 100)
    assert other.accuracy == one.accuracy


def test_speakers_are_never_on_both_sides():
    """Labels that belong to speakers cannot be learned when speakers are held out."""
    rng = np.random.default_rng(1)
    speakers = np.repeat(np.arange(10), 12)
    labels = speakers % 2
    x = rng.normal(size=(10, 4))[speakers] * 5 + 0.1 * rng.normal(size=(120, 4))
    assert search_rbf(cdist(x, x, "sqeuclidean"), labels, speakers).accuracy < 0.8
    assert search_rbf(cdist(x, x, "sqeuclidean"), labels, np.tile(np.arange(12), 10)).accuracy == 1.0


def test_a_fold_whose_training_part_has_one_class_is_survived():
    squared = cdist(np.arange(6.0)[:, None], np.arange(6.0)[:, None], "sqeuclidean")
    search = search_rbf(squared, [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1])
    assert search.accuracy == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [0, 1]},
        {"labels": [0] * 6},
        {"speakers": [0] * 6},
        {"speakers": [0, 1]},
        {"costs": ()},
        {"spreads": ()},
        {"folds": 1},
        {"squared_distances": np.zeros((6, 5))},
    ],
)
def test_what_cannot_be_searched_is_refused(change):
    good = {"squared_distances": np.ones((6, 6)), "labels": [0, 1] * 3, "speakers": [0, 0, 1, 1, 2, 2]}
    with raises_code(BadValue, ("nothing-to-try", "shapes-differ", "too-few-speakers")):
        search_rbf(**{**good, **change})
