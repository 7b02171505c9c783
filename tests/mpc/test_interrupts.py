"""A query interrupted at any message, by either party or the dealer: no session is left to ask again with its keys."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from functools import partial

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from networks import INPUT_SHAPES, tiny

from sotto import mpc
from sotto.link import LinkError, connect
from sotto.mpc.protocols.malicious.evaluation import MaliciousEvaluation
from tests.error_codes import raises_code

EXAMPLE = np.array([[1.0, 2.0, -1.0, 0.5]], np.float32)
ENDS = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, SystemExit, MemoryError)
TRIOS = {
    "malicious": malicious_parties.Trio,
    "semi-honest": masked_parties.Trio,
    "two-party": partial(masked_parties.Trio, mode="two-party"),
}


def right_class():
    return int(tiny()(torch.tensor(EXAMPLE)).argmax())


def links_of(trio):
    return trio.ends if isinstance(trio, malicious_parties.Trio) else trio.links


def interrupt(link, at):
    """Raise at message ``at`` of the link's, whichever way it goes; what ends a query differs from one to the next."""
    count = itertools.count()

    def observe(way, name, payload):
        if next(count) == at:
            raise ENDS[at % len(ENDS)](name)

    link.observer = observe


def messages(mode, link):
    """How many messages a first query puts on a link, set-up included."""
    with TRIOS[mode](tiny(), (4,)) as trio:
        seen = malicious_parties.observed(links_of(trio)[link])
        trio.ask(EXAMPLE)
        return len(seen)


PLACES = [("alice", "bob"), ("bob", "alice"), ("alice", "dealer"), ("bob", "dealer")]


@pytest.mark.parametrize(
    ("mode", "link"),
    [
        *itertools.product(("malicious", "semi-honest"), PLACES),
        ("two-party", ("alice", "bob")),
        pytest.param("two-party", ("bob", "alice"), marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_after_an_interrupt_at_any_message_nobody_is_answered(mode, link):
    count = messages(mode, link)
    assert count >= 2
    for at in range(count):
        with TRIOS[mode](tiny(), (4,), timeout=2) as trio:
            interrupt(links_of(trio)[link], at)
            try:
                first = trio.ask(EXAMPLE)
            except (LinkError, *ENDS):
                assert trio.alice._session is None
            else:  # it was Bob's last message, whose rest went out before the reason
                assert link[0] == "bob"
                assert at == count - 1
                assert first.labels == right_class()
            with pytest.raises(LinkError):
                trio.ask(EXAMPLE)
            assert trio.alice._session is None
            trio.link.close()
        assert isinstance(trio.endings["bob"], (LinkError, *ENDS)) or link == ("alice", "dealer")


@pytest.mark.parametrize("mode", TRIOS)
@pytest.mark.parametrize("party", ["alice", "bob"])
def test_bundles_fetched_ahead_are_gone_with_the_query(mode, party):
    with TRIOS[mode](tiny(), (4,), timeout=2) as trio:
        for _ in range(3):
            trio.alice.provision(trio.link)
        session = trio.alice._session
        interrupt(links_of(trio)[party, "bob" if party == "alice" else "alice"], 3)
        with pytest.raises((LinkError, *ENDS)):
            trio.ask(EXAMPLE)
        assert not session._stock
        with pytest.raises(LinkError):
            trio.alice.provision(trio.link)


@pytest.mark.parametrize("mode", TRIOS)
def test_a_forked_process_does_not_use_its_parents_bundles(mode, monkeypatch):
    """Parent and child would send two inputs under one mask."""
    with TRIOS[mode](tiny(), (4,), timeout=2) as trio:
        trio.alice.provision(trio.link)
        seen = malicious_parties.observed(links_of(trio)["alice", "bob"])
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        with raises_code(mpc.ProtocolError, "forked"):
            trio.ask(EXAMPLE)
        assert not [name for _, name, _ in seen if name.endswith("input")]


def test_the_session_is_dead_before_tags_are_told_and_alive_after_the_check(monkeypatch):
    alive = []
    check, reveal = MaliciousEvaluation._check, MaliciousEvaluation._reveal

    def note(evaluation):
        party = (trio.alice, trio.bob)[evaluation._keys.party]
        alive.append((evaluation._keys.party, party._session is not None))

    monkeypatch.setattr(MaliciousEvaluation, "_check", lambda self, *last: (note(self), check(self, *last))[1])
    monkeypatch.setattr(MaliciousEvaluation, "_reveal", lambda self, masked: (note(self), reveal(self, masked))[1])
    with malicious_parties.Trio(tiny(), (4,)) as trio:
        trio.ask(EXAMPLE)
        session = trio.alice._session
        assert session is not None
        trio.ask(EXAMPLE)
        assert trio.alice._session is session
    assert set(alive) == {(0, False), (1, False)}
    assert all(alive.count(each) >= 2 for each in set(alive))  # in each of two queries


def test_an_error_told_to_nobody_leaves_the_session(monkeypatch):
    """That an answer is no class is Alice's own business: Bob must not see a difference."""
    with masked_parties.Trio(tiny(), (4,)) as trio:
        trio.alice.prepare(trio.link)
        kind = type(trio.alice._session)

        def refuse(*_):
            raise mpc.ProtocolError("no-class", "no class")

        with monkeypatch.context() as patch:
            patch.setattr(kind, "read", refuse)
            with pytest.raises(mpc.ProtocolError):
                trio.ask(EXAMPLE)
        assert trio.ask(EXAMPLE).labels == right_class()


def test_the_dealer_interrupted_tells_both():
    with malicious_parties.Trio(tiny(), (4,), timeout=2) as trio:
        interrupt(trio.ends["dealer", "alice"], 3)
        with raises_code(LinkError, "peer-gave-up", match=r"the dealer gave up|bob gave up"):
            trio.ask(EXAMPLE)
        assert isinstance(trio.ending("dealer"), ENDS)


@pytest.mark.parametrize("at", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_crypten_too(child, at):
    x = np.zeros((1, *INPUT_SHAPES["depinto"]), np.float32)
    dealer = child("dealer")
    for_alice, for_bob = dealer.ports()
    bob = child("bob", for_bob, "depinto")
    (port,) = bob.ports()
    with connect("127.0.0.1", for_alice, peer="the dealer") as to_dealer, connect("127.0.0.1", port) as link:
        interrupt(link, at)
        alice = mpc.Alice(to_dealer, mode="crypten")
        with pytest.raises(ENDS):
            alice.ask(x, link)
        with pytest.raises(LinkError):
            alice.ask(x, link)
        alice.close()
        assert bob.ending()[0] == 3


FILES = tuple(
    f"{mpc.__path__[0]}/{name}.py"
    for name in ("alice", "modes", "protocols/semi_honest/masked_session", "protocols/malicious/evaluation")
)


class Tracer:
    """Raises KeyboardInterrupt in this thread at one line of the doors and sessions."""

    def __init__(self, at):
        self.at, self.count = at, 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(lambda frame, event, argument: self.step if frame.f_code.co_filename in FILES else None)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def step(self, frame, event, argument):
        if event == "line":
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt
        return self.step


def _interrupted_at(at):
    """A second query interrupted at a line, and what the third one gives; how many lines the second one has."""
    with malicious_parties.Trio(tiny(), (4,), timeout=2) as trio:
        trio.ask(EXAMPLE)
        keys = trio.alice._session._keys.alpha
        try:
            with Tracer(at) as tracer:
                trio.ask(EXAMPLE)
        except KeyboardInterrupt:
            try:
                assert trio.ask(EXAMPLE).labels == right_class()
            except LinkError:
                assert trio.alice._session is None
                return None
            # Nothing had been sent yet, or all was over and checked.
            return "unharmed" if trio.alice._session._keys.alpha == keys else "set up anew"
        return tracer.count


def test_an_interrupt_at_a_line_of_alices():
    lines = _interrupted_at(1 << 30)
    assert lines > 200
    outcomes = [_interrupted_at(at) for at in range(1, lines, lines // 40)]
    assert outcomes.count(None) > 25
