"""The gate, from the dealer to both parties, against plain integers: every width, the edges, ties."""

import masked_parties as parties
import numpy as np
import pytest
from gate_values import SAMPLES, edges, one_gate, range_of, require_relu, require_truncation, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadType
from sotto.mpc.fss import comparison_gate
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.layers import MaxPool, Reshape
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.program import Compare, Truncate
from tests.error_codes import raises_code

FAST = [(2, 0), (2, 1), (9, 0), (9, 8), (20, 16), (33, 1), (41, 16), (48, 32), (62, 0), (62, 16), (62, 60)]


def through(gate, values, width, cut):
    """What the gate makes of signed ``values``, both signed int64."""
    program = one_gate(gate, len(values), width, cut)
    return parties.execute(program, values.view(np.uint64)[None])[0].view(np.int64)


@pytest.mark.parametrize(("width", "cut"), FAST)
def test_ten_thousand_values_are_compared_without_a_large_error(width, cut):
    values = samples(width, cut)
    require_relu(values, through(Compare, values, width, cut), cut)


@pytest.mark.parametrize(("width", "cut"), [(41, 16), (62, 1), (62, 46)])
def test_ten_thousand_values_are_truncated_without_a_large_error(width, cut):
    values = samples(width, cut)
    require_truncation(values, through(Truncate, values, width, cut), cut)


@pytest.mark.slow
@pytest.mark.parametrize("width", range(2, 63))
def test_ten_thousand_values_of_every_width(width):
    for cut in sorted({0, 1, 16, width // 2, width - 2} & set(range(width - 1))):
        values = samples(width, cut, seed=width)
        require_relu(values, through(Compare, values, width, cut), cut)
        if cut:
            require_truncation(values, through(Truncate, values, width, cut), cut)


@pytest.mark.parametrize("width", range(2, 63))
def test_the_edges_of_every_width(width):
    for cut in sorted({0, min(16, width - 1)}):
        values = np.repeat(edges(width, cut), 16)  # each meets sixteen masks
        require_relu(values, through(Compare, values, width, cut), cut)
    values = np.repeat(edges(width, 1), 16)
    require_truncation(values, through(Truncate, values, width, 1), 1)


def test_a_value_that_rounds_up_beyond_the_width_is_the_first_that_fails():
    """The bound in the gate's description is sharp, so the ranges must leave one unit above every value."""
    values = np.full(400, (1 << 19) - (1 << 7), np.int64)  # half of them round up to 2^11 units
    result = through(Compare, values, 20, 8)
    assert set(np.unique(result)) == {0, (1 << 11) - 1}
    values = np.full(400, (1 << 19) - (1 << 8), np.int64)
    assert (through(Compare, values, 20, 8) == (1 << 11) - 1).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 62), st.data())
def test_any_values_of_any_width_and_cut(width, data):
    cut = data.draw(st.integers(0, width - 1))
    low, high = range_of(width, cut)
    drawn = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=30))
    values = np.array(drawn, np.int64)
    require_relu(values, through(Compare, values, width, cut), cut)
    if cut:
        require_truncation(values, through(Truncate, values, width, cut), cut)


def answers(layer, words, ranges, reveal):
    """The opened output of a one-layer network for ``words`` (n, *shape), and its program."""
    shape = words.shape[1:]
    program = compile_program(ModelPlan(shape, 1.0, (layer,)), ranges, reveal)
    return parties.execute(program, words), program


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 16, 17, 100])
def test_argmax_is_exact_and_gives_ties_to_the_first_index(classes):
    count = max(40, min(2_000, SAMPLES // classes))
    rng = np.random.default_rng(classes)
    values = rng.integers(-(1 << 30), 1 << 30, (count, classes), np.int64, endpoint=True)
    values[: count // 2] = rng.integers(-1, 2, (count // 2, classes))  # ties everywhere, differences of one unit
    values[0] = 7
    values[1] = [(-1) ** i * ((1 << 30) - 1) for i in range(classes)]
    words = values.view(np.uint64)
    output, program = answers(Reshape(0, (classes,)), words, (14, 14), "class")
    if program.winner:
        assert (output[:, 0].astype(np.int64) == values.argmax(axis=1)).all()
        return
    index = classes - 1 - (output[:, 0] >> np.uint64(64 - program.index_bits)).astype(np.int64)
    assert (index == values.argmax(axis=1)).all()
    assert (output << np.uint64(program.index_bits) == 0).all()  # and nothing but the index was opened


@pytest.mark.parametrize(("kernel", "stride"), [((2,), (2,)), ((3,), (1,)), ((5,), (3,))])
def test_max_pooling_is_exact(kernel, stride):
    rng = np.random.default_rng(2)
    values = rng.integers(-(1 << 40), 1 << 40, (60, 3, 11), np.int64, endpoint=True)
    values[:20] = rng.integers(-1, 2, (20, 3, 11))
    pool = MaxPool(0, kernel, stride, (0,))
    plan = ModelPlan((3, 11), 1.0, (pool, Reshape(1, (3 * pool.output([(3, 11)])[1],))))
    result = parties.execute(compile_program(plan, (24, 24, 24), "logits"), values.view(np.uint64)).view(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(values, kernel[0], axis=2)[:, :, :: stride[0]]
    assert (result == windows.max(axis=3).reshape(60, -1)).all()


def test_max_pooling_over_two_axes_is_exact():
    values = np.random.default_rng(3).integers(-9, 10, (40, 2, 6, 5), np.int64)
    pool = MaxPool(0, (3, 2), (2, 1), (0, 0))
    plan = ModelPlan((2, 6, 5), 1.0, (pool, Reshape(1, (16,))))
    result = parties.execute(compile_program(plan, (24, 24, 24), "logits"), values.view(np.uint64)).view(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 2), axis=(2, 3))[:, :, ::2]
    assert (result == windows.max(axis=(4, 5)).reshape(40, -1)).all()


def test_the_dealers_words_need_the_bits_of_a_comparison():
    step = Compare("relu", (0,), 1, (4,), 20, 8)
    with raises_code(BadType, "no-bits"):
        comparison_gate.correlated(step, np.zeros(4, np.uint64))


@pytest.mark.parametrize(("width", "cut"), [(20, 0), (20, 8), (62, 16)])
def test_the_dealers_words_are_what_the_gate_multiplies(width, cut):
    step = Compare("relu", (0,), 1, (500,), width, cut)
    rng = np.random.default_rng(4)
    r = rng.integers(0, 1 << 64, 500, np.uint64)
    e = rng.integers(0, 2, 500, np.uint8)
    rows = comparison_gate.correlated(step, r, e)
    assert len(rows) == comparison_gate.rows(step)
    d = rows[0]
    assert (d == (e ^ 1 ^ (r >> np.uint64(width - 1)).astype(np.uint8) & 1)).all()
    if cut == 0:
        assert (rows[1] == np.where(d == 1, r, 0)).all()
        return
    assert (rows[2] == r // np.uint64(1 << cut)).all()
    assert (rows[3] == r // np.uint64(1 << 63)).all()
    assert (rows[1] == rows[2] * d).all()
    assert (rows[4] == rows[3] * d).all()
