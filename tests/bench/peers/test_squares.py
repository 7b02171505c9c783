"""Convolutional networks as convolutions and squares, and the peer that gets them so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d

from sotto.bench.peers import comparison, job, workloads
from sotto.bench.peers.squares import Squares
from sotto.link import LOOPBACK, BadValue
from sotto.models.networks.emotion_cnn import Depinto, Frames
from sotto.models.networks.mlp import MLP
from sotto.models.networks.polynomial import PolynomialReLU
from tests.error_codes import raises_code

CHAINS = {
    (1, 40): lambda: Depinto(5, activation="poly2"),
    (7, 30): lambda: Frames(3, coefficients=7, frames=30, activation="poly2"),
}


def chain(shape):
    """A convolutional network with polynomials whose batch norms have seen examples, and examples for it."""
    torch.manual_seed(8)
    module = CHAINS[shape]()
    for _ in range(3):
        module(torch.rand(16, *shape) * 2 - 1)
    return module.double().eval(), torch.rand(5, *shape, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("shape", CHAINS)
def test_polynomials_become_squares(shape):
    module, x = chain(shape)
    squares = Squares.of(module, shape[1])
    for layer in squares.convolutions:
        x = conv1d(x, torch.from_numpy(layer.weight), stride=layer.stride, padding=layer.padding)
        x = (x + torch.from_numpy(layer.bias)) ** 2
    found = x.flatten(1) @ torch.from_numpy(squares.weight).T + torch.from_numpy(squares.bias)
    with torch.no_grad():
        np.testing.assert_allclose(found, module(chain(shape)[1]), atol=1e-9)


class _Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.polynomial = torch.nn.Conv1d(2, 2, 3, padding=1), PolynomialReLU(2)

    def forward(self, x):
        return self.polynomial(self.convolution(x)) + x


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (Frames(), "no-polynomial"),
        (Frames(activation="poly4"), "wrong-degree"),
        (MLP(activation="poly2"), "no-convolution"),
        (_Residual(), "not-a-chain"),
        (torch.nn.Sequential(torch.nn.Conv1d(2, 2, 3, dilation=2), PolynomialReLU(2)), "wrong-convolution"),
    ],
)
def test_what_is_no_chain_of_convolutions_is_refused(module, code):
    with raises_code(BadValue, code):
        Squares.of(module, 40)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 4], ids=["helayers", "orion"])
@pytest.mark.parametrize("shape", CHAINS)
def test_a_peer_answers_from_its_own_environment(tmp_path, shape, number):
    peer = comparison.PEERS[number]
    if reason := peer.missing():
        pytest.skip(reason)
    module, x = chain(shape)
    with torch.no_grad():
        wanted = module(x.float().double()).numpy()
    described = workloads.describe_squares(module, shape)
    request = job.Request(
        network=described.shape, input_shape=list(shape), classes=wanted.shape[1], examples=5, singles=2, warm_up=1,
        batch=0, timeout=500.0,
    )  # fmt: skip
    response = job.run(peer.command(), request, {"queries": x.float().numpy(), **described.weights}, tmp_path, LOOPBACK)
    np.testing.assert_allclose(response.scores, wanted, atol=1e-3)
    assert response.labels == np.array(response.scores).argmax(axis=1).tolist()
    assert len(response.milliseconds) == 2
    if peer.one_process:
        assert (response.bytes_alice, response.bytes_bob, response.key_bytes) == (0, 0, None)
        assert response.cpu_seconds["alice and bob"] > 0
        return
    assert (response.rounds, response.key_bytes > 1e7) == (1, True)
    assert response.bytes_alice > response.bytes_bob > 1e5
    assert response.cpu_seconds["bob"] > response.cpu_seconds["alice"] > 0
