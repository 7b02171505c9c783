"""The malicious mode from door to door between honest parties: the answers are those of the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from malicious_cheats import EXAMPLE, right_class
from malicious_parties import Trio
from masked_parties import real_logits
from networks import INPUT_SHAPES, build, tiny
from torch import nn

from sotto import mpc
from sotto.link import LinkError, connect
from sotto.mpc.graph import plain
from sotto.mpc.lowering.capture import trace
from tests.error_codes import raises_code
from tests.scripts import Script

PARTIES = Path(__file__).parents[2] / "example_parties"


def features(name, count, seed=0, limit=4.0):
    return np.random.default_rng(seed).uniform(-limit, limit, (count, *INPUT_SHAPES[name])).astype(np.float32)


@pytest.mark.parametrize("name", ["mixed", "pooled", "depinto"])
def test_every_kind_of_layer_gives_the_logits_of_the_network(name):
    plan, weights = trace(build(name), INPUT_SHAPES[name], input_limit=4.0)
    with Trio(build(name), INPUT_SHAPES[name], limit=4.0, reveal="logits") as trio:
        for seed, count in enumerate((1, 3)):
            x = features(name, count, seed)
            answer = trio.ask(x)
            expected, bound = real_logits(plan, weights, x)
            assert (np.abs(answer.scores - expected) <= bound + 1e-6).all()
            assert np.abs(answer.scores - plain.evaluate(plan, weights, x)).max() < 0.02
            assert (answer.labels == answer.scores.argmax(axis=1)).all()
        assert trio.close() == {"bob": None, "dealer": None}


@pytest.mark.parametrize("name", ["mixed", "pooled", "depinto"])
def test_every_kind_of_layer_gives_the_class_of_the_network(name):
    plan, weights = trace(build(name), INPUT_SHAPES[name], input_limit=4.0)
    with Trio(build(name), INPUT_SHAPES[name], limit=4.0) as trio:
        for seed, count in enumerate((1, 1, 4)):
            x = features(name, count, seed)
            answer = trio.ask(x)
            logits, bound = real_logits(plan, weights, x)
            winner = np.take_along_axis(logits, answer.labels[:, None], axis=1)[:, 0]
            assert (winner >= logits.max(axis=1) - 2 * bound.max()).all()
            assert answer.scores is None
        assert trio.close() == {"bob": None, "dealer": None}


@pytest.mark.slow
def test_a_network_of_three_convolutions():
    plan, weights = trace(build("frames"), INPUT_SHAPES["frames"], input_limit=4.0)
    with Trio(build("frames"), INPUT_SHAPES["frames"], limit=4.0, reveal="logits") as trio:
        for count in (1, 3):
            x = features("frames", count)
            assert np.abs(trio.ask(x).scores - plain.evaluate(plan, weights, x)).max() < 0.02


class Bare(nn.Module):
    """Nothing but one step: a truncation, a mean, a comparison or a maximum without any product before it."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return self.step(x)


@pytest.mark.parametrize(
    "step", [nn.Flatten(), nn.ReLU(), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4), nn.Linear(4, 3), nn.ReLU())]
)
@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_networks_that_lack_one_kind_of_step(step, reveal):
    torch.manual_seed(3)
    module = Bare(step).eval()
    with Trio(module, (4,), reveal=reveal) as trio:
        answer = trio.ask(EXAMPLE)
        with torch.no_grad():
            expected = module(torch.tensor(EXAMPLE)).numpy()
        if reveal == "logits":
            assert np.abs(answer.scores - expected).max() < 0.01
        assert answer.labels[0] == expected.argmax()


def test_a_query_in_several_parts(monkeypatch):
    monkeypatch.setattr("sotto.mpc.graph.program._ELEMENTS_BITS", 4)  # four examples of the tiny network at once
    module, x = tiny(), np.random.default_rng(1).uniform(-8, 8, (10, 4)).astype(np.float32)
    with Trio(module, (4,)) as trio:
        answer = trio.ask(x)
        assert (answer.labels == right_class(module, x)).all()
        assert len(trio.alice._session._program.parts(10)) == 3


def test_queries_prepared_ahead_and_after_one_another():
    module = tiny()
    with Trio(module, (4,)) as trio:
        for _ in range(3):
            trio.alice.provision(trio.link)
        for number in range(5):
            x = EXAMPLE * (number - 2)
            assert trio.ask(x).labels == right_class(module, x)


def test_parties_in_processes_of_their_own():
    started = []

    def start(*arguments):
        process = Script(PARTIES / "malicious_party.py", *arguments)
        started.append(process)
        return process, [int(port) for port in process.stdout.readline().split()]

    try:
        _, (for_alice, for_bob) = start("dealer")
        bob, (port,) = start("bob", for_bob, "mixed")
        plan, weights = trace(build("mixed"), INPUT_SHAPES["mixed"], input_limit=4.0)
        with (
            connect("127.0.0.1", for_alice, peer="the dealer") as dealer,
            connect("127.0.0.1", port, peer="bob") as link,
        ):
            alice = mpc.Alice(dealer, mode="malicious", reveal="logits")
            x = features("mixed", 2)
            assert np.abs(alice.ask(x, link).scores - plain.evaluate(plan, weights, x)).max() < 0.02
            bob.kill()
            bob.wait()
            with raises_code(LinkError, "peer-closed", match="bob closed"):
                alice.ask(x, link)
    finally:
        for process in started:
            process.kill()
            process.wait()
