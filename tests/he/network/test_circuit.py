"""Folding: any network of degrees 2, 4, 6 equals its circuit, whatever the rescaling does to products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.network.circuit import DEPTH, evaluate, fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.models.networks.mlp import MLP, Affine
from sotto.models.networks.polynomial import relu_polynomial
from tests.error_codes import raises_code


class Drifting:
    """Plain arithmetic on (values, level) in which each level's products come out times that level's ratio."""

    def __init__(self, circuit, ratios):
        self.circuit, self.ratios = circuit, ratios
        self.products = 0

    def _rescaled(self, values, level):
        return values * self.ratios[level], level + 1

    def affine(self, x, layer):
        values, level = self._rescaled(x[0] @ self.circuit.weights[layer], x[1])
        return values + self.circuit.biases[layer], level

    def square(self, x):
        self.products += 1
        return self._rescaled(x[0] ** 2, x[1])

    def multiply(self, x, y):
        self.products += 1
        return self._rescaled(x[0] * y[0], max(x[1], y[1]))

    def scale(self, x, factor):
        return self._rescaled(x[0] * factor, x[1])

    def shift(self, x, constant):
        return x[0] + constant, x[1]

    def add(self, x, y):
        return x[0] + y[0], max(x[1], y[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    degree=st.sampled_from([2, 4, 6]),
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    drift=st.floats(0, 0.2),
)
def test_a_folded_network_computes_the_same_logits(make_network, make_features, seed, degree, widths, drift):
    network = make_network(seed, tuple(widths), degree)
    levels = fold(network).levels
    ratios = 1 + drift * np.sin(np.arange(levels) + seed)
    circuit = fold(network, ratios)
    arithmetic = Drifting(circuit, ratios)
    x = make_features(7, widths[0], seed).astype(np.float64)
    values, consumed = evaluate(circuit, (x, 0), arithmetic)
    expected = network.logits(x)
    np.testing.assert_allclose(values, expected, atol=1e-8 * max(1.0, np.abs(expected).max()))
    assert consumed == levels == len(widths) - 1 + (len(widths) - 2) * DEPTH[degree]
    assert arithmetic.products == (len(widths) - 2) * DEPTH[degree]


@pytest.mark.parametrize("degree", [2, 4, 6])
@pytest.mark.parametrize("source", ["fit", "table3"])
def test_the_papers_polynomials_fold(make_network, make_features, degree, source):
    random = make_network(1, (8, 7, 6, 5), degree)
    network = PolynomialNetwork(random.layers, (relu_polynomial(degree, source),) * 2)
    circuit = fold(network)
    x = make_features(20, 8).astype(np.float64)
    values, _ = evaluate(circuit, (x, 0), Drifting(circuit, np.ones(circuit.levels)))
    np.testing.assert_allclose(values, network.logits(x), atol=1e-10)


def test_logits_are_those_of_the_module(make_module, make_features):
    for degree in (2, 4, 6):
        module = make_module(degree, (9, 8, 7, 4), degree)
        x = make_features(30, 9)
        with torch.no_grad():
            expected = module(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(PolynomialNetwork.of(module).logits(x), expected, atol=1e-4)


def test_a_network_with_relu_is_refused_with_advice(make_module):
    with raises_code(ModelRefused, "has-relu"):
        PolynomialNetwork.of(MLP(4, (3,), 2))
    with raises_code(ModelRefused, "not-an-mlp", match="Linear is not an MLP"):
        PolynomialNetwork.of(make_module().head)


@pytest.mark.parametrize(
    ("weight", "polynomial", "reason"),
    [
        (np.full((3, 2), np.nan), (0.0, 1.0, 1.0), "not-finite"),
        (np.ones((4, 2)), (0.0, 1.0, 1.0), "layers-misfit"),
        (np.ones((3, 2)), (0.0, 1.0, 1.0, 1.0), "bad-degree"),
        (np.ones((3, 2)), (0.0, 1.0, 0.0), "bad-degree"),
    ],
)
def test_a_malformed_network_is_refused(weight, polynomial, reason):
    first = Affine(weight, np.zeros(len(weight)))
    with raises_code(ModelRefused, reason):
        PolynomialNetwork((first, Affine(np.ones((2, 3)), np.zeros(2))), (polynomial,))
