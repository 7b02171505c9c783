import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sotto.hashing import HammingSVC, HashingError, HashKey, HashParameters, SecureModularHash, modular_hash
from sotto.link import BadType
from tests.error_codes import raises_code

REASON = "a secret key is neither pickled nor the same at every fit"


@parametrize_with_checks(
    [SecureModularHash(seed=0), SecureModularHash(seed=1, k=2, dither="paper"), SecureModularHash()],
    expected_failed_checks=lambda estimator: (
        {"check_estimators_pickle": REASON, "check_fit_idempotent": REASON} if estimator.seed is None else {}
    ),
)
@pytest.mark.filterwarnings("ignore")
def test_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


@given(
    st.integers(2, 16),
    st.floats(0.1, 50),
    st.integers(1, 5),
    st.sampled_from(["full", "paper"]),
    st.integers(0, 2**32),
)
def test_equation_one(k, delta, mpc, dither, seed):
    key = HashKey.generate(HashParameters(4, k, delta, mpc, dither), seed=seed)
    x = np.random.default_rng(seed).normal(size=(3, 4)) * 10
    found = modular_hash(x, key)
    for n in range(3):
        for i in range(key.parameters.symbols):
            value = (sum(key.matrix[i, j] * x[n, j] for j in range(4)) + key.dither[i]) / delta
            if abs(value - round(value)) > 1e-9:  # on a border either cell is right
                assert found[n, i] == int(np.floor(value)) % k
    assert found.dtype == np.uint8


def test_does_not_depend_on_the_batch(material):
    whole = modular_hash(material.features, material.key)
    one_by_one = np.concatenate([modular_hash(row[None], material.key) for row in material.features])
    assert np.array_equal(whole, one_by_one)


def test_a_shift_by_the_period_changes_nothing_and_by_a_cell_every_symbol():
    parameters = HashParameters(1, k=5, delta=2.0, measurements_per_coefficient=50)
    drawn = HashKey.generate(parameters, seed=1)
    key = HashKey(parameters, np.ones((50, 1)), drawn.dither)
    x = np.linspace(-30, 30, 11)[:, None]
    h = modular_hash(x, key).astype(int)
    assert np.array_equal(modular_hash(x + 10.0, key), h)
    assert np.array_equal(modular_hash(x + 2.0, key), (h + 1) % 5)


@pytest.mark.parametrize("x", [np.zeros(12), np.full(12, 0.7), np.linspace(-3, 3, 12)])
def test_with_full_dither_symbols_are_uniform_whatever_the_features_are(x):
    key = HashKey.generate(HashParameters(12, k=3, delta=2.0, measurements_per_coefficient=2000), seed=5)
    counts = np.bincount(modular_hash(x[None], key)[0], minlength=3)
    assert chisquare(counts).pvalue > 0.001


def test_with_the_papers_dither_they_are_not():
    key = HashKey.generate(
        HashParameters(12, k=3, delta=2.0, measurements_per_coefficient=2000, dither="paper"), seed=5
    )
    counts = np.bincount(modular_hash(np.zeros((1, 12)), key)[0], minlength=3)
    assert counts[2] == 0  # w / Δ stays under 1.5
    assert chisquare(counts).pvalue < 1e-10


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(12),
        np.zeros((2, 11)),
        np.full((1, 12), np.nan),
        np.full((1, 12), np.inf),
        np.full((1, 12), 1e308),
    ],
)
def test_unfit_features_are_refused(material, bad):
    with pytest.raises(HashingError):
        modular_hash(bad, material.key)


def test_a_given_key_is_used_shown_by_fingerprint_and_survives_clone(material):
    estimator = SecureModularHash.from_key(material.key)
    copy = clone(estimator).fit(material.features)
    assert copy.get_params()["key"] is material.key
    assert copy.key_ is material.key
    assert np.array_equal(copy.transform(material.features), modular_hash(material.features, material.key))
    assert material.key.fingerprint in repr(estimator)
    assert f"{material.key.matrix[0, 0]:.4f}" not in repr(estimator)


@pytest.mark.parametrize("change", [{"k": 2}, {"delta": 3.0}, {"measurements_per_coefficient": 1}, {"dither": "paper"}])
def test_a_key_for_other_parameters_is_refused(material, change):
    with raises_code(HashingError, "other-parameters", match=next(iter(change))):
        SecureModularHash.from_key(material.key).set_params(**change).fit(material.features)


def test_a_key_for_other_features_or_beside_a_seed_is_refused(material):
    with raises_code(HashingError, "other-parameters", match="inputs"):
        SecureModularHash.from_key(material.key).fit(material.features[:, :5])
    with raises_code(HashingError, "key-and-seed"):
        SecureModularHash.from_key(material.key).set_params(seed=1).fit(material.features)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_secret_key_is_never_pickled_with_its_estimator(material, fitted):
    given_key, fresh = SecureModularHash.from_key(material.key), SecureModularHash()
    for estimator in (given_key, fresh):
        if fitted:
            estimator.fit(material.features)
        elif estimator is fresh:
            continue  # nothing secret in it yet
        stream = io.BytesIO()
        with raises_code(BadType, "never-pickled"):
            pickle.dump(estimator, stream)
        assert material.key.matrix[0].tobytes() not in stream.getvalue()


def test_a_seeded_estimator_pickles_without_its_key_and_draws_it_again(material):
    estimator = SecureModularHash(seed=4, k=5).fit(material.features)
    content = pickle.dumps(estimator)
    assert estimator.key_.matrix[0].tobytes() not in content
    assert len(content) < 4000
    again = pickle.loads(content)  # noqa: S301  (made in this test)
    assert again.key_ == estimator.key_


def test_every_unseeded_fit_has_a_key_of_its_own(material):
    estimator = SecureModularHash()
    first = estimator.fit(material.features).key_
    assert estimator.fit(material.features).key_ != first


def test_grid_search_over_hash_and_classifier(material):
    pipeline = make_pipeline(MinMaxScaler((-1, 1)), SecureModularHash(seed=1), HammingSVC())
    grid = {
        "securemodularhash__k": [2, 3],
        "securemodularhash__delta": np.array([0.01, 1.5]),
        "hammingsvc__C": [1.0, 3.0],
        "hammingsvc__gamma": [1.0, 3.0],
    }
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(4))
    search.fit(material.features, material.labels, groups=material.speakers)
    assert search.best_score_ > 0.8
    assert search.best_params_["securemodularhash__delta"] == 1.5
    assert set(search.best_params_) == set(grid)
    assert len(search.cv_results_["params"]) == 16
    assert search.predict(material.features).shape == material.labels.shape


def test_feature_names(material):
    names = SecureModularHash(seed=1).fit(material.features).get_feature_names_out()
    assert len(names) == 384
    assert names[0] == "securemodularhash0"
