"""Sessions between two processes and nobody else: right answers, nothing used twice, an end in time come what may."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import networks
import numpy as np
import pytest
import torch
from parties import run_both

from sotto import mpc
from sotto.link import BadValue, LinkError, WrongState, connect
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from sotto.mpc.two_party import session
from sotto.mpc.two_party.evaluation import AliceEvaluation, BobEvaluation
from tests.error_codes import raises_code
from tests.scripts import Script

HERE = Path(__file__).parent
LIMIT = 8.0


class Bob:
    """Bob in a process of his own."""

    def __init__(self, name, reveal="logits"):
        self.process = Script(HERE / "two_party_bob.py", name, reveal)
        self.port = int(self.process.stdout.readline())

    def dial(self):
        return connect("127.0.0.1", self.port, timeout=30, peer="bob")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def features(name, count, seed=0):
    shape = networks.INPUT_SHAPES[name]
    return np.random.default_rng(seed).uniform(-3, 3, (count, *shape)).astype(np.float32)


def plain(name, x):
    with torch.no_grad():
        return networks.build(name)(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize(
    "name", ["mixed", "pooled", *(pytest.param(n, marks=pytest.mark.slow) for n in ("depinto", "frames"))]
)
def test_two_processes_give_the_plaintext_networks_classes_and_logits(name):
    x = features(name, 5)
    right = plain(name, x)
    with Bob(name) as bob:
        with bob.dial() as link:
            answer = mpc.Alice(None, mode="two-party").ask(x, link)
            margin = np.sort(right, axis=1)[:, -1] - np.sort(right, axis=1)[:, -2]
            assert answer.scores is None
            assert ((answer.labels == right.argmax(axis=1)) | (margin < 1e-2)).all()
        with bob.dial() as link:
            answer = mpc.Alice(None, mode="two-party", reveal="logits").ask(x, link)
            np.testing.assert_allclose(answer.scores, right, atol=5e-3)


def test_logits_are_those_of_the_fixed_point_network_within_rounding():
    x = features("depinto", 3)
    model = FixedPointModel.of(networks.build("depinto"), (40,), input_limit=LIMIT, reveal="logits")
    with Bob("depinto") as bob, bob.dial() as link:
        scores = mpc.Alice(None, mode="two-party", reveal="logits").ask(x, link).scores
    # One unit for every ReLU's rounding, times weights that are well below one, over 2,560 of them.
    assert abs(scores - model.answer(x).scores).max() < 64 * 2.0**-16


def test_a_session_answers_many_queries_prepared_ahead_in_any_number():
    x = features("pooled", 3)
    right = plain("pooled", x).argmax(axis=1)
    with Bob("pooled") as bob, bob.dial() as link:
        alice = mpc.Alice(None, mode="two-party")
        for examples in (1, 2, 1):
            alice.provision(link, examples)
        assert alice.ask(x[:1], link).labels.tolist() == right[:1].tolist()
        assert alice.ask(x[:2], link).labels.tolist() == right[:2].tolist()
        assert alice.ask(x, link).labels.tolist() == right.tolist()


def test_sessions_that_extend_silently_give_the_same_answers(monkeypatch):
    x = features("pooled", 2)
    monkeypatch.setattr(session, "establish", partial(session.establish, silent_from=0))
    module, shape, names = networks.build("pooled"), networks.INPUT_SHAPES["pooled"], []

    def alice_side(link):
        link.observer = lambda way, name, payload: names.append(name)
        alice = mpc.Alice(None, mode="two-party")
        return [alice.ask(x, link).labels.tolist() for _ in range(2)]

    bob = mpc.Bob(module, None, input_shape=shape, mode="two-party", input_limit=LIMIT)
    labels, _ = run_both(alice_side, bob.serve)
    assert labels == [plain("pooled", x).argmax(axis=1).tolist()] * 2
    assert names.count("ot.trees") == 2  # what is left of a round is enough for the second query
    assert names.count("ot.extend") == 2


def test_bob_sees_the_same_whatever_alice_asks_and_whatever_the_answer():
    """Names, sizes and order of all messages; no payload twice over two queries about the same clip."""
    x = features("pooled", 1)
    logs = []
    with Bob("pooled") as bob, bob.dial() as link:
        seen = []
        link.observer = lambda way, name, payload: seen.append((way, name, bytes(payload)))
        alice = mpc.Alice(None, mode="two-party")
        for value in (x, x, np.zeros_like(x), -x):
            alice.provision(link)
            seen.clear()
            alice.ask(value, link)
            logs.append(list(seen))
    shapes = [[(way, name, len(payload)) for way, name, payload in log] for log in logs]
    assert all(shape == shapes[0] for shape in shapes)
    for first, second in zip(logs[0], logs[1], strict=True):
        if len(first[2]) > 15 and first[1] != "mpc.query":
            assert first[2] != second[2], first[1]


def test_a_killed_process_wastes_what_it_had_and_repeats_nothing():
    """Everything random that Bob sent before he died, and what his successor sends for the same query."""
    x = features("pooled", 1)
    payloads = []
    for _ in range(2):
        with Bob("pooled") as bob, bob.dial() as link:
            link.observer = lambda way, name, payload: payloads.append(bytes(payload))
            alice = mpc.Alice(None, mode="two-party")
            alice.provision(link)
            alice.provision(link, 2)
            alice.ask(x, link)
            # Bob is killed here, with a query prepared.
        with pytest.raises(LinkError):
            alice.provision(link, 3)
    assert len(payloads) > 40
    public = {payload for payload in payloads if payloads.count(payload) > 1}  # such as plans
    assert all(len(payload) < 1500 for payload in public)
    pieces = [p[i : i + 16] for p in payloads if p not in public for i in range(0, len(p) - 15, 16)]
    pieces = [piece for piece in pieces if len(set(piece)) > 4]  # not padding
    assert len(pieces) > 10000
    assert len(set(pieces)) == len(pieces)


def both_prepared(name):
    """A prepared query at both sides, as evaluations."""
    module, shape = networks.build(name), networks.INPUT_SHAPES[name]
    kept = {}

    def bob_side(link):
        bob = mpc.Bob(module, None, input_shape=shape, mode="two-party", input_limit=LIMIT)
        bob.serve(link)

    def alice_side(link):
        alice = mpc.Alice(None, mode="two-party")
        alice.provision(link)
        kept["alice"] = alice._session._stock[1][0][0]
        alice.ask(features(name, 1), link)

    run_both(alice_side, bob_side)
    return kept["alice"]


def test_what_is_prepared_serves_once():
    evaluation = both_prepared("pooled")
    with raises_code(WrongState, "used-already"):
        evaluation.run(np.zeros((1, *networks.INPUT_SHAPES["pooled"]), np.uint64))


def test_evaluations_show_nothing_of_themselves():
    assert repr(both_prepared("pooled")) == "<AliceEvaluation of 1 examples>"
    assert {AliceEvaluation.__repr__, BobEvaluation.__repr__} == {AliceEvaluation.__repr__}


DAMAGES = {
    "cut short": lambda payload: payload[:-1],
    "made longer": lambda payload: payload + b"\0",
    "emptied": lambda payload: b"",
    "left out": lambda payload: None,
}
MESSAGES = [
    "he.parameters", "he.zero", "ot.base", "ot.choices", "ot.seeds.bob", "ot.start", "ot.seeds.alice", "linear1.mask",
    "linear1.masked", "ot.extend", "mpc.corrections", "linear1.input", "relu1.tables", "relu1.and1", "relu1.select",
    "argmax.1.tables", "output",
]  # fmt: skip


def damaged(link, name, damage):
    queue = link._queue

    def instead(sent, payload):
        changed = damage(bytes(memoryview(payload).cast("B"))) if sent == name else payload
        if changed is not None:
            queue(sent, changed)

    link._queue = instead
    link.timeout = 0.5
    return link


@pytest.mark.parametrize(
    "damage",
    ["cut short", "left out", *(pytest.param(each, marks=pytest.mark.slow) for each in ("made longer", "emptied"))],
)
@pytest.mark.parametrize("name", MESSAGES)
def test_any_message_damaged_ends_both_in_one_line_and_in_time(name, damage):
    module, ended = networks.tiny(), []

    def party(act):
        def side(link):
            try:
                act(damaged(link, name, DAMAGES[damage]))
            except Exception as error:
                ended.append(error)
                link.close()

        return side

    bob = mpc.Bob(module, None, input_shape=(4,), mode="two-party", input_limit=LIMIT, idle_timeout=1.0)
    started = time.monotonic()
    run_both(
        party(lambda link: mpc.Alice(None, mode="two-party").ask(np.ones((1, 4), np.float32), link)), party(bob.serve)
    )
    assert time.monotonic() - started < 20
    assert ended
    for error in ended:
        assert isinstance(error, LinkError | mpc.MpcError), error
        assert "\n" not in str(error)


def test_noise_in_place_of_any_message_ends_in_an_error_of_ours_or_a_wrong_answer():
    """Nothing is authenticated: noise may change the answer, but nothing breaks."""
    bob = mpc.Bob(networks.tiny(), None, input_shape=(4,), mode="two-party", input_limit=LIMIT, idle_timeout=1.0)
    outcomes = []
    for name in MESSAGES:

        def party(act, name=name):
            def side(link):
                try:
                    outcomes.append(act(damaged(link, name, lambda payload: os.urandom(len(payload)))))
                except (LinkError, mpc.MpcError) as error:
                    outcomes.append(error)
                    link.close()

            return side

        run_both(
            party(lambda link: mpc.Alice(None, mode="two-party").ask(np.ones((1, 4), np.float32), link)),
            party(bob.serve),
        )
    assert len(outcomes) == 2 * len(MESSAGES)


def test_doors_say_which_modes_have_a_dealer():
    with raises_code(BadValue, "dealer-needed"):
        mpc.Alice(None)
    with raises_code(BadValue, "no-dealer"):
        mpc.Dealer(mode="two-party")


def test_a_network_whose_words_do_not_fit_is_refused_by_bob():
    module = networks.build("mixed")
    with torch.no_grad():
        module.head.weight *= 2.0**15
    with raises_code(mpc.ModelRefused, "words-too-wide", match="words of 60 bits"):
        mpc.Bob(module, None, input_shape=networks.INPUT_SHAPES["mixed"], mode="two-party", input_limit=LIMIT)


def test_a_fresh_mask_hides_the_features():
    """What Bob gets of Alice's input is uniform: the same features give other words each time, of all sizes."""
    x = np.zeros((1, 4), np.float32)
    seen = []

    def alice_side(link):
        link.observer = lambda way, name, payload: seen.append(bytes(payload)) if name == "linear1.input" else None
        alice = mpc.Alice(None, mode="two-party")
        for _ in range(40):
            alice.ask(x, link)

    bob = mpc.Bob(networks.tiny(), None, input_shape=(4,), mode="two-party", input_limit=LIMIT)
    run_both(alice_side, bob.serve)
    bits = np.unpackbits(np.frombuffer(b"".join(seen), np.uint8))
    assert len(set(seen)) == 40
    assert bits.mean() > 0.3
