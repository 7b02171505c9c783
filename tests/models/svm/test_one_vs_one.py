"""The vote and the scores are scikit-learn's, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from sotto.link import BadValue
from sotto.models.svm.one_vs_one import OneVsOne, pairs
from tests.error_codes import raises_code


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(0, 2**32), st.floats(0.01, 10))
def test_equals_scikit_learn(classes, seed, gamma):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, 30)])
    x, new = rng.normal(size=(len(y), 3)), rng.normal(size=(50, 3))
    kernel = np.exp(-gamma * ((x[:, None] - x) ** 2).sum(2))
    asked = np.exp(-gamma * ((new[:, None] - x) ** 2).sum(2))
    ours = {}
    for shape in ("ovo", "ovr"):
        svc = SVC(kernel="precomputed", decision_function_shape=shape).fit(kernel, y)
        machines = OneVsOne.of(svc)
        decisions = machines.decisions(asked[:, svc.support_])
        ours[shape] = svc.decision_function(asked)
    if classes == 2:
        assert np.allclose(-decisions[:, 0], ours["ovo"], atol=1e-10)
        assert np.allclose(machines.scores(decisions)[:, 1], ours["ovr"], atol=1e-10)
    else:
        assert np.allclose(decisions, ours["ovo"], atol=1e-10)
        assert np.allclose(machines.scores(decisions), ours["ovr"], atol=1e-10)
    assert np.array_equal(machines.labels(decisions), svc.predict(asked))


def test_equal_votes_go_to_the_lower_class_by_vote_and_to_the_larger_margin_by_score():
    machines = OneVsOne(np.zeros((2, 3)), np.zeros(3), (1, 1, 1))
    circle = np.array([[0.1, -0.2, 0.9]])  # 0 beats 1, 2 beats 0, 1 beats 2: one vote each
    assert machines.votes(circle).tolist() == [[1, 1, 1]]
    assert machines.labels(circle).tolist() == [0]
    assert machines.scores(circle).argmax() == 1


def test_scores_never_reverse_votes():
    rng = np.random.default_rng(0)
    machines = OneVsOne(np.zeros((4, 5)), np.zeros(10), (1,) * 5)
    decisions = 1e6 * rng.normal(size=(500, 10))
    assert (np.abs(machines.scores(decisions) - machines.votes(decisions)) < 0.5).all()


@pytest.mark.parametrize(
    ("dual", "intercept", "support"),
    [
        (np.zeros((1, 2)), np.zeros(1), (2,)),
        (np.zeros((1, 2)), np.zeros(2), (1, 1)),
        (np.zeros((2, 2)), np.zeros(1), (1, 1)),
        (np.zeros((1, 2)), np.zeros(1), (3, -1)),
        (np.full((1, 2), np.nan), np.zeros(1), (1, 1)),
        (np.zeros((1, 2), np.float32), np.zeros(1), (1, 1)),
    ],
)
def test_parts_that_do_not_fit_are_refused(dual, intercept, support):
    with raises_code(BadValue, ("not-finite", "too-few-classes", "wrong-dtype", "wrong-shape")):
        OneVsOne(dual, intercept, support)


def test_pairs():
    assert [pairs(classes) for classes in (2, 3, 8)] == [1, 3, 28]
