"""Whole queries between real processes: right answers, clear endings."""

import contextlib
import threading
import time
from typing import get_args

import networks
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.link import BadValue, LinkClosed, LinkError, PeerError, connect, decode, encode, listen, pair
from sotto.mpc.crypten.session import CryptenSession
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import PLAN_LIMIT, VERSION, Hello, Mode
from sotto.mpc.modes import needs_dealer
from sotto.serving import registry
from tests.error_codes import raises_code

NAMES = ("depinto", "frames", "mixed", "pooled")


def features(name, n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *networks.INPUT_SHAPES[name])).astype(np.float32)


def plain(name, x):
    with torch.no_grad():
        return networks.build(name)(torch.from_numpy(x)).numpy()


@pytest.fixture(scope="module")
def others(child):
    """A dealer, and a Bob who serves each network twice: the dealer's link, a way to reach Bob, both children."""
    dealer = child("dealer")
    for_alice, for_bob = dealer.ports()
    bob = child("bob", for_bob, *(name for name in NAMES for _ in range(2)), "depinto", "depinto")
    (port,) = bob.ports()
    with connect("127.0.0.1", for_alice, peer="the dealer") as dealer_link:
        yield dealer_link, lambda: connect("127.0.0.1", port, peer="bob"), dealer, bob


@pytest.mark.parametrize("name", NAMES)
def test_private_answers_equal_the_plaintext_networks(others, name):
    dealer, reach_bob, *_ = others
    x = features(name, 3)
    expected = plain(name, x)
    with reach_bob() as link:
        alice = mpc.Alice(dealer, reveal="logits", mode="crypten")
        answer = alice.ask(x, link)
        again = alice.ask(x[:1], link)
        alice.close()
    assert answer.scores.shape == expected.shape
    assert np.abs(answer.scores - expected).max() < 2e-3
    assert np.abs(again.scores - expected[:1]).max() < 2e-3
    assert (answer.labels == expected.argmax(1)).all()

    with reach_bob() as link:
        alice = mpc.Alice(dealer, mode="crypten")
        answer = alice.ask(x, link)
        alice.close()
    assert answer.scores is None
    assert answer.labels.dtype == np.int64
    assert (answer.labels == expected.argmax(1)).all()


def test_features_that_cannot_go_in_are_refused_and_the_session_goes_on(others):
    dealer, reach_bob, *_ = others
    x = features("depinto", 2)
    with reach_bob() as link:
        alice = mpc.Alice(dealer, mode="crypten")
        alice.prepare(link)
        assert alice.plan.classes == 8
        before = link.traffic.snapshot()
        for bad in (x[:, :-1], x[:0], "speech", x[0]):
            with pytest.raises(mpc.InputRefused):
                alice.ask(bad, link)
        assert link.traffic == before
        for odd in (x * np.nan, x * np.inf, x * 1e4):
            assert alice.ask(odd, link).warnings
        assert (alice.ask(x, link).labels == plain("depinto", x).argmax(1)).all()
        alice.close()


def test_a_killed_bob_ends_alice_and_lets_the_dealer_go(child):
    dealer = child("dealer")
    for_alice, for_bob = dealer.ports()
    bob = child("bob", for_bob, "depinto")
    dealer_link = connect("127.0.0.1", for_alice, peer="the dealer")
    link = connect("127.0.0.1", bob.ports()[0], peer="bob")
    alice = mpc.Alice(dealer_link, mode="crypten")
    alice.prepare(link)
    bob.kill()
    with raises_code(LinkError, "peer-closed", match="bob closed the connection"):
        alice.ask(features("depinto", 1), link)
    dealer_link.close()
    assert dealer.ending() == (0, "")


def test_a_killed_dealer_ends_both_parties_with_a_reason(others):
    dealer_link, reach_bob, dealer, bob = others
    with reach_bob() as link:
        alice = mpc.Alice(dealer_link, mode="crypten")
        alice.ask(features("depinto", 1), link)
        dealer.kill()
        started = time.monotonic()
        with raises_code(LinkClosed, "peer-closed", match="the dealer closed the connection"):
            alice.ask(features("depinto", 1), link)
        code, said = bob.ending()
    assert code == 3
    assert said.startswith("PeerError: alice gave up: the dealer closed the connection")
    assert time.monotonic() - started < 20


def peer_of(script):
    """Alice's link to somebody who plays ``script`` in a thread."""
    ours, theirs = pair(timeout=5)

    def play():
        with contextlib.suppress(LinkError):
            script(theirs)

    threading.Thread(target=play, daemon=True).start()
    return ours


def dealing():
    """Alice's link to a dealer who hands out a seed and nothing else."""

    def script(link):
        link.receive("dealer.join", limit=1000)
        link.send("dealer.seed", bytes(8))

    return peer_of(script)


def test_a_second_session_in_one_process_is_refused():
    plan, _weights = trace(networks.build("depinto"), (40,), input_limit=8.0)

    def accomplice(link):
        link.receive("mpc.hello", limit=1000)
        link.send("mpc.plan", encode(plan))
        link.receive("crypten.send", limit=8)
        link.send("crypten.send", bytes(8))
        link.receive("crypten.broadcast", limit=8)
        link.send("mpc.ready", b"")

    first = mpc.Alice(dealing(), mode="crypten")
    first.prepare(peer_of(accomplice))
    with raises_code(mpc.SessionBusy, "session-busy"):
        mpc.Alice(dealing(), mode="crypten").prepare(peer_of(accomplice))
    first.close()
    second = mpc.Alice(dealing(), mode="crypten")
    second.prepare(peer_of(accomplice))
    del second  # dropped without close(): the process is free all the same
    mpc.Alice(dealing(), mode="crypten").prepare(peer_of(accomplice))


def test_a_plan_that_does_not_hold_is_refused_before_anything_is_allocated():
    def huge(link):
        link.receive("mpc.hello", limit=1000)
        link.send("mpc.plan", encode({"input_shape": [1 << 40], "input_limit": 1.0, "layers": []}))

    with pytest.raises(mpc.PlanError):
        mpc.Alice(dealing(), mode="crypten").prepare(peer_of(huge))


def test_a_plan_with_layers_that_crypten_has_not_is_refused():
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())
    plan, _weights = trace(module, (4,), input_limit=8.0)

    def bent(link):
        link.receive("mpc.hello", limit=1000)
        link.send("mpc.plan", encode(plan))

    with raises_code(mpc.ModelRefused, "not-in-mode", match="mode 'crypten' has no tanh"):
        mpc.Alice(dealing(), mode="crypten").prepare(peer_of(bent))


def test_a_plan_of_any_size_is_not_read():
    def long(link):
        link.receive("mpc.hello", limit=1000)
        link.send("mpc.plan", bytes(PLAN_LIMIT + 1))

    with raises_code(LinkError, "too-large"):
        mpc.Alice(dealing(), mode="crypten").prepare(peer_of(long))


@pytest.fixture
def bob():
    ours, _theirs = pair(timeout=2)
    return mpc.Bob(networks.build("depinto"), ours, input_shape=(40,), mode="crypten")


def ask_bob(bob, name, payload):
    """What a stranger hears from ``bob`` after one message."""
    ours, theirs = pair(timeout=5)
    ours.send(name, payload)
    with pytest.raises(LinkError):
        bob.answer(theirs)
    with pytest.raises(PeerError) as heard:
        ours.receive("mpc.plan", limit=PLAN_LIMIT)
    return str(heard.value)


def test_bob_refuses_what_he_was_not_started_for(bob):
    assert "reveals the class only" in ask_bob(bob, "mpc.hello", encode(Hello(VERSION, "crypten", "logits")))
    assert "install one release" in ask_bob(bob, "mpc.hello", encode(Hello(VERSION + 1, "crypten", "class")))
    assert "this side runs 'crypten'" in ask_bob(bob, "mpc.hello", encode(Hello(VERSION, "malicious", "class")))
    assert "malformed" in ask_bob(bob, "mpc.hello", b"\xc1")
    assert "prepare first" in ask_bob(bob, "mpc.query", encode({"examples": 1}))
    assert "was expected" in ask_bob(bob, "crypten.reduce", b"")


def test_bob_is_done_when_alice_closes(bob):
    ours, theirs = pair()
    ours.close()
    assert bob.answer(theirs) is False
    bob.serve(theirs)


def test_bobs_plan_holds_no_weight(bob):
    ours, theirs = pair(timeout=2)
    ours.send("mpc.hello", encode(Hello(VERSION, "crypten", "class")))
    with pytest.raises(LinkError):
        bob.answer(theirs)  # nobody deals
    payload = bytes(ours.receive("mpc.plan", limit=PLAN_LIMIT))
    assert decode(payload, ModelPlan).input_shape == (40,)
    assert len(payload) < 400
    assert "weight" not in repr(bob)


def test_unknown_modes_and_answers_are_refused():
    ours, _theirs = pair()
    with raises_code(BadValue, "unknown-mode"):
        mpc.Dealer(mode="fast")
    with raises_code(BadValue, "unknown-reveal"):
        mpc.Alice(ours, reveal="weights", mode="crypten")


def test_links_given_to_the_dealer_the_wrong_way_round_are_noticed():
    _alice, for_alice = pair(timeout=5)
    bob, for_bob = pair(timeout=5)
    plan, weights = trace(networks.build("depinto"), (40,), input_limit=8.0)
    peer, _ = pair()

    def serve():
        with raises_code(LinkError, "links-swapped"):
            mpc.Dealer(mode="crypten").serve(for_bob, for_alice)

    serving = threading.Thread(target=serve)
    serving.start()
    with raises_code(PeerError, "peer-gave-up", match="swap them"):
        CryptenSession(1, peer, bob, plan, weights, "class")
    serving.join()


def test_a_dealer_that_is_asked_nothing_gives_up():
    _alice, for_alice = pair()
    _bob, for_bob = pair()
    with raises_code(LinkError, "timed-out"):
        mpc.Dealer(idle_timeout=0.2, mode="crypten").serve(for_alice, for_bob)


def test_nobody_at_the_dealers_door_is_an_error_in_time():
    with listen() as door, raises_code(LinkError, "nobody-connected"):
        door.accept(timeout=0.2)


def test_the_declaration_names_every_mode_and_those_with_a_dealer():
    """It is light to import, so it says again what the modes themselves know."""
    declared = registry.paradigm("mpc")
    assert set(declared.modes) == set(get_args(Mode))
    assert set(declared.dealt) == {mode for mode in get_args(Mode) if needs_dealer(mode)}
