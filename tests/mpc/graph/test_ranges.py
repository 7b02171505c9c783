"""No input within the limit drives any wire of any network out of the range that its words are made for."""

import masked_networks as networks
import masked_parties as parties
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from word_ranges import require_words_inside

from sotto import mpc
from sotto.link import LinkError, decode, encode, pair
from sotto.mpc.graph.plan import MAX_LAYERS
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import RANGES_LIMIT, RangesMessage
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code


@st.composite
def drawn_networks(draw):
    """A small network with weights of any size, zeros and powers of two among them, and an input limit."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.integers(1, 5))
    parts, size = [], 4
    for _ in range(draw(st.integers(1, 4))):
        match draw(st.sampled_from(["linear", "linear", "relu", "norm", "largest", "mean"])):
            case "linear":
                parts, size = [*parts, nn.Linear(size, width)], width
            case "relu":
                parts.append(nn.ReLU())
            case "norm":
                parts.append(nn.BatchNorm1d(size))
            case "largest" if size > 1:
                parts, size = [*parts, nn.Unflatten(1, (1, size)), nn.MaxPool1d(2), nn.Flatten()], size // 2
            case "mean" if size > 2:
                parts, size = [*parts, nn.Unflatten(1, (1, size)), nn.AvgPool1d(3, 1), nn.Flatten()], size - 2
            case _:
                pass
    module = nn.Sequential(*parts, nn.Linear(size, 3)).eval()
    scale = draw(st.sampled_from([2.0**-12, 0.5, 1.0, 2.0, 30.0]))
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.01, 4.0)
            elif isinstance(part, nn.Linear):
                part.weight.normal_(std=scale)
                if draw(st.booleans()):
                    part.weight.sign_().mul_(scale)  # the interval is reached, and ends at a power of two
                if draw(st.booleans()):
                    part.bias.zero_()
    return module, draw(st.sampled_from([2.0**-14, 0.999, 1.0, 2.0, 8.0, 100.0]))


@settings(max_examples=120, deadline=None)
@given(drawn_networks(), st.integers(0, 2**32 - 1), st.sampled_from(["class", "logits"]))
def test_every_wire_of_a_random_network_stays_inside_its_word(drawn, seed, reveal):
    module, limit = drawn
    require_words_inside(module, (4,), limit, seed, reveal)


@pytest.mark.parametrize("limit", [1.0, 8.0, 100.0])
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_wire_of_every_layer_stays_inside_its_word(name, limit):
    module, shape = networks.build(name)
    assert require_words_inside(module, shape, limit, 3, "class")
    assert require_words_inside(module, shape, limit, 4, "logits")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(-8, 8), st.booleans())
def test_a_value_at_the_very_edge_of_its_range_is_still_answered_right(inputs, exponent, negative):
    """Weights and limits chosen so that the largest value is as close to a power of two as it can be."""
    module = nn.Sequential(nn.Linear(inputs, 1), nn.ReLU(), nn.Linear(1, 1, bias=False)).eval()
    limit = 2.0**exponent
    with torch.no_grad():
        module[0].weight.fill_(-1.0 if negative else 1.0)
        module[0].bias.fill_(2.0 ** (exponent + inputs.bit_length()) - inputs * limit)
        module[2].weight.fill_(1.0)
    x = np.full((8, inputs), -limit if negative else limit, np.float32)
    program, weights = parties.compiled(module, (inputs,), limit=limit, reveal="logits")
    output = parties.execute(program, ring.encode(x), weights)
    after = program.formats[program.output]
    expected, tolerance = parties.real_logits(program.plan, weights, x)
    assert (np.abs(ring.decode(output, after.fraction, after.divisor) - expected) <= tolerance).all()


@pytest.mark.parametrize("limit", [1.0, 8.0])
def test_the_range_of_one_layer_is_the_least_power_of_two(limit):
    linear = nn.Linear(3, 1).eval()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[2.0, -3.0, 0.5]]))
        linear.bias.fill_(-1.0)
    plan, weights = trace(linear, (3,), input_limit=limit)
    largest = 5.5 * limit + 1
    assert value_ranges(plan, weights)[1] == int(np.ceil(np.log2(largest)))


def test_the_limit_itself_is_part_of_the_range():
    plan, weights = trace(nn.Linear(3, 1).eval(), (3,), input_limit=8.0)
    assert value_ranges(plan, weights)[0] == 4  # 8 is not below 2^3


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_layer_that_leaves_the_fixed_point_is_named(number):
    module = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3))).eval()
    with torch.no_grad():
        module[number].weight.fill_(2.0**45)
    plan, weights = trace(module, (2,), input_limit=8.0)
    with raises_code(
        mpc.ModelRefused, "out-of-range", match=rf"^layer {number} \(Linear\) can reach 2\^\d+ .* lower input_limit"
    ) as said:
        value_ranges(plan, weights)
    assert "\n" not in str(said.value)


def test_a_bound_beyond_all_floating_point_is_refused_like_any_other():
    module = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3))).eval()
    plan, weights = trace(module, (2,), input_limit=8.0)
    for tensors in weights.values():
        tensors["weight"][:] = np.float32(3e38)
    with raises_code(mpc.ModelRefused, "out-of-range", match=r"^layer 0 \(Linear\)"):
        value_ranges(plan, weights)


def prepare_against(bits):
    """What Alice says when Bob's ranges are ``bits``, or these bytes."""
    module, shape = networks.build("two classes")
    plan, _ = trace(module, shape, input_limit=8.0)
    to_bob, bob = pair(timeout=2)
    to_dealer, _dealer = pair(timeout=2)
    bob.send("mpc.plan", encode(plan))
    bob.send("mpc.ranges", bits if isinstance(bits, bytes) else encode(RangesMessage(tuple(bits))))
    with pytest.raises((mpc.MpcError, LinkError)) as said:
        mpc.Alice(to_dealer, mode=parties.MODE).prepare(to_bob)
    assert to_dealer.traffic.messages_sent == 0
    assert "\n" not in str(said.value)
    return str(said.value)


def test_hostile_ranges_are_refused_before_anything_else_happens():
    for bits in ((4,), (4, 4, 4), (4, 10**9), (-(10**9), 4), (2**70, 2**70), (3, -17), (2, 8)):
        if max(map(abs, bits)) < 2**63:
            assert "range" in prepare_against(bits)
    assert "lower input_limit" in prepare_against((46, 46))
    assert "malformed" in prepare_against(b"\xc1")
    assert "malformed" in prepare_against(encode({"bits": ["4", 4]}))
    assert "malformed" in prepare_against(encode({"bits": [4.5, 4]}))
    assert "malformed" in prepare_against(encode({"bits": [4, 4], "more": 1}))
    assert "at most" in prepare_against(bytes(RANGES_LIMIT + 1))


def test_the_longest_ranges_fit_into_their_message():
    longest = encode(RangesMessage((-16,) * (MAX_LAYERS + 1)))
    assert len(longest) <= RANGES_LIMIT
    assert decode(longest, RangesMessage).bits == (-16,) * (MAX_LAYERS + 1)
