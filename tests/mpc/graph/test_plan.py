"""Plans: shapes agree with PyTorch's, and nothing a peer writes gets past the checks."""

import msgspec
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sotto.link import FrameError, decode, encode
from sotto.mpc.errors import PlanError
from sotto.mpc.graph.layers import (
    MAX_ELEMENTS,
    AdaptiveAveragePool,
    Add,
    AveragePool,
    ChannelAffine,
    Concat,
    Convolution,
    Linear,
    MaxPool,
    Mean,
    ReLU,
    Reshape,
)
from sotto.mpc.graph.plan import MAX_LAYERS, MAX_WEIGHTS, ModelPlan
from tests.error_codes import raises_code

small = st.integers(1, 4)


def plan(*layers, shape=(2, 6), limit=8.0):
    return ModelPlan(shape, limit, layers)


@given(st.integers(1, 2), small, small, st.integers(1, 3), st.data())
def test_a_convolutions_shape_is_pytorchs(axes, inputs, outputs, groups, data):
    def each(low, high):
        return tuple(data.draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes)))

    inputs, outputs = inputs * groups, outputs * groups
    kernel, stride, padding, dilation = each(1, 4), each(1, 3), each(0, 3), each(1, 3)
    lengths = each(1, 12)
    layer = Convolution(0, inputs, outputs, kernel, stride, padding, dilation, groups, True)
    convolve = F.conv1d if axes == 1 else F.conv2d
    try:
        with torch.no_grad():
            weight = torch.zeros(layer.parameters["weight"])
            expected = convolve(torch.zeros(2, inputs, *lengths), weight, None, stride, padding, dilation, groups)
    except RuntimeError:
        with pytest.raises(PlanError):
            plan(layer, Reshape(1, (1,)), shape=(inputs, *lengths)).shapes()
        return
    assert layer.output([(inputs, *lengths)]) == tuple(expected.shape[1:])


GOOD = (
    Convolution(0, 2, 4, (3,), (1,), (1,), (1,), 1, True),
    ReLU(1),
    ChannelAffine(2, 4),
    Add(3, 1),
    AveragePool(4, (2,), (2,), (0,)),
    MaxPool(4, (2,), (2,), (0,)),
    Concat(5, (6,), 0),
    AdaptiveAveragePool(7, (2,)),
    Mean(8, (1,), True),
    Reshape(9, (8,)),
    Linear(10, 8, 3, False),
)


def test_a_plan_survives_the_wire_and_knows_every_shape():
    sent = plan(*GOOD)
    received = decode(encode(sent), ModelPlan)
    assert received == sent
    assert received.classes == 3
    assert received.shapes() == (
        (2, 6), (4, 6), (4, 6), (4, 6), (4, 6), (4, 3), (4, 3), (8, 3), (8, 2), (8, 1), (8,), (3,),
    )  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        plan(),
        plan(ReLU(0)),  # no vector at the end
        plan(ReLU(1), Reshape(1, (12,))),  # uses itself
        plan(ReLU(-1), Reshape(1, (12,))),
        plan(Reshape(0, (13,))),
        plan(Reshape(0, (-12,))),
        plan(Reshape(0, (12,)), Linear(1, 12, MAX_ELEMENTS, False)),
        plan(Reshape(0, (12,)), Linear(1, 12, 0, False)),
        plan(Reshape(0, (12,)), Linear(1, 12, -1, False)),
        plan(Reshape(0, (12,)), limit=0.0),
        plan(Reshape(0, (12,)), limit=float("nan")),
        plan(Reshape(0, (12,)), limit=float("inf")),
        plan(Reshape(0, ()), shape=()),
        plan(Reshape(0, (1 << 40,)), shape=(1 << 40,)),
        plan(Reshape(0, (0,)), shape=(0,)),
        plan(Convolution(0, 2, 4, (3,), (0,), (1,), (1,), 1, True), Reshape(1, (24,))),
        plan(Convolution(0, 2, 4, (3,), (1,), (-1,), (1,), 1, True), Reshape(1, (16,))),
        plan(Convolution(0, 2, 4, (3,), (1,), (1,), (1,), 0, True), Reshape(1, (24,))),
        plan(Convolution(0, 2, 4, (3,), (1,), (1 << 60,), (1,), 1, True), Reshape(1, (24,))),
        plan(Convolution(0, 2, 4, (), (), (), (), 1, True), Reshape(1, (24,))),
        plan(Convolution(0, 3, 4, (3,), (1,), (1,), (1,), 1, True), Reshape(1, (24,))),
        plan(MaxPool(0, (3,), (1,), (1,)), Reshape(1, (12,))),
        plan(AveragePool(0, (2,), (2,), (2,)), Reshape(1, (10,))),
        plan(AdaptiveAveragePool(0, (7,)), Reshape(1, (14,))),
        plan(Mean(0, (2,), False)),
        plan(Mean(0, (0, 0), False)),
        plan(Mean(0, (), False), Reshape(1, (12,))),
        plan(Concat(0, (0,), 2), Reshape(1, (24,))),
        plan(Mean(0, (0,), False), Reshape(1, (6,)), Concat(0, (1,), 1)),
        plan(Mean(0, (1,), True), Add(0, 1), Reshape(2, (12,))),
        plan(*[ReLU(0)] * MAX_LAYERS, Reshape(0, (12,))),
    ],
)
def test_a_plan_that_does_not_hold_is_refused(bad):
    with pytest.raises(PlanError) as refused:
        bad.shapes()
    assert "\n" not in str(refused.value)


def test_windows_that_spread_too_far_are_refused():
    wide = plan(MaxPool(0, (1 << 14,), (1,), (0,)), Reshape(1, (1 << 14,)), shape=(1, (1 << 15) - 1))
    with raises_code(PlanError, "bad-layer", match="windows"):
        wide.shapes()


def test_all_weights_together_are_limited():
    layers = [Reshape(0, (4096,))] + [Linear(n, 4096, 4096, False) for n in range(1, 2 + MAX_WEIGHTS // 4096**2)]
    with raises_code(PlanError, "bad-layer", match="weights"):
        plan(*layers, shape=(4096,)).shapes()


def test_a_batch_is_limited_by_its_largest_layer():
    ours = plan(Reshape(0, (12,)), Linear(1, 12, 1 << 16, False))
    ours.require_batch(1)
    ours.require_batch(1024)
    for examples in (0, -1, 1025):
        with raises_code(PlanError, "bad-plan", match="1 to 1024 examples"):
            ours.require_batch(examples)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_damaged_plan_is_refused_in_one_line(noise, place):
    payload = bytearray(encode(plan(*GOOD)))
    payload[place : place + len(noise)] = noise
    refused = ""
    try:
        decode(payload, ModelPlan).shapes()
    except (FrameError, PlanError) as error:
        refused = str(error)
    assert "\n" not in refused


def test_unknown_layers_and_fields_are_refused():
    for layer in ({"type": "Softmax", "source": 0}, {"type": "ReLU", "source": 0, "weight": 1}):
        payload = msgspec.msgpack.encode({"input_shape": [1], "input_limit": 1.0, "layers": [layer]})
        with pytest.raises(FrameError):
            decode(payload, ModelPlan)
