"""A Bob who sets up another network than agreed is refused before a query, in the same way whatever Alice would ask."""

from dataclasses import replace

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto import mpc
from sotto.link import LinkError
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import digest_of
from tests.error_codes import raises_code


def network(classes=3, hidden=4, scale=1.0):
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, classes)).eval()
    with torch.no_grad():
        module[0].weight.mul_(scale)
    return module


def agreement(module, limit=8.0):
    return mpc.Bob(module, None, input_shape=(4,), mode="semi-honest", input_limit=limit).agreement


@pytest.mark.parametrize("parties", [masked_parties, malicious_parties], ids=["semi-honest", "malicious"])
@pytest.mark.parametrize(
    ("agreed", "said"),
    [
        (agreement(network(4)), "class-count"),
        (agreement(network(), limit=4.0), "other-limit"),
        (replace(agreement(network()), input_shape=(2, 2)), "other-shape"),
        (agreement(network(hidden=5)), "other-layers"),
        (agreement(network(scale=64.0)), "other-layers"),
    ],
)
def test_another_network_than_agreed_is_refused_before_the_query(parties, agreed, said):
    with parties.Trio(network(), (4,)) as three:
        three.alice = mpc.Alice(three.alice._dealer, mode=parties.MODE, agreed=agreed)
        seen = masked_parties.observed(three.link)
        with raises_code(mpc.PlanError, said):
            three.alice.ask(np.zeros((1, 4)), three.link)
        assert "mpc.query" not in {name for _, name, _ in seen}
        with pytest.raises(LinkError):
            three.alice.ask(np.zeros((1, 4)), three.link)


@pytest.mark.parametrize("stretch", [0.5, 2.0, None])
def test_another_bound_of_the_error_than_agreed_is_refused_before_the_query(stretch):
    bob = mpc.Bob(network(), None, input_shape=(4,), mode="semi-honest", reveal="values", input_limit=8.0)
    assert bob.agreement.error_bound > 0
    changed = replace(bob.agreement, error_bound=stretch and bob.agreement.error_bound * stretch)
    with masked_parties.Trio(network(), (4,), reveal="values", bob_reveals="values") as three:
        three.alice = mpc.Alice(three.alice._dealer, mode="semi-honest", reveal="values", agreed=changed)
        seen = masked_parties.observed(three.link)
        with raises_code(mpc.PlanError, "other-bound"):
            three.alice.ask(np.zeros((1, 4)), three.link)
        assert "mpc.query" not in {name for _, name, _ in seen}


@pytest.mark.parametrize("parties", [masked_parties, malicious_parties], ids=["semi-honest", "malicious"])
def test_the_network_agreed_on_answers(parties):
    with parties.Trio(network(), (4,)) as three:
        three.alice = mpc.Alice(three.alice._dealer, mode=parties.MODE, agreed=agreement(network()))
        x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
        expected = network()(torch.from_numpy(x)).argmax(1)
        assert three.alice.ask(x, three.link).labels.tolist() == expected.tolist()


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(-3, 3))
def test_the_digest_fixes_every_range(place, change):
    plan, weights = trace(network(), (4,), input_limit=8.0)
    ranges = list(value_ranges(plan, weights))
    before = digest_of(plan, tuple(ranges))
    ranges[place % len(ranges)] += change
    assert (digest_of(plan, tuple(ranges)) == before) == (change == 0)
