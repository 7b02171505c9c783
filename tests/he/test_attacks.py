"""The attacks work, and what is done against them works too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sotto.he.attacks import extract_model, recover_key
from sotto.he.attacks.negacyclic import coefficients, smallest_root
from sotto.he.attacks.raw_decryption import RING_DEGREE
from sotto.he.network.network import PolynomialNetwork
from sotto.link import BadValue
from sotto.models.networks.mlp import Affine
from tests.error_codes import raises_code

WEIGHTS = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]])


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).uniform(-1, 1, (RING_DEGREE // 2, 3))


def test_raw_decryptions_give_bob_the_key_and_the_features(batch):
    result = recover_key(batch, WEIGHTS, "raw")
    assert result.key_recovered
    assert result.key_agreement == 1.0
    assert result.largest_feature_error < 1e-3


@pytest.mark.parametrize("published", ["rounded", "class"])
def test_rounded_scores_and_classes_do_not(batch, published):
    result = recover_key(batch, WEIGHTS, published)
    assert not result.key_recovered
    assert result.key_agreement < 0.01
    assert result.largest_feature_error is None


@pytest.mark.parametrize("shape", [(10, 3), (RING_DEGREE // 2, 1)])
def test_the_attack_says_what_it_takes(shape):
    with raises_code(BadValue, "wrong-shape"):
        recover_key(np.zeros(shape), np.zeros((shape[1], 2)))


def test_the_transform_is_that_of_the_definition():
    n, modulus = 8, 97
    root = smallest_root(n, modulus)
    assert pow(root, n, modulus) == modulus - 1
    polynomial = [3, -1, 0, 40, -48, 2, 0, 1]
    order = [int(format(i, "03b")[::-1], 2) for i in range(n)]
    values = [sum(c * pow(root, (2 * k + 1) * i, modulus) for i, c in enumerate(polynomial)) % modulus for k in order]
    assert coefficients(np.array(values, dtype=object), modulus).tolist() == polynomial


def test_more_queries_copy_the_model_better():
    random = np.random.default_rng(1)
    widths = (8, 10, 6, 4)
    layers = tuple(
        Affine(random.normal(0, 1.5 / np.sqrt(before), (after, before)), np.zeros(after))
        for before, after in itertools.pairwise(widths)
    )
    network = PolynomialNetwork(layers, ((0.2, 0.5, 0.2),) * 2)
    features, unseen = random.uniform(-1, 1, (600, 8)), random.uniform(-1, 1, (400, 8))
    for answers in ("logits", "class"):
        few, many = extract_model(network, features, unseen, queries=(10, 600), answers=answers, steps=200)
        assert (few.queries, many.queries, many.answers) == (10, 600, answers)
        assert few.fidelity + 0.2 < many.fidelity
        assert many.fidelity > max(0.8 if answers == "logits" else 0.7, many.chance + 0.2)
        assert extract_model(network, features, unseen, queries=(10,), answers=answers, steps=200) == [few]


@pytest.mark.parametrize("queries", [(), (1,), (100_001,)])
def test_impossible_numbers_of_queries_are_refused(make_network, queries):
    network = make_network(3, (8, 4), 2)
    with raises_code(BadValue, "out-of-range"):
        extract_model(network, np.zeros((600, 8)), np.zeros((1, 8)), queries=queries)


def test_made_up_queries_copy_the_model_where_her_own_are_few(make_network):
    network = make_network(4, (6, 12, 4), 2, size=1.5)
    random = np.random.default_rng(2)
    own, unseen = random.uniform(-1, 1, (40, 6)), random.uniform(-1, 1, (400, 6))
    few, many = extract_model(network, own, unseen, queries=(40, 4000), steps=600)
    assert few.fidelity < many.fidelity
    assert many.fidelity > max(0.8, many.chance + 0.2)
