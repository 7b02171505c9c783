"""Bundles too long to wait for their query: dealt and read while it runs, in segments that follow from the program."""

import malicious_parties
import masked_networks as networks
import masked_parties
import numpy as np
import pytest
import torch

from sotto.link import LinkError
from sotto.mpc.errors import CheatingDetected
from sotto.mpc.protocols.malicious import evaluation as malicious
from sotto.mpc.protocols.malicious import segments


@pytest.fixture
def short(monkeypatch):
    """Every bundle is long here."""
    monkeypatch.setattr(segments, "WAITING_BYTES", 1 << 10)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1 << 12)


def program_of(name="residual", reveal="class"):
    return malicious_parties.compiled(*networks.build(name), reveal=reveal)[0]


def features(n=2):
    return np.random.default_rng(5).normal(size=(n, *networks.build("residual")[1])).astype(np.float32)


@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_segments_are_the_bundle_and_none_is_long_but_of_one_large_step(short, reveal):
    program = program_of(reveal=reveal)
    every = segments.segments(program, 3)
    assert len(every) > 2
    assert [step for steps in every for step in steps] == list(program.steps)
    for party in (0, 1):
        sizes = segments.segment_bytes(program, 3, party)
        assert sum(sizes) == segments.bundle_bytes(program, 3, party)
    gated = [sum(bool(segments._step_words(program, step, 3, 1)) for step in steps) for steps in every]
    for size, count in zip(segments.segment_bytes(program, 3, 1)[1:-1], gated[1:-1], strict=True):
        assert size <= segments.SEGMENT_BYTES or count == 1


def test_a_bundle_that_may_wait_has_one_segment():
    program = program_of()
    assert segments.segments(program, 3) == [program.steps]


@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_a_query_dealt_while_it_runs_has_the_same_answer(short, reveal):
    module, shape = networks.build("residual")
    x = features(5)
    with masked_parties.Trio(module, shape, mode="malicious", reveal=reveal) as trio:
        seen = masked_parties.observed(trio.links["alice", "dealer"])
        trio.alice.provision(trio.link, examples=5)
        assert not any(name == "dealer.bundle" for _, name, _ in seen)
        answers = [trio.ask(x), trio.ask(x)]  # two: the dealer's links are whole after the first
        asked = sum(name == "dealer.more" for _, name, _ in seen)
    parts = program_of(reveal=reveal).parts(5)
    program = program_of(reveal=reveal)
    assert asked == 2 * sum(len(segments.segments(program, part)) - 1 for part in parts) > 2
    expected = module(torch.from_numpy(x)).argmax(1).numpy()
    for answer in answers:
        assert (answer.labels == expected).all()


def test_each_segment_takes_the_place_of_the_one_before(short, monkeypatch):
    module, shape = networks.build("residual")
    held = []
    step_of = malicious.MaliciousEvaluation._take

    def observed(self, step):
        step_of(self, step)
        held.append(len(self._bundle.gates) + len(self._bundle.products) + len(self._bundle.pairs))

    monkeypatch.setattr(malicious.MaliciousEvaluation, "_take", observed)
    with masked_parties.Trio(module, shape, mode="malicious") as trio:
        trio.ask(features(5))
    program = program_of()
    dealt = sum(bool(segments._step_words(program, step, 5, 1)) for step in program.steps)
    assert 0 < max(held) < dealt


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_wrong_word_in_any_segment_is_caught(short, which):
    """The check covers what was opened before the last segment came."""
    module, shape = networks.build("residual")
    names = [step.name for step in program_of().compares[:-1]]
    target = f"{names[0 if which == 'first' else -1]}.masked"

    def alter(name, payload):
        return payload if name != target else bytes([payload[0] ^ 1]) + payload[1:]

    with malicious_parties.Trio(module, shape, alter={"bob": alter}) as trio:
        with pytest.raises(CheatingDetected):
            trio.ask(features(1))
        with pytest.raises(LinkError):
            trio.ends["alice", "dealer"].send("dealer.more", b"")


def test_a_wrong_word_told_ahead_of_a_later_segment_is_caught(short):
    module, shape = networks.build("mixed")
    told = []

    def alter(name, payload):
        if name != "mpc.masked" or not payload:
            return payload
        told.append(len(payload))
        return bytes([payload[0] ^ (len(told) == 2)]) + payload[1:]

    with malicious_parties.Trio(module, shape, alter={"alice": alter}) as trio:
        with pytest.raises((CheatingDetected, LinkError)):
            trio.ask(np.ones((1, *shape), np.float32))
        assert isinstance(trio.ending("bob"), CheatingDetected)
    assert len(told) == 2
