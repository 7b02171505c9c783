"""The network in whole numbers: close to floating point, exact where it can be, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import INPUT_SHAPES, build
from torch import nn

from sotto.models.learning.training import predict
from sotto.mpc import InputRefused, ModelRefused
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel

ULP = 2.0**-16


@pytest.mark.parametrize("name", INPUT_SHAPES)
def test_logits_are_those_of_the_float_network_up_to_rounding(name):
    module, shape = build(name), INPUT_SHAPES[name]
    features = np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)
    answer = FixedPointModel.of(module, shape, reveal="logits").answer(features)
    plain = predict(module, features)
    assert np.abs(answer.scores - plain).max() < 64 * ULP * max(1.0, np.abs(plain).max())
    assert np.array_equal(answer.labels, answer.scores.argmax(axis=1))


@pytest.mark.parametrize("name", INPUT_SHAPES)
def test_the_class_is_that_of_the_logits(name):
    module, shape = build(name), INPUT_SHAPES[name]
    features = np.random.default_rng(2).normal(size=(20, *shape)).astype(np.float32)
    by_class = FixedPointModel.of(module, shape).answer(features)
    by_logits = FixedPointModel.of(module, shape, reveal="logits").answer(features)
    assert by_class.scores is None
    assert np.array_equal(by_class.labels, by_logits.labels)


def _identity(size):
    layer = nn.Linear(size, size)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(size))
        layer.bias.zero_()
    return layer


@given(st.lists(st.integers(-(2**22), 2**22), min_size=4, max_size=4))
def test_whole_units_pass_through_without_an_error(units):
    module = nn.Sequential(_identity(4), nn.ReLU(), _identity(4)).eval()
    features = (np.array([units]) * ULP).astype(np.float32)
    answer = FixedPointModel.of(module, (4,), reveal="logits").answer(features)
    assert (answer.scores / ULP).tolist() == [[max(0, unit) for unit in units]]


@given(st.lists(st.integers(-(2**22), 2**22), min_size=2, max_size=9))
def test_the_first_of_the_largest_wins(units):
    module = _identity(len(units)).eval()
    features = (np.array([units]) * ULP).astype(np.float32)
    assert FixedPointModel.of(module, (len(units),)).answer(features).labels[0] == int(np.argmax(units))


@given(st.integers(-(2**22), 2**22))
def test_a_cut_rounds_down(unit):
    scale = nn.Linear(1, 1)
    with torch.no_grad():
        scale.weight.fill_(ULP)
        scale.bias.zero_()
    features = np.array([[unit * ULP]], np.float32)
    answer = FixedPointModel.of(scale.eval(), (1,), reveal="logits").answer(features)
    assert answer.scores[0, 0] / ULP == unit >> 16


def test_parts_of_a_large_query_do_not_show():
    module = build("frames")
    model = FixedPointModel.of(module, (40, 188))
    features = np.random.default_rng(3).normal(size=(model.program.part + 3, 40, 188)).astype(np.float32)
    whole = model.answer(features).labels
    assert np.array_equal(whole, np.concatenate([model.answer(part[None]).labels for part in features]))


def test_it_takes_and_refuses_what_the_parties_do():
    model = FixedPointModel.of(build("depinto"), (40,), input_limit=4.0)
    with pytest.raises(InputRefused):
        model.answer(np.full((1, 41), 4.0, np.float32))
    beyond, at = (model.answer(np.full((1, 40), value, np.float32)) for value in (5.0, 4.0))
    assert beyond.labels.tolist() == at.labels.tolist()
    assert (len(beyond.warnings), at.warnings) == (1, ())
    huge = nn.Linear(2, 2)
    with torch.no_grad():
        huge.weight.fill_(1e9)
    with pytest.raises(ModelRefused):
        FixedPointModel.of(huge.eval(), (2,))
