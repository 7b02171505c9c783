"""Local steps: of shares, of their sum and of PyTorch's numbers they make the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadType
from sotto.mpc.graph import layers, linear_steps
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.program import Differences, Local, Ranked, Truncate, Windows, Winners, adaptive_divisor
from tests.error_codes import raises_code

seeds = st.integers(0, 2**32 - 1)


def numbers(seed, *shape):
    """Small signed numbers as words."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape).view(np.uint64)


def signed(words):
    return words.view(np.int64)


def step_of(layer, *inputs, factors=()):
    shape = layer.output([x.shape[1:] for x in inputs])
    return Local(type(layer).__name__.lower(), tuple(range(len(inputs))), len(inputs), shape, layer, factors)


LAYERS = [
    (layers.Reshape(0, (12,)), (3, 4), 1),
    (layers.Mean(0, (1,), False), (3, 4), 4),
    (layers.Mean(0, (0, 2), True), (3, 4, 2), 6),
    (layers.AveragePool(0, (3,), (2,), (1,)), (2, 7), 3),
    (layers.AveragePool(0, (2, 3), (1, 2), (1, 0)), (2, 5, 6), 6),
    (layers.AdaptiveAveragePool(0, (3,)), (2, 7), None),
    (layers.AdaptiveAveragePool(0, (2, 3)), (2, 5, 4), None),
]


@pytest.mark.parametrize(("layer", "shape", "divisor"), LAYERS)
def test_means_are_pytorchs_times_the_divisor(layer, shape, divisor):
    x = numbers(1, 3, *shape)
    if divisor is None:
        divisor = adaptive_divisor(layer, shape)
    expected = layer_output(layer, {}, [torch.tensor(signed(x)).double()]).numpy() * divisor
    assert np.abs(signed(linear_steps.apply(step_of(layer, x), [x])) - expected).max() < 1e-6


@given(st.integers(1, 12), st.data())
def test_the_adaptive_divisor_makes_every_window_whole(length, data):
    size = data.draw(st.integers(1, length))
    layer = layers.AdaptiveAveragePool(0, (size,))
    divisor = adaptive_divisor(layer, (1, length))
    x = numbers(length, 1, 1, length)
    means = layer_output(layer, {}, [torch.tensor(signed(x)).double()]).numpy()
    assert np.abs(signed(linear_steps.apply(step_of(layer, x), [x])) - means * divisor).max() < 1e-6
    assert divisor <= math.lcm(*range(1, length + 1))


def test_sums_and_concatenations_bring_their_values_to_one_format():
    x, y = numbers(1, 2, 3, 4), numbers(2, 2, 3, 4)
    added = linear_steps.apply(step_of(layers.Add(0, 1), x, y, factors=(1, 1 << 16)), [x, y])
    assert (signed(added) == signed(x) + (signed(y) << 16)).all()
    joined = linear_steps.apply(step_of(layers.Concat(0, (1,), 1), x, y, factors=(3, 1)), [x, y])
    assert (signed(joined) == np.concatenate([3 * signed(x), signed(y)], axis=2)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 11), st.integers(1, 3), seeds)
def test_a_tournaments_local_steps_lead_to_the_maximum(count, width, seed):
    """With max(difference, 0) computed in clear between them."""
    x = numbers(seed, 2, count, width)
    candidates = x
    while candidates.shape[1] > 1:
        pairs, left = candidates.shape[1] // 2, candidates.shape[1]
        differences = linear_steps.apply(Differences("pairs", (0,), 1, (pairs, width)), [candidates])
        larger = np.maximum(signed(differences), 0).view(np.uint64)
        candidates = linear_steps.apply(Winners("winners", (0, 2), 3, (left - pairs, width)), [candidates, larger])
    assert (signed(candidates)[:, 0] == signed(x).max(axis=1)).all()


def test_windows_hold_what_a_pooling_layer_sees():
    x = numbers(3, 2, 3, 6, 5)
    pool = layers.MaxPool(0, (2, 3), (2, 1), (0, 0))
    shape = pool.output([x.shape[1:]])
    windows = linear_steps.apply(Windows("windows", (0,), 1, (6, *shape), pool), [x])
    expected = layer_output(pool, {}, [torch.tensor(signed(x)).double()]).numpy()
    assert (signed(windows).max(axis=1) == expected).all()
    vector = numbers(4, 2, 7)
    assert (linear_steps.apply(Windows("windows", (0,), 1, (7, 1), None), [vector])[:, :, 0] == vector).all()


def test_ranks_make_equal_logits_different_and_keep_their_order():
    step = Ranked("rank", (0,), 1, (5,), 3)
    logits = np.array([[4, 4, -1, 4, -1]]).view(np.uint64)
    ranked = signed(linear_steps.apply(step, [logits]) + linear_steps.constant(step))
    assert len(set(ranked[0])) == 5
    assert np.argsort(-ranked[0]).tolist() == [0, 1, 3, 2, 4]
    assert (ranked[0] >> 3).tolist() == [4, 4, -1, 4, -1]
    assert linear_steps.constant(Windows("windows", (0,), 1, (5, 1), None)) is None


STEPS = [
    *((step_of(layer, np.empty((1, *shape))), [shape]) for layer, shape, _ in LAYERS),
    (step_of(layers.Add(0, 1), np.empty((1, 4)), np.empty((1, 4)), factors=(2, 8)), [(4,), (4,)]),
    (Windows("windows", (0,), 1, (2, 2, 3), layers.MaxPool(0, (2,), (2,), (0,))), [(2, 6)]),
    (Differences("pairs", (0,), 1, (2, 3)), [(5, 3)]),
    (Winners("winners", (0, 1), 2, (3, 3)), [(5, 3), (2, 3)]),
    (Ranked("rank", (0,), 1, (6,), 3), [(6,)]),
]


@pytest.mark.parametrize(("step", "shapes"), STEPS)
def test_steps_are_linear_so_each_party_does_them_alone(step, shapes):
    rng = np.random.default_rng(6)
    first = [rng.integers(0, 1 << 64, (2, *shape), np.uint64) for shape in shapes]
    second = [rng.integers(0, 1 << 64, (2, *shape), np.uint64) for shape in shapes]
    whole = linear_steps.apply(step, [a + b for a, b in zip(first, second, strict=True)])
    assert (linear_steps.apply(step, first) + linear_steps.apply(step, second) == whole).all()
    assert whole.shape == (2, *step.shape)


def test_what_is_no_local_step_is_an_error():
    x = numbers(1, 1, 4)
    with raises_code(BadType, "not-local"):
        linear_steps.apply(Truncate("truncate", (0,), 1, (4,), 16), [x])
    with raises_code(BadType, "not-local"):
        linear_steps.apply(step_of(layers.ReLU(0), x), [x])
