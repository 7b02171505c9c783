"""Every operator: right within its bound in whole numbers, inside its ranges, the same in both private modes."""

from functools import cache

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from operator_networks import APPROXIMATE, EXACT, LIMIT, build, features
from word_ranges import require_words_inside

from sotto.mpc.lowering.capture import trace
from sotto.mpc.protocols.scores import scores_of
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from sotto.mpc.sharing import ring

ULP = 2.0**-16
NAMES = [*EXACT, *APPROXIMATE]
VALUES = 10_000


@cache
def model(name):
    module, shape = build(name)
    plan, weights = trace(module, shape, input_limit=LIMIT)
    return module, shape, FixedPointModel(plan, weights, "logits"), weights


@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_values_are_within_the_bound_of_float64(name):
    module, shape, fixed, _ = model(name)
    x = features(shape, 5 + VALUES // int(np.prod(shape)))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
        module.float()
    allowed = APPROXIMATE[name][2] if name in APPROXIMATE else 1e-3
    error = np.abs(fixed.answer(x).scores - expected)
    if "norm" in name and name != "norm":  # next to a variance of zero a norm magnifies whatever is left of its input
        error = error[np.arange(len(x)) % 5 != 2]
    assert error.max() <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_every_wire_stays_inside_its_word(name):
    module, shape = build(name)
    assert require_words_inside(module, shape, LIMIT, 5, "logits")


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
@pytest.mark.parametrize("name", NAMES)
def test_both_modes_give_what_the_model_in_whole_numbers_gives(name, mode):
    _, shape, fixed, weights = model(name)
    x = features(shape, 6, seed=2)
    execute = {"semi-honest": masked_parties.execute, "malicious": malicious_parties.execute}[mode]
    scores = scores_of(fixed.program, execute(fixed.program, ring.encode(x), weights))
    slack = APPROXIMATE[name][2] if name in APPROXIMATE else 24 * ULP
    assert np.abs(scores - fixed.answer(x).scores).max() <= slack
