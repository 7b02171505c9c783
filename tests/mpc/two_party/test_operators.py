"""Curves, products of two secrets and all other operators without a dealer: what the model in whole numbers gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from operator_networks import APPROXIMATE, EXACT, LIMIT, build, features
from parties import run_both
from torch import nn

from sotto import mpc
from sotto.bench.model_zoo import KINDS
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

ULP = 2.0**-16
FAST = {"squares", "three axes", "polynomial", "broadcast products", "matrix products", "steps", "sigmoid", "gelu",
        "times a tensor", "sum with a tensor", "lstm", "degree 2"}  # fmt: skip
NAMES = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in {**EXACT, **APPROXIMATE}]


class Weighted(nn.Module):
    """A network with weights in front, so that there is something of Bob's to hide."""

    def __init__(self, inner, shape):
        super().__init__()
        self.inner = inner
        self.register_buffer("own", torch.full(shape, 1.5))

    def forward(self, x):
        return self.inner(x * self.own)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_dealer_the_answer_is_the_models(name):
    inner, shape = build(name)
    module, x = Weighted(inner, shape).eval(), features(shape, 4, seed=2)
    bob = mpc.Bob(module, None, input_shape=shape, mode="two-party", reveal="logits", input_limit=LIMIT)
    fixed = FixedPointModel.of(module, shape, input_limit=LIMIT, reveal="logits")
    answer, _ = run_both(lambda link: mpc.Alice(None, mode="two-party", reveal="logits").ask(x, link), bob.serve)
    slack = APPROXIMATE[name][2] if name in APPROXIMATE else 24 * ULP
    assert np.abs(answer.scores - fixed.answer(x).scores).max() <= slack


def test_a_norms_values_come_with_their_bound():
    """Next to constant inputs too, whose variance is below what 16 fraction bits tell from 0."""
    module = Weighted(nn.LayerNorm(8), (8,)).eval()
    x = features((8,), 6, seed=2)
    x[4:] = x[4:, :1] / 2 + x[4:] * 2.0**-12
    bob = mpc.Bob(module, None, input_shape=(8,), mode="two-party", reveal="values", input_limit=LIMIT)
    alice = mpc.Alice(None, mode="two-party", reveal="values")
    answer, _ = run_both(lambda link: alice.ask(x, link), bob.serve)
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    assert np.abs(answer.scores - expected).max() <= alice.error_bound <= 0.5
    assert bob.agreement.error_bound == alice.error_bound


def test_what_this_mode_has_no_protocol_for_is_refused_by_name():
    wide = Weighted(nn.Sequential(nn.Flatten(2)), (1, 1, 1))

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weighted = wide

        def forward(self, x):
            x = self.weighted(x).reshape(x.shape[0], 64, 64)
            return (x @ x).flatten(1)

    with raises_code(mpc.ModelRefused, "too-many-products"):
        mpc.Bob(Product().eval(), None, input_shape=(1, 64, 64), mode="two-party", input_limit=LIMIT)


@pytest.mark.slow
def test_which_kinds_of_networks_are_taken():
    """What the documentation counts."""
    assert len(KINDS) == 39
    for name, kind in KINDS.items():
        limit = 6.0 if name == "squares" else 8.0
        mpc.Bob(kind.build(), None, input_shape=kind.input_shape, mode="two-party", input_limit=limit)
