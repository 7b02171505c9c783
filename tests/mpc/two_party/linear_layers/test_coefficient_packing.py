"""Packed polynomials multiply to the layer's output, whatever the layer, the batch and the degree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.mpc.errors import PlanError
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.layers import Convolution, Linear
from sotto.mpc.graph.program import Product
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.sharing import ring
from sotto.mpc.two_party.linear_layers.coefficient_packing import Packing
from tests.error_codes import raises_code


def multiplied(left, right):
    """The product modulo x^N + 1 and 2^64."""
    degree = len(left)
    out = np.zeros(2 * degree, np.uint64)
    for place in np.flatnonzero(right):
        out[place : place + degree] += left * right[place]
    return out[:degree] - out[degree:]


def through_polynomials(step, weight, x, degree):
    packing = Packing(step, len(x), degree)
    inputs = packing.input_polynomials(x)
    assert inputs.shape == (packing.pieces, packing.input_groups, degree)
    results = []
    for piece in inputs:
        groups = []
        for group in range(packing.output_groups):
            total = sum(
                multiplied(poly, packing.weight_polynomial(weight, i, group)) for i, poly in enumerate(piece)
            )  # fmt: skip
            groups.append(total[packing.result_places(group)])
        results.append(groups)
    return packing.assemble(results)


def words(rng, *shape):
    return rng.integers(0, 2**64, shape, np.uint64)


def check(step, weight_shape, examples, degree, seed=0):
    rng = np.random.default_rng(seed)
    weight, x = words(rng, *weight_shape), words(rng, examples, *step.input_shape)
    assert (through_polynomials(step, weight, x, degree) == ring.product(step.layer, weight, x)).all()


def product(layer, input_shape):
    return Product("layer", (0,), 1, layer.output([input_shape]), layer, 0, 16, 1, input_shape)


@st.composite
def convolutions(draw):
    axes = draw(st.sampled_from([1, 2, 3]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    some = st.tuples(*[st.integers(1, 3)] * axes)
    kernel, stride, dilation = draw(some), draw(some), draw(some)
    padding = draw(st.tuples(*[st.integers(0, 3)] * axes))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = tuple(
        draw(st.integers(max(1, span - 2 * p), 14 if axes < 3 else 8)) for span, p in zip(spans, padding, strict=True)
    )
    channels, outputs = (groups * draw(st.integers(1, 4)) for _ in range(2))
    layer = Convolution(0, channels, outputs, kernel, stride, padding, dilation, groups, False)
    return product(layer, (channels, *sides))


@settings(deadline=None, max_examples=60)
@given(convolutions(), st.integers(1, 5), st.sampled_from([64, 128, 512]), st.integers(0, 2**32))
def test_convolutions(step, examples, degree, seed):
    layer = step.layer
    check(step, (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel), examples, degree, seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 20), st.lists(st.integers(1, 4), max_size=2), st.integers(1, 4))
def test_linear_layers_and_matrix_products(inputs, outputs, rows, examples):
    check(product(Linear(0, inputs, outputs, False), (*rows, inputs)), (outputs, inputs), examples, 128)


@pytest.mark.parametrize("places", [3, 100, 700])
def test_a_batch_norm_alone(places):
    torch.manual_seed(3)
    module = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * places, 2)).eval()
    plan, weights = trace(module, (5, places), input_limit=4.0)
    step = compile_program(plan, value_ranges(plan, weights), "logits").products[0]
    check(step, (5,), 2, 256)


def test_no_more_polynomials_than_the_best_split_takes():
    """Frames' second convolution: 64 x 64 x 98 places times weights are 49 full products; 4 + 13 hold it."""
    packing = Packing(product(Convolution(0, 64, 64, (5,), (2,), (2,), (1,), 1, False), (64, 94)), 1, 8192)
    assert (packing.inputs, packing.results) == (4, 13)


def test_small_examples_share_polynomials():
    step = product(Convolution(0, 1, 64, (5,), (1,), (2,), (1,), 1, False), (1, 40))
    assert Packing(step, 1, 8192).inputs == Packing(step, 16, 8192).inputs == 1


def test_a_kernel_larger_than_a_polynomial_is_refused_by_name():
    layer = Convolution(0, 1, 1, (40, 40), (1, 1), (0, 0), (1, 1), 1, False)
    with raises_code(PlanError, "kernel-too-large", match="layer: the kernel covers more than 1024 places"):
        Packing(product(layer, (1, 64, 64)), 1, 1024)
