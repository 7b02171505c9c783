"""Words modulo 2^64 against Python's integers, NumPy's objects and PyTorch."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadType
from sotto.mpc.graph.layers import ChannelAffine, Convolution, Linear, ReLU
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code

MODULUS = 1 << 64
word = st.integers(0, MODULUS - 1)
seeds = st.integers(0, 2**32 - 1)


def words(seed, *shape):
    return np.random.default_rng(seed).integers(0, MODULUS, shape, np.uint64)


def signed(array):
    return torch.tensor(array.view(np.int64))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.integers(0, 12), st.integers(0, 3), st.integers(0, 6), seeds)
def test_matrix_products_are_pythons(rows, inner, batch, columns, seed):
    left, right = words(seed, rows, inner), words(seed + 1, batch, inner, columns)
    expected = (left.astype(object) @ right.astype(object)) % MODULUS if inner else np.zeros((batch, rows, columns))
    result = ring.matmul(left, right)
    assert result.dtype == np.uint64
    assert result.shape == (batch, rows, columns)
    assert (result == expected.astype(np.uint64)).all()


@given(st.lists(word, min_size=1, max_size=20), st.data())
def test_a_product_of_any_words_wraps_like_the_integers(left, data):
    right = data.draw(st.lists(word, min_size=len(left), max_size=len(left)))
    result = ring.matmul(np.array([left], np.uint64), np.array(right, np.uint64).reshape(1, -1, 1))
    assert int(result[0, 0, 0]) == sum(a * b for a, b in zip(left, right, strict=True)) % MODULUS


def test_matrices_that_are_no_contiguous_blocks_are_multiplied_too():
    left, right = words(1, 7, 5).T, words(2, 4, 3, 7).transpose(2, 0, 1)[:, :, ::-1].transpose(1, 0, 2)
    assert (ring.matmul(left, right) == (left.astype(object) @ right.astype(object)) % MODULUS).all()
    left.flags.writeable = False
    assert ring.matmul(left, right).shape == (4, 5, 3)


@st.composite
def convolutions(draw):
    """A convolution and the lengths of an input that it fits."""
    axes = draw(st.integers(1, 2))

    def each(low, high):
        return tuple(draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes)))

    groups = draw(st.integers(1, 3))
    kernel, dilation, padding = each(1, 3), each(1, 3), each(0, 3)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    lengths = tuple(draw(st.integers(max(1, s - 2 * p), 9)) for s, p in zip(spans, padding, strict=True))
    inputs, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 5))
    return Convolution(0, inputs, outputs, kernel, each(1, 3), padding, dilation, groups, False), lengths


@settings(max_examples=80, deadline=None)
@given(convolutions(), st.integers(1, 3), seeds)
def test_convolutions_are_pytorchs(drawn, batch, seed):
    layer, lengths = drawn
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(2**20), 2**20, layer.parameters["weight"])
    x = rng.integers(-(2**20), 2**20, (batch, layer.in_channels, *lengths))
    convolve = F.conv1d if len(lengths) == 1 else F.conv2d
    expected = convolve(
        torch.tensor(x).double(), torch.tensor(weight).double(), None,
        layer.stride, layer.padding, layer.dilation, layer.groups,
    )  # fmt: skip
    result = ring.product(layer, weight.view(np.uint64), x.view(np.uint64))
    assert (signed(result).double() == expected).all()  # sums below 2^53: float64 is exact


@settings(max_examples=20, deadline=None)
@given(convolutions(), seeds)
def test_a_convolution_of_any_words_is_bilinear_modulo_2_to_the_64(drawn, seed):
    layer, lengths = drawn
    weight, other = words(seed, *layer.parameters["weight"]), words(seed + 1, *layer.parameters["weight"])
    x, y = words(seed + 2, 2, layer.in_channels, *lengths), words(seed + 3, 2, layer.in_channels, *lengths)

    def apply(a, b):
        return ring.product(layer, a, b)

    assert (
        apply(weight + other, x + y) == apply(weight, x) + apply(weight, y) + apply(other, x) + apply(other, y)
    ).all()


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_a_linear_layer_acts_on_the_last_of_any_axes(shape):
    weight, x = words(1, 6, 5), words(2, 3, *shape)
    expected = np.inner(x.astype(object), weight.astype(object)) % MODULUS
    assert (ring.product(Linear(0, 5, 6, False), weight, x) == expected).all()


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 2)])
def test_a_lone_batch_norm_scales_channels(shape):
    scale, x = words(1, 3), words(2, 2, *shape)
    expected = x.astype(object) * scale.astype(object).reshape(1, 3, *(1,) * (len(shape) - 1)) % MODULUS
    assert (ring.product(ChannelAffine(0, 3), scale, x) == expected).all()


def test_what_is_no_product_is_an_error():
    with raises_code(BadType, "not-a-product"):
        ring.product(ReLU(0), words(1, 1), words(2, 1))


@given(st.floats(-(2.0**30), 2.0**30), st.integers(0, 32), st.integers(1, 1000))
def test_decoding_gives_what_was_encoded_within_half_a_unit(value, fraction, divisor):
    encoded = ring.encode([value], fraction, divisor)
    assert encoded.dtype == np.uint64
    assert -(2**62) <= int(encoded.view(np.int64)[0]) <= 2**62
    # A word stands for the value divided once when encoded; decoding with the same divisor divides again.
    tolerance = 2.0 ** -(fraction + 1) + 2.0**-51 * abs(value)  # half a unit, and what float64 cannot tell apart
    assert abs(ring.decode(encoded, fraction)[0] - value / divisor) <= tolerance


@given(st.integers(-(2**52), 2**52), st.integers(0, 40), st.integers(1, 64))
def test_decoding_divides_words_as_signed_numbers(number, fraction, divisor):
    words = np.array([number], np.int64).view(np.uint64)
    assert ring.decode(words, fraction, divisor)[0] == pytest.approx(number / (2**fraction * divisor), rel=1e-15)


def test_the_edges_of_the_encoding():
    edges = [0.0, -0.0, 2.0**-16, -(2.0**-16), 2.0**-17, -(2.0**-17), 1.5 * 2.0**-16, 2.0**46, -(2.0**46)]
    encoded = [int(each) for each in ring.encode(edges).view(np.int64)]
    assert encoded == [0, 0, 1, -1, 0, 0, 2, 2**62, -(2**62)]  # half a unit goes to the even neighbour
    assert (ring.encode([-1.0]) + ring.encode([1.0]) == 0).all()
    assert int(ring.encode([-1.0])[0]) == MODULUS - 2**16


def test_biases_stand_in_the_channel_axis():
    own = {"bias": np.array([1.0, -2.0], np.float32)}
    convolution = ring.bias_of(Convolution(0, 1, 2, (1,), (1,), (0,), (1,), 1, True), own, 32, 3)
    assert convolution.shape == (1, 2, 1)
    assert ring.decode(convolution, 32).ravel().tolist() == [1.0, -2.0]
    assert ring.bias_of(Linear(0, 1, 2, True), own, 16, 2).shape == (2,)
    shift = {"scale": np.ones(2, np.float32), "shift": own["bias"]}
    assert ring.bias_of(ChannelAffine(0, 2), shift, 16, 4).shape == (1, 2, 1, 1)
    assert ring.bias_of(Linear(0, 1, 2, False), {"weight": np.ones((2, 1), np.float32)}, 16, 2) is None
    assert (ring.weight_of(shift, 16, 4) == 1 << 14).all()


@settings(max_examples=40, deadline=None)
@given(convolutions(), seeds)
def test_columns_are_pytorchs_patches(drawn, seed):
    layer, lengths = drawn
    x = np.random.default_rng(seed).integers(0, 2**20, (2, layer.in_channels, *lengths))
    flat = torch.tensor(x).double()
    kernel, dilation, padding, stride = layer.kernel, layer.dilation, layer.padding, layer.stride
    if len(lengths) == 1:  # unfold knows two axes only
        flat, kernel, dilation, padding, stride = (
            flat[:, :, None],
            (1, *kernel),
            (1, *dilation),
            (0, *padding),
            (1, *stride),
        )
    expected = F.unfold(flat, kernel, dilation, padding, stride)
    result = ring.columns(layer, x.view(np.uint64))
    taps = layer.in_channels // layer.groups * math.prod(layer.kernel)
    assert result.shape == (2, layer.groups, taps, expected.shape[-1])
    assert (torch.tensor(result.astype(np.float64)).reshape(expected.shape) == expected).all()
