"""Words with carries, layers of every kind, and their products by Python's integers."""

import itertools

import numpy as np
from hypothesis import strategies as st
from malicious_parties import MASK

from sotto.mpc.graph.layers import ChannelAffine, Convolution, Linear

EDGES = np.array([0, 1, 2, (1 << 63) - 1, 1 << 63, MASK - 1, MASK], np.uint64)


def words(seed, *shape):
    """Uniform words, two in five of them at an edge, where carries are."""
    rng = np.random.default_rng(seed)
    uniform = rng.integers(0, MASK, shape, np.uint64, endpoint=True)
    return np.where(rng.random(shape) < 0.4, rng.choice(EDGES, shape), uniform)


def convolved(layer, weight, x):
    """The convolution of whole numbers, loop by loop: weight (O, C/groups, *kernel), x (n, C, *lengths)."""
    axes = range(len(layer.kernel))
    out = np.zeros((len(x), *layer.output([x.shape[1:]])), object)
    inner, outer = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for n, o, *place in itertools.product(*map(range, out.shape)):
        for c, *tap in itertools.product(range(inner), *map(range, layer.kernel)):
            at = [place[a] * layer.stride[a] + tap[a] * layer.dilation[a] - layer.padding[a] for a in axes]
            if all(0 <= at[a] < x.shape[2 + a] for a in axes):
                out[n, o, *place] += weight[o, c, *tap] * x[n, o // outer * inner + c, *at]
    return out


def product(layer, weight, x):
    """``layer`` of whole numbers, without bias."""
    if isinstance(layer, Convolution):
        return convolved(layer, weight, x)
    if isinstance(layer, Linear):
        return x @ weight.T
    return x * weight.reshape(1, -1, *(1,) * (x.ndim - 2))


@st.composite
def convolutions(draw):
    axes = draw(st.integers(1, 2))

    def each(low, high):
        return tuple(draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes)))

    groups = draw(st.integers(1, 3))
    kernel, dilation, padding = each(1, 3), each(1, 2), each(0, 2)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    lengths = tuple(draw(st.integers(max(1, s - 2 * p), 6)) for s, p in zip(spans, padding, strict=True))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    return Convolution(0, inputs, outputs, kernel, each(1, 3), padding, dilation, groups, False), (inputs, *lengths)


@st.composite
def linears(draw):
    layer = Linear(0, draw(st.integers(1, 5)), draw(st.integers(1, 4)), False)
    return layer, (*draw(st.lists(st.integers(1, 3), max_size=2)), layer.inputs)


@st.composite
def affines(draw):
    layer = ChannelAffine(0, draw(st.integers(1, 4)))
    return layer, (layer.channels, *draw(st.lists(st.integers(1, 4), max_size=2)))
