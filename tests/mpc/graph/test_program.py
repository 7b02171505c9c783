"""Programs: the same for all parties, every wire inside its word, and the network's answers come out."""

import masked_networks as networks
import masked_parties as parties
import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from sotto import mpc
from sotto.link import decode, encode
from sotto.mpc.errors import PlanError
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.layers import Reshape
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.program import MAX_WIDTH, Compare, Program, Truncate, adaptive_windows
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code

NAMES = tuple(networks.NETWORKS)


def features(shape, n, limit=8.0, seed=0):
    """Normal ones, and the corners of what may be asked."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(size=(n, *shape)), -limit, limit).astype(np.float32)
    x[n // 2] = np.where(rng.integers(0, 2, shape) == 1, limit, -limit)
    return x


def private(name, n, reveal, limit=8.0):
    """Opened output words, the program, the plan and the weights of a network run between Alice and Bob."""
    module, shape = networks.build(name)
    plan, weights = trace(module, shape, input_limit=limit)
    program = compile_program(plan, value_ranges(plan, weights), reveal)
    x = features(shape, n, limit)
    return parties.execute(program, ring.encode(x), weights), program, plan, weights, x


@pytest.mark.parametrize("limit", [1.0, 8.0, 128.0])
@pytest.mark.parametrize("name", NAMES)
def test_private_logits_are_the_networks_within_a_few_units(name, limit):
    output, program, plan, weights, x = private(name, 4, "logits", limit)
    after = program.formats[program.output]
    expected, tolerance = parties.real_logits(plan, weights, x)
    assert (np.abs(ring.decode(output, after.fraction, after.divisor) - expected) <= tolerance).all()
    assert tolerance.max() < 0.02 * limit  # the bound above says something


@pytest.mark.parametrize("name", NAMES)
def test_the_private_class_is_the_fixed_point_models(name):
    output, program, plan, weights, x = private(name, 24, "class")
    expected, tolerance = parties.real_logits(plan, weights, x)
    clear = parties.in_clear(program, ring.encode(x), weights)[program.output][:, 0]
    if program.winner:
        index, clear_index = output[:, 0].astype(np.int64), clear.astype(np.int64)
    else:
        index = program.classes - 1 - (output[:, 0] >> np.uint64(64 - program.index_bits)).astype(np.int64)
        clear_index = program.classes - 1 - (clear & np.uint64((1 << program.index_bits) - 1)).astype(np.int64)
        assert (output << np.uint64(program.index_bits) == 0).all()  # nothing but the index was opened
    ranked = np.sort(expected, axis=1)
    sure = np.ones(len(x), bool) if program.classes == 1 else ranked[:, -1] - ranked[:, -2] > 2 * tolerance.max(axis=1)
    assert sure.sum() >= len(x) // 2
    assert (index[sure] == expected.argmax(axis=1)[sure]).all()
    assert (index[sure] == clear_index[sure]).all()


@pytest.mark.parametrize("name", ["mixed", "residual", "one class", "hundred classes", "two linears"])
@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_batches_of_every_size_through_the_public_doors(name, reveal):
    module, shape = networks.build(name)
    with parties.Trio(module, shape, reveal=reveal) as trio:
        for examples in (1, 2, 3, 4, 5):
            x = features(shape, examples, seed=examples)
            answer = trio.ask(x)
            with torch.no_grad():
                expected = module(torch.from_numpy(x)).numpy()
            assert answer.labels.shape == (examples,)
            assert (answer.labels == expected.argmax(axis=1)).all()
            assert (answer.scores is None) == (reveal == "class")
            if reveal == "logits":
                assert np.abs(answer.scores - expected).max() < 5e-3
        assert trio.close() == {"bob": None, "dealer": None}


def test_a_batch_larger_than_a_part_is_answered_in_parts(monkeypatch):
    monkeypatch.setattr("sotto.mpc.graph.program._ELEMENTS_BITS", 5)
    module, shape = networks.build("residual")
    with parties.Trio(module, shape) as trio:
        x = features(shape, 13)
        seen = parties.observed(trio.links["alice", "dealer"])
        answer = trio.ask(x)
    with torch.no_grad():
        assert (answer.labels == module(torch.from_numpy(x)).numpy().argmax(axis=1)).all()
    asked = [msgspec.msgpack.decode(payload)["examples"] for way, name, payload in seen if name == "dealer.request"]
    assert sum(asked) == 13
    assert len(asked) == 3  # five examples of six elements fit into 32


def test_parts_cover_a_query():
    program, _ = parties.compiled(*networks.build("residual"))
    assert isinstance(program, Program)
    for examples in (1, program.part - 1, program.part, program.part + 1, 3 * program.part):
        parts = program.parts(examples)
        assert sum(parts) == examples
        assert all(0 < part <= program.part for part in parts)


@pytest.mark.parametrize("reveal", ["class", "logits"])
@pytest.mark.parametrize("name", NAMES)
def test_all_parties_make_the_same_program(name, reveal):
    module, shape = networks.build(name)
    plan, weights = trace(module, shape, input_limit=8.0)
    ranges = value_ranges(plan, weights)
    first = compile_program(plan, ranges, reveal)
    sent = decode(encode(plan), ModelPlan)  # what Alice and the dealer have
    second = compile_program(sent, tuple(ranges), reveal)
    assert first == second
    assert [step.out for step in first.steps] == list(range(1, len(first.formats)))
    assert all(source < step.out for step in first.steps for source in step.sources)
    assert all(step.width <= MAX_WIDTH for step in first.compares)
    assert len({step.name for step in first.steps if isinstance(step, Compare | Truncate)}) == sum(
        isinstance(step, Compare | Truncate) for step in first.steps
    )  # a message's name says which gate it belongs to


def test_an_argmax_opens_the_index_alone_and_logits_lose_their_extra_bits():
    program, _ = parties.compiled(*networks.build("two classes"), reveal="class")
    assert program.index_bits is None
    assert program.winner.classes == 2
    program, _ = parties.compiled(*networks.build("hundred classes"), reveal="class")
    assert program.index_bits == 7
    for name in NAMES:
        program, _ = parties.compiled(*networks.build(name), reveal="logits")
        assert program.index_bits is None
        assert program.formats[program.output].fraction == 16


def test_fraction_bits_are_cut_early_where_words_would_grow_too_wide():
    module, shape = networks.build("four linears")
    narrow, _ = parties.compiled(module, shape, limit=1.0)
    wide, _ = parties.compiled(module, shape, limit=128.0)
    cuts = [sum(isinstance(step, Truncate) for step in program.steps) for program in (narrow, wide)]
    assert 1 <= cuts[0] <= cuts[1]


def test_a_network_whose_values_fit_no_word_is_refused():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        for part in module:
            part.weight.fill_(2.0**16)
    plan, weights = trace(module, (2,), input_limit=8.0)
    with raises_code(PlanError, "out-of-range"):
        compile_program(plan, value_ranges(plan, weights), "class")
    with raises_code(mpc.ModelRefused, "out-of-range"):  # when he starts
        mpc.Bob(module, parties.pair()[0], input_shape=(2,), mode=parties.MODE, input_limit=0.05)


def test_ranges_of_another_plan_are_refused():
    plan = ModelPlan((4,), 8.0, (Reshape(0, (4,)),))
    compile_program(plan, (4, 4), "class")
    for bad in ((4,), (4, 4, 4), (), (4, 47), (-17, 4), (2, 4)):
        with pytest.raises(PlanError):
            compile_program(plan, bad, "class")


@pytest.mark.parametrize(("length", "size"), [(7, 3), (5, 5), (9, 2), (4, 3), (1, 1)])
def test_adaptive_windows_are_pytorchs(length, size):
    x = torch.randn(1, 1, length, dtype=torch.float64)
    expected = nn.AdaptiveAvgPool1d(size)(x)[0, 0]
    means = [float(x[0, 0, start:stop].mean()) for start, stop in adaptive_windows(length, size)]
    assert means == pytest.approx(expected.tolist())


class _Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class _Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x, dim=1).values


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Sequential(nn.Linear(4, 4), _Sorted(), nn.Linear(4, 2)), "sort"),
        (nn.Sequential(nn.Linear(4, 4), _Sine(), nn.Linear(4, 2)), "sin"),
        (nn.Sequential(nn.Unflatten(1, (4, 1)), nn.LocalResponseNorm(2), nn.Flatten()), "LocalResponseNorm"),
    ],
)
def test_what_has_no_gate_is_refused_by_name_before_a_link_is_used(module, named):
    ours, theirs = parties.pair()
    seen = parties.observed(theirs)
    with raises_code(mpc.ModelRefused, "not-supported", match=named):
        mpc.Bob(module, ours, input_shape=(4,), mode=parties.MODE)
    assert ours.traffic.messages_sent == 0
    assert seen == []


def test_features_that_do_not_fit_are_refused_before_anything_is_sent_and_values_out_of_range_are_clipped():
    module, shape = networks.build("two classes")
    with parties.Trio(module, shape, limit=2.0) as trio:
        x = np.full((1, *shape), 2.0, np.float32)
        trio.ask(x)
        before = trio.link.traffic.snapshot(), trio.links["alice", "dealer"].traffic.snapshot()
        for bad in (x[:, :-1], x[:0], x[0], "speech"):
            with pytest.raises(mpc.InputRefused):
                trio.ask(bad)
        assert before == (trio.link.traffic, trio.links["alice", "dealer"].traffic)
        for odd, taken in ((x * 1.001, x), (-x * np.inf, -x), (x * np.nan, x * 0)):
            answer = trio.ask(odd)
            assert len(answer.warnings) == 1
            assert answer.labels.tolist() == trio.ask(taken).labels.tolist()
        trio.ask(x)  # and the session goes on


@pytest.mark.parametrize(
    ("name", "reveal", "masking"),
    [
        ("planar", "logits", ["conv1", "linear1"]),  # the logits are cut
        ("two linears", "logits", ["linear2"]),  # the first one is read by a product
        ("two linears", "class", []),
        ("bare", "class", []),  # read by a sum
        ("shared", "class", ["conv2"]),  # the first one is read by a gate, a product and a mean
        ("mixed", "class", ["conv1"]),
    ],
)
def test_a_product_masks_the_gate_that_alone_reads_it(name, reveal, masking):
    module, shape = networks.build(name)
    plan, weights = trace(module, shape, input_limit=8.0)
    program = compile_program(plan, value_ranges(plan, weights), reveal)
    assert [step.name for step in program.products if step.out in program.masking] == masking
    readers = [step for step in program.steps if set(step.sources) & program.masking]
    assert len(readers) == len(masking)
    assert all(step.cut > 0 for step in readers)
