"""Networks that mpc and he share: mpc answers them as they are in the clear, or says why it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.bench.emotion.emotion_models import named
from sotto.bench.experiment import Configuration, run
from sotto.bench.own_model import Given, adapter
from sotto.models import ModelRecord, Normalisation, build, save
from sotto.models.learning.recipes import RECIPES
from sotto.serving import registry
from tests.error_codes import raises_code

#: Architecture, its arguments, shape of one example.
NETWORKS = {
    "mlp": ("mlp", {"inputs": 12, "hidden": (8, 6)}, (12,)),
    "mlp-poly2": ("mlp", {"inputs": 12, "hidden": (8, 6), "activation": "poly2"}, (12,)),
    "mlp-poly4": ("mlp", {"inputs": 12, "hidden": (6,), "activation": "poly4"}, (12,)),
    "mlp-poly6": ("mlp", {"inputs": 12, "hidden": (6,), "activation": "poly6"}, (12,)),
    "depinto-poly2": ("depinto", {"coefficients": 12, "activation": "poly2", "anneal": 0}, (1, 12)),
}
MODES = ("malicious", "semi-honest")


def made(name, folder):
    """A model file as Bob has it, whose statistics let through what is in [-1, 1], and examples (n, …)."""
    architecture, arguments, shape = NETWORKS[name]
    torch.manual_seed(1)
    module = build(architecture, {**arguments, "classes": 3})
    for _ in range(5):
        module(torch.rand(32, *shape) * 2 - 1)  # batch norm sees what is to come
    record = ModelRecord(
        architecture=architecture,
        arguments={**arguments, "classes": 3},
        classes=("a", "b", "c"),
        normalisation=Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32), "range", 1.0),
    )
    save(folder / "model.safetensors", module.eval(), record)
    return folder / "model.safetensors", np.random.default_rng(2).uniform(-1, 1, (8, *shape)).astype(np.float32)


def answered(name, mode, folder):
    path, x = made(name, folder)
    own = adapter("mpc").own(path, Given(folder, mode, NETWORKS[name][2]))
    truth = own.plain(x)[0]
    experiment = own.experiment(Configuration("mpc", mode, name, {}), x, truth, 2, len(x))
    return run(experiment, corpus="c", split="s", seed=0, net="loopback", say=lambda line: None)


def agrees(row):
    assert row.agreement == 1.0
    assert row.accuracy_loss == 0.0
    assert row.max_abs_error < 5e-3
    assert row.total.bytes > 0


def test_a_polynomial_network_is_answered_as_it_is_in_the_clear(tmp_path):
    agrees(answered("mlp-poly2", "malicious", tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine its processes take long to start
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_form_in_every_mode_with_a_dealer(name, mode, tmp_path):
    agrees(answered(name, mode, tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "mode"), [("mlp", "two-party"), ("mlp-poly4", "two-party"), ("mlp", "crypten")])
def test_networks_run_in_the_other_modes_too(name, mode, tmp_path):
    agrees(answered(name, mode, tmp_path))


def test_stock_crypten_has_no_products_of_two_secrets_and_says_so(tmp_path):
    path, _ = made("mlp-poly2", tmp_path)
    with raises_code(mpc.ModelRefused, "not-in-mode"):
        adapter("mpc").own(path, Given(tmp_path, "crypten", (12,)))


def test_every_declared_network_of_mpc_and_he_has_one_recipe():
    class Quick:
        quick = True

    for name in {*registry.paradigm("mpc").networks, *registry.paradigm("he").networks}:
        recipe = named(name, Quick())
        assert recipe.name in (name, f"{name}-quick")
        assert RECIPES[name].architecture == recipe.architecture
