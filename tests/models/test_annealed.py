"""ReLU that becomes a polynomial: what it computes, what it adds to the gradient, that networks with it are whole."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sotto.he.tensors.exporting import export
from sotto.link import BadValue
from sotto.models import Depinto, Frames
from sotto.models.networks.annealed import INTERVAL, PULL, AnnealedReLU
from sotto.models.networks.polynomial import PolynomialReLU
from tests.error_codes import raises_code


def test_it_begins_as_relu_and_ends_as_the_polynomial():
    layer = AnnealedReLU(2, steps=4)
    polynomial = PolynomialReLU(2)
    x = torch.linspace(-2.5, 2.5, 11)
    torch.testing.assert_close(layer(x), F.relu(x))
    torch.testing.assert_close(layer(x), 0.75 * F.relu(x) + 0.25 * polynomial(x))
    for _ in range(3):
        layer(x)
    torch.testing.assert_close(layer(x), polynomial(x))
    assert layer.share == 1


def test_evaluation_is_the_polynomial_and_counts_nothing():
    layer = AnnealedReLU(4, steps=10).eval()
    x = torch.linspace(-2, 2, 5)
    torch.testing.assert_close(layer(x), PolynomialReLU(4)(x))
    assert layer.share == 0
    assert AnnealedReLU(2, steps=0).share == 1


@pytest.mark.parametrize("share", [0, 1])
def test_the_gradient_is_that_of_the_loss_plus_the_range_penalty(share):
    layer = AnnealedReLU(2, steps=1)
    layer.seen += share
    x = torch.tensor([-5.0, -1.0, 0.5, 7.0], requires_grad=True)
    layer(x).sum().backward()
    y = x.detach().clone().requires_grad_()
    activation = PolynomialReLU(2) if share else F.relu
    beyond = F.relu(y.abs() - INTERVAL) ** 2
    (activation(y).sum() + PULL[2] * beyond.mean()).backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_bad_arguments_are_refused():
    with raises_code(BadValue, "unknown-degree"):
        AnnealedReLU(3, 1)
    with raises_code(BadValue, "out-of-range"):
        AnnealedReLU(2, -1)
    with raises_code(BadValue, "unknown-activation"):
        Frames(activation="tanh")


@pytest.mark.parametrize(("make", "shape"), [(Depinto, (40,)), (Frames, (8, 30))])
@pytest.mark.parametrize("degree", [2, 4, 6])
def test_networks_with_it_export_for_encryption(make, shape, degree):
    sizes = {} if make is Depinto else {"coefficients": 8, "frames": 30}
    module = make(4, activation=f"poly{degree}", anneal=3, **sizes)
    for _ in range(4):
        module(torch.rand(8, *shape))
    module.eval()
    network = export(module, shape)
    x = torch.rand(3, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = copy.deepcopy(module).double()(x).numpy()
    np.testing.assert_allclose(network.logits(x.numpy()), expected, atol=1e-9)
    assert {len(stage.polynomial) - 1 for stage in network.stages if stage.polynomial} == {degree}


def test_networks_with_relu_have_no_more_in_their_files():
    assert not any("seen" in name or "norm" in name for name in Depinto().state_dict())
    assert not any("seen" in name for name in Frames().state_dict())
