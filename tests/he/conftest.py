"""Small networks, and one session's keys shared by the tests that need no fresh ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sotto.he.evaluation.contexts import public_context, public_material, secret_context
from sotto.he.network.network import PolynomialNetwork
from sotto.he.planning.vector_planning import plan
from sotto.models.networks.mlp import MLP, Affine


def _module(seed: int = 0, widths: tuple[int, ...] = (6, 5, 4, 3), degree: int = 2) -> MLP:
    """An MLP with polynomial activations and the batch statistics of random inputs."""
    torch.manual_seed(seed)
    module = MLP(widths[0], widths[1:-1], widths[-1], f"poly{degree}")
    module.train()
    for _ in range(10):
        module(torch.rand(64, widths[0]) * 2 - 1)
    return module.eval()


def _network(
    seed: int = 0, widths: tuple[int, ...] = (6, 5, 4, 3), degree: int = 2, size: float = 1.0
) -> PolynomialNetwork:
    """A network with random weights of the given size and random polynomials, odd terms and all."""
    random = np.random.default_rng(seed)
    layers = [
        Affine(random.normal(0, size / np.sqrt(before), (after, before)), random.normal(0, 0.3, after))
        for before, after in itertools.pairwise(widths)
    ]
    polynomials = []
    for _ in layers[1:]:
        coefficients = random.normal(0, 0.3, degree + 1)
        coefficients[-1] = random.choice([-1, 1]) * random.uniform(0.02, 0.3)
        polynomials.append(tuple(coefficients))
    return PolynomialNetwork(tuple(layers), tuple(polynomials))


def _features(count: int, inputs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, inputs)).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests share the machine with others, and tiny networks gain nothing from more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_module():
    return _module


@pytest.fixture(scope="session")
def make_network():
    return _network


@pytest.fixture(scope="session")
def make_features():
    return _features


@pytest.fixture(scope="session")
def module():
    return _module()


@pytest.fixture(scope="session")
def network(module):
    return PolynomialNetwork.of(module)


@pytest.fixture(scope="session")
def parameters(network):
    return plan(network).parameters


@pytest.fixture(scope="session")
def alice_context(parameters):
    return secret_context(parameters, threads=1)


@pytest.fixture(scope="session")
def material(alice_context):
    return public_material(alice_context)


@pytest.fixture(scope="session")
def bob_context(material, parameters):
    return public_context(material, parameters, threads=1)
