"""Logits that he shows, clip by clip, beside the plaintext network's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sotto.bench.emotion import shown_logits
from sotto.bench.experiment import Configuration
from sotto.bench.own_model import Given, adapter
from sotto.he import MAX_SHOWN_ERROR
from sotto.models.networks.mlp import MLP
from sotto.serving import registry


def test_its_networks_are_those_of_he():
    assert set(shown_logits.MODELS) <= set(registry.paradigm("he").networks)


@pytest.mark.timeout(900)  # on a busy machine its processes take long to start
def test_every_clip_is_asked_and_the_largest_error_is_told(tmp_path):
    torch.manual_seed(0)
    module = MLP(6, hidden=(5,), classes=3, activation="poly2")
    x = np.random.default_rng(0).uniform(-1, 1, (12, 6)).astype(np.float32)
    for _ in range(5):
        module(torch.from_numpy(x))
    own = adapter("he").own(module.eval(), Given(tmp_path, "packed", (6,), calibration=x))
    experiment = own.experiment(Configuration("he", "packed", "mlp", {}), x, own.plain(x)[0], 1, len(x))
    named = SimpleNamespace(name="c")
    said = []
    bench = SimpleNamespace(corpus=named, split=named, seed=0, say=said.append)
    row = shown_logits._asked(experiment, bench, np.arange(11))
    assert (row.n_queries, row.agreement, row.accuracy_loss) == (11, 1.0, 0.0)
    assert 0 < row.metrics["median_error"] <= row.max_abs_error <= MAX_SHOWN_ERROR
    assert len(said) == 1
