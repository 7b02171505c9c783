"""The MLP: shapes, folding of batch normalisation, files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.models import ModelError, ModelRecord, build, load, save
from sotto.models.networks.mlp import MLP, activations, affine_layers
from sotto.models.networks.polynomial import TABLE_3, PolynomialReLU, swap_relu


def trained(seed: int, **arguments) -> MLP:
    """An MLP whose batch statistics and weights are anything but the initial ones."""
    torch.manual_seed(seed)
    network = MLP(**arguments)
    network.train()
    for _ in range(5):
        network(torch.rand(32, network.inputs) * 2 - 1)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.weight.uniform_(0.2, 2)
                layer.bias.uniform_(-1, 1)
    return network.eval()


def test_widths_are_the_papers_by_default():
    network = MLP()
    assert [
        (layer.in_features, layer.out_features) for layer in (network.trunk[0], network.trunk[3], network.head)
    ] == [
        (88, 100),
        (100, 50),
        (50, 8),
    ]
    assert network(torch.zeros(3, 88)).shape == (3, 8)
    assert [type(layer) for layer in network.trunk[:3]] == [nn.Linear, nn.BatchNorm1d, nn.ReLU]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 12), max_size=3),
    st.sampled_from(["relu", "poly2", "poly4", "poly6"]),
    st.booleans(),
)
def test_folding_batch_normalisation_changes_nothing(seed, hidden, activation, batch_norm):
    network = trained(
        seed, inputs=7, hidden=tuple(hidden), classes=3, activation=activation, batch_norm=batch_norm
    ).double()
    x = torch.rand(11, 7, dtype=torch.float64) * 2 - 1
    value = x.numpy()
    layers = affine_layers(network)
    for layer, activation_module in zip(layers, (*activations(network), None), strict=True):
        value = value @ layer.weight.T + layer.bias
        if activation_module is not None:
            value = activation_module(torch.from_numpy(value)).numpy()
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(expected).max()))


def test_the_polynomial_is_trained_in_place():
    network = MLP(inputs=4, hidden=(5,), classes=2, activation="poly2")
    network(torch.rand(8, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert not any("coefficients" in name for name, _ in network.named_parameters())  # fixed, not learned


def test_swapped_weights_fit_the_polynomial_architecture():
    network = trained(3, activation="relu")
    swapped = swap_relu(network, 4, "table3")
    rebuilt = MLP(activation="poly4", coefficients="table3")
    rebuilt.load_state_dict(swapped.state_dict())
    x = torch.rand(5, 88)
    with torch.no_grad():
        np.testing.assert_array_equal(rebuilt.eval()(x), swapped(x))


def test_a_saved_network_comes_back_with_its_polynomial(tmp_path):
    network = trained(1, classes=4, activation="poly4", coefficients="table3")
    record = ModelRecord(
        architecture="mlp",
        arguments={"classes": 4, "activation": "poly4", "coefficients": "table3"},
        classes=("a", "b", "c", "d"),
    )
    save(tmp_path / "mlp.safetensors", network, record)
    loaded, _ = load(tmp_path / "mlp.safetensors")
    x = torch.rand(5, 88)
    with torch.no_grad():
        np.testing.assert_array_equal(loaded(x), network(x))
    polynomial = next(layer for layer in loaded.modules() if isinstance(layer, PolynomialReLU))
    assert polynomial.coefficients.tolist() == list(TABLE_3[4])


@pytest.mark.parametrize(
    "arguments", [{"activation": "poly3"}, {"classes": 0}, {"inputs": 1 << 20}, {"hidden": (4, 0)}]
)
def test_impossible_architectures_are_refused(arguments):
    with pytest.raises(ModelError):
        build("mlp", arguments)


def test_repr_of_a_layer_shows_no_weights():
    assert repr(affine_layers(MLP())[0]) == "Affine(88 -> 100)"


def test_a_perceptron_that_anneals_is_one_of_polynomials_in_the_end():
    torch.manual_seed(0)
    annealed = MLP(6, (5,), 3, "poly6", anneal=2)
    plain = MLP(6, (5,), 3, "poly6").eval()
    for _ in range(2):
        annealed(torch.rand(8, 6))
    (found,) = activations(annealed.eval())
    assert torch.equal(found.coefficients, activations(plain)[0].coefficients)
    weights = annealed.state_dict()
    plain.load_state_dict({name: weights[name.replace("2.coeff", "2.polynomial.coeff")] for name in plain.state_dict()})
    x = torch.rand(4, 6)
    assert torch.allclose(annealed(x), plain(x))
