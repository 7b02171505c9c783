"""Alice and Bob over links: two real processes, and every way in which the other side can misbehave."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import msgspec
import numpy as np
import pytest
import tenseal as ts
import torch

from sotto.he import LOGIT_STEP, MAX_SHOWN_ERROR, Alice, Bob, ModelRefused
from sotto.he.alice import rounded
from sotto.he.evaluation.contexts import public_context, secret_context
from sotto.he.messages import (
    MAX_PART,
    VERSION,
    Description,
    Hello,
    Published,
    Query,
    Ready,
    Reply,
    receive_keys,
    send_keys,
)
from sotto.he.network.network import PolynomialNetwork
from sotto.link import BadValue, FrameError, LinkClosed, LinkTimeout, PeerError, connect, encode, listen, pair
from sotto.models.networks.mlp import MLP
from tests.error_codes import raises_code

PATIENCE = 300.0  # s: where other programs have the processors, keys and a query take a minute


def build(seed: int = 0, widths: tuple[int, ...] = (6, 5, 4, 3)) -> MLP:
    torch.manual_seed(seed)
    module = MLP(widths[0], widths[1:-1], widths[-1], "poly2")
    module.train()
    for _ in range(10):
        module(torch.rand(64, widths[0]) * 2 - 1)
    return module.eval()


def bob_process(pipe, widths, misbehaviour) -> None:
    """Bob in a process of his own; reports what he holds, or how he was told to fail."""
    bob = Bob(build(widths=widths), mode="tenseal", threads=1, timeout=PATIENCE)
    with listen() as listener:
        pipe.send(listener.address)
        link = listener.accept(timeout=PATIENCE)
    if misbehaviour == "die":
        link.observer = lambda direction, name, payload: os._exit(3) if name == "he.query" else None
    seen = []

    def watch(direction, name, payload):
        seen.append((direction, name, len(payload)))

    link.observer = link.observer or watch
    bob.serve(link)
    context = bob._session[1]._context
    try:
        context.secret_key()
        decrypts = True
    except ValueError:
        decrypts = False
    pipe.send((context.has_secret_key(), context.is_public(), decrypts, seen))


@pytest.fixture
def start_bob():
    started = []

    def start(widths=(6, 5, 4, 3), misbehaviour=None):
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        process = context.Process(target=bob_process, args=(theirs, widths, misbehaviour), daemon=True)
        process.start()
        started.append(process)
        assert ours.poll(PATIENCE)
        return connect(*ours.recv(), timeout=PATIENCE), ours, process

    yield start
    for process in started:
        process.kill()
        process.join(10)


def test_two_processes_agree_with_the_plaintext_network(start_bob, make_features):
    widths = (7, 5, 4)
    link, pipe, process = start_bob(widths)
    features = make_features(MAX_PART + 1, 7)
    network = PolynomialNetwork.of(build(widths=widths))
    alice = Alice(reveal="logits", threads=1, timeout=PATIENCE)
    alice.prepare(link)
    keys = link.traffic.snapshot()
    alice.prepare(link)
    assert link.traffic == keys  # once per session
    answer = alice.ask(features, link)
    again = alice.ask(features[:2], link)
    query = link.traffic.since(keys)
    link.close()

    expected = network.logits(features)
    assert answer.labels.dtype == np.int64
    assert answer.scores.dtype == np.float32
    assert np.abs(answer.scores - expected).max() <= MAX_SHOWN_ERROR
    np.testing.assert_array_equal(answer.scores / LOGIT_STEP, np.round(answer.scores / LOGIT_STEP))
    sure = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 2e-2
    np.testing.assert_array_equal(answer.labels[sure], expected.argmax(axis=1)[sure])
    np.testing.assert_array_equal(again.labels, answer.labels[:2])
    assert query.rounds == 3  # two parts, then the second query
    assert query.bytes_sent > len(features) * 100_000
    assert query.bytes_received < query.bytes_sent

    assert pipe.poll(PATIENCE)
    has_secret, public, decrypts, seen = pipe.recv()
    assert not has_secret
    assert public
    assert not decrypts
    assert {name for direction, name, _ in seen if direction == "received"} == {
        "he.hello",
        "he.keys",
        "he.key",
        "he.query",
    }
    process.join(PATIENCE)
    assert process.exitcode == 0


def test_alice_notices_when_bob_dies_in_the_middle(start_bob, make_features):
    link, _, _ = start_bob(misbehaviour="die")
    alice = Alice(threads=1, timeout=PATIENCE)
    alice.prepare(link)
    start = time.monotonic()
    with pytest.raises(LinkClosed):
        alice.ask(make_features(1, 6), link)
    assert time.monotonic() - start < PATIENCE / 2


class Threaded:
    """Run one side in a thread and hand over its exception."""

    def __init__(self, work, *arguments):
        self.error = None

        def run():
            try:
                work(*arguments)
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def ended(self, timeout=60):
        self.thread.join(timeout)
        assert not self.thread.is_alive()
        return self.error


@pytest.fixture(scope="module")
def honest_bob(module):
    return Bob(module, mode="tenseal", threads=1, timeout=60)


@pytest.fixture(scope="module")
def session(module):
    """An honest pair in one process, with Bob serving in a thread; for tests that leave it working."""
    left, right = pair(timeout=120)
    Threaded(Bob(module, mode="tenseal", threads=1, timeout=60).serve, right)
    alice = Alice(threads=1, timeout=60)
    alice.prepare(left)
    yield alice, left
    left.close()


@pytest.fixture
def opened(honest_bob, material):
    """A link on which keys made earlier were sent to an honest Bob, and his thread; for tests that end it."""
    left, right = pair(timeout=120)
    thread = Threaded(honest_bob.serve, right)
    left.send("he.hello", encode(Hello(VERSION)))
    left.receive("he.model", limit=4096)
    send_keys(left, material)
    left.receive("he.ready", limit=100)
    yield left, thread
    left.close()


def test_only_the_class_is_given_out_by_default(session, make_features):
    alice, link = session
    answer = alice.ask(make_features(1, 6), link)
    assert answer.scores is None
    assert answer.labels.shape == (1,)


def test_alice_does_not_wait_for_a_silent_bob(honest_bob, make_features):
    left, right = pair(timeout=120)

    def silent():
        parameters = honest_bob.plan.parameters
        right.receive("he.hello", limit=4096)
        right.send("he.model", encode(Published(honest_bob.description)))
        receive_keys(right, parameters.key_bytes, 60)
        right.send("he.ready", encode(Ready(VERSION)))
        right.receive("he.query", limit=10_000_000)

    bob = Threaded(silent)
    alice = Alice(threads=1, timeout=60)
    alice.prepare(left)
    alice.timeout = 0.5
    start = time.monotonic()
    with pytest.raises(LinkTimeout):
        alice.ask(make_features(1, 6), left)
    assert time.monotonic() - start < 50
    assert bob.ended() is None


def test_values_outside_the_range_are_clipped_and_counted(session, make_features, caplog):
    alice, link = session
    inside = make_features(2, 6)
    outside = inside.copy()
    inside[0, :2], outside[0, :2] = (1, -1), (40, -1.5)
    expected = alice.ask(inside, link)
    assert alice.clipped == 0
    assert not caplog.records
    answer = alice.ask(outside, link)
    assert alice.clipped == 2
    assert "2 of 12 feature values lay outside [-1, 1]" in caplog.text
    np.testing.assert_array_equal(answer.labels, expected.labels)


@pytest.mark.parametrize(
    "features", [np.zeros((2, 5)), np.zeros(6), np.zeros((0, 6)), np.full((1, 6), 1j), [["features"] * 6]]
)
def test_features_that_do_not_fit_are_refused_before_anything_is_sent(session, features):
    alice, link = session
    before = link.traffic.snapshot()
    with raises_code(BadValue, ("not-numbers", "wrong-shape")):
        alice.ask(features, link)
    assert link.traffic == before


@pytest.mark.parametrize(("value", "taken"), [(np.nan, 0.0), (np.inf, 1.0), (-np.inf, -1.0)])
def test_values_that_are_not_finite_are_replaced_with_a_warning(session, value, taken):
    alice, link = session
    answer = alice.ask(np.full((1, 6), value), link)
    assert answer.labels.tolist() == alice.ask(np.full((1, 6), taken), link).labels.tolist()
    assert answer.warnings == ("6 of 6 feature values are NaN or infinite: check the recording",)


@pytest.mark.parametrize("agreed", [{"inputs": 7}, {"classes": 4}])
def test_a_model_of_another_size_than_agreed_gets_no_keys(honest_bob, agreed):
    left, right = pair(timeout=20)

    def serve():
        right.receive("he.hello", limit=4096)
        right.send("he.model", encode(Published(honest_bob.description)))
        right.receive("he.keys", limit=4096)

    bob = Threaded(serve)
    with raises_code(FrameError, "other-model"):
        Alice(threads=1, timeout=20, **agreed).prepare(left)
    assert isinstance(bob.ended(), PeerError)


def test_serve_ends_when_alice_leaves(opened):
    link, thread = opened
    link.close()
    assert thread.ended() is None


def test_a_query_without_keys_is_refused(honest_bob):
    left, right = pair(timeout=5)
    bob = Threaded(honest_bob.answer, right)
    left.send("he.query", encode(Query(VERSION, True, (b"x",))))
    with raises_code(PeerError, "peer-gave-up", match="before it sent its keys"):
        left.receive("he.answer", limit=1000)
    assert isinstance(bob.ended(), FrameError)


def test_keys_of_another_session_do_not_count(opened, honest_bob):
    """A second link needs its own keys, whatever Bob still holds from the first."""
    left, right = pair(timeout=5)
    bob = Threaded(honest_bob.answer, right)
    left.send("he.query", encode(Query(VERSION, True, (b"x",))))
    with raises_code(PeerError, "peer-gave-up", match="before it sent its keys"):
        left.receive("he.answer", limit=1000)
    bob.ended()


@pytest.mark.parametrize("payload", [b"\xc1", encode(Query(VERSION, True, ()))])
def test_malformed_queries_are_refused(opened, payload):
    link, thread = opened
    link.send("he.query", payload)
    with pytest.raises(PeerError):
        link.receive("he.answer", limit=1000)
    assert isinstance(thread.ended(), FrameError)


def test_a_malformed_ciphertext_is_refused(opened):
    link, thread = opened
    link.send("he.query", encode(Query(VERSION, True, (b"not a ciphertext",))))
    with raises_code(PeerError, "peer-gave-up", match="malformed ciphertext"):
        link.receive("he.answer", limit=1000)
    assert isinstance(thread.ended(), FrameError)


def test_bob_refuses_a_secret_key(honest_bob, alice_context):
    left, right = pair(timeout=120)
    bob = Threaded(honest_bob.answer, right)
    left.send("he.hello", encode(Hello(VERSION)))
    left.receive("he.model", limit=4096)
    send_keys(left, alice_context.serialize(save_secret_key=True))
    with raises_code(PeerError, "peer-gave-up", match="sent a secret key"):
        left.receive("he.ready", limit=100)
    assert isinstance(bob.ended(), FrameError)


def test_bob_does_not_wait_for_keys_for_ever(module):
    left, right = pair(timeout=120)
    bob = Threaded(Bob(module, mode="tenseal", threads=1, timeout=0.5).answer, right)
    left.send("he.hello", encode(Hello(VERSION)))
    assert isinstance(bob.ended(10), LinkTimeout)


def test_alice_leaving_in_the_middle_of_a_query_is_not_the_end_of_a_session(opened, alice_context):
    link, thread = opened
    ciphertext = ts.ckks_vector(alice_context, [0.1] * 6).serialize()
    link.send("he.query", encode(Query(VERSION, False, (ciphertext,))))
    link.receive("he.answer", limit=1_000_000)
    link.close()
    assert isinstance(thread.ended(), LinkClosed)


def test_a_query_that_asks_for_answers_without_end_is_refused(opened, alice_context, monkeypatch):
    """Or the limit on queries of a session would be none on answers, from which Bob's model can be copied."""
    monkeypatch.setattr("sotto.he.bob.MAX_ANSWERS", 3)
    link, thread = opened
    ciphertext = ts.ckks_vector(alice_context, [0.1] * 6).serialize()
    for _ in range(2):
        link.send("he.query", encode(Query(VERSION, False, (ciphertext, ciphertext))))
    for _ in range(3):
        link.receive("he.answer", limit=1_000_000)
    with raises_code(PeerError, "peer-gave-up", match="more than 3 answers"):
        link.receive("he.answer", limit=1_000_000)
    assert thread.ended().code == "query-too-long"


def test_keys_are_taken_once_for_a_query(opened):
    link, thread = opened
    link.send("he.hello", encode(Hello(VERSION)))
    with raises_code(PeerError, "peer-gave-up", match="opened a session twice"):
        link.receive("he.model", limit=4096)
    assert thread.ended().code == "session-in-query"


def test_alice_sends_nothing_of_a_query_that_is_too_long(session, make_features, monkeypatch):
    monkeypatch.setattr("sotto.he.alice.MAX_ANSWERS", 2)
    alice, link = session
    before = link.traffic.snapshot()
    with raises_code(ValueError, "too-many-examples"):
        alice.ask(make_features(3, 6), link)
    assert link.traffic == before


def lowered(context, parameters, values):
    """An encryption of ``values`` at the level of an answer."""
    vector = ts.ckks_vector(context, values)
    for _ in range(parameters.levels):
        vector = vector * 1.0
    return vector.serialize()


#: What a malicious Bob makes of Alice's public context, and how she refuses it.
DISHONEST = [
    (lambda context, parameters: b"", "wrong-ciphertext"),
    (lambda context, parameters: bytes(1000), "malformed-ciphertext"),
    (lambda context, parameters: lowered(context, parameters, [0.1] * 4), "wrong-ciphertext"),
    (lambda context, parameters: lowered(context, parameters, [0.1] * 4000), "wrong-ciphertext"),
    (lambda context, parameters: ts.ckks_vector(context, [0.1] * 3).serialize(), "too-large"),
]


def test_answers_that_cannot_be_honest_are_refused_and_bob_is_not_told(honest_bob, make_features):
    description = msgspec.structs.replace(honest_bob.description, logit_bound=0.5)
    parameters = description.parameters()
    left, right = pair(timeout=120)

    def malicious():
        right.receive("he.hello", limit=4096)
        right.send("he.model", encode(Published(description)))
        context = public_context(receive_keys(right, parameters.key_bytes, 60), parameters, threads=1)
        right.send("he.ready", encode(Ready(VERSION)))
        right.receive("he.query", limit=10_000_000)
        right.send("he.answer", encode(Reply(VERSION, lowered(context, parameters, [1.9] * 3))))
        for reply, _ in DISHONEST:
            right.receive("he.query", limit=10_000_000)
            right.send("he.answer", encode(Reply(VERSION, reply(context, parameters))))
        right.receive("he.query", limit=10_000_000)

    bob = Threaded(malicious)
    alice = Alice(threads=1, timeout=60)
    (warning,) = alice.ask(make_features(1, 6), left).warnings
    assert "exceeds the bound" in warning  # she goes on: that a logit is too large tells of her features
    for _, code in DISHONEST:
        with raises_code(FrameError, code):
            alice.ask(make_features(1, 6), left)
    left.close()
    assert isinstance(bob.ended(), LinkClosed)  # not PeerError: no word from Alice


def test_alice_makes_no_keys_for_weak_parameters(honest_bob):
    left, right = pair(timeout=5)
    weak = msgspec.structs.replace(honest_bob.description, base=(60, 60))

    def serve():
        right.receive("he.hello", limit=4096)
        right.send("he.model", encode(Published(weak)))
        right.receive("he.keys", limit=4096)

    bob = Threaded(serve)
    with raises_code(FrameError, "insecure"):
        Alice(threads=1, timeout=5).ask(np.zeros((1, 6), np.float32), left)
    error = bob.ended()
    assert isinstance(error, PeerError)
    assert "128-bit" in str(error)


def test_models_and_options_that_do_not_fit_are_refused(module):
    with raises_code(ModelRefused, "has-relu"):
        Bob(MLP(6, (5,), 3))
    with raises_code(BadValue, "unknown-mode"):
        Bob(module, mode="paillier")
    with raises_code(BadValue, "unknown-reveal"):
        Alice(reveal="everything")


def test_reprs_show_no_secrets(session, honest_bob):
    alice, _ = session
    assert repr(alice) == "Alice(reveal='class', prepared)"
    assert "array" not in repr(honest_bob)
    assert repr(honest_bob) == "Bob(PolynomialNetwork(6-5-4-3, degrees=[2, 2]), mode='tenseal')"


def test_every_session_has_fresh_keys(parameters):
    contexts = [secret_context(parameters, threads=1) for _ in range(2)]
    stored = [context.secret_key().data.data() for context in contexts]
    assert [stored[0][i] for i in range(64)] != [stored[1][i] for i in range(64)]


def test_the_description_says_what_the_plan_says(honest_bob):
    description = honest_bob.description
    assert isinstance(description, Description)
    assert description.parameters() == honest_bob.plan.parameters
    assert description.proved


def test_bob_in_a_process_of_his_owners_is_the_same_with_no_session(honest_bob):
    other = Bob.__new__(Bob)
    other.__setstate__(honest_bob.__getstate__())
    assert other.description == honest_bob.description
    assert other.plan is honest_bob.plan
    assert other._session is None


def test_large_logits_are_rounded_in_proportion():
    logits = np.array([[0.3, -63.9], [1e6, 3.2]])
    shown = rounded(logits)
    np.testing.assert_allclose(shown[0], [0.296875, -63.8984375])
    step = LOGIT_STEP * 2.0**14
    np.testing.assert_array_equal(shown[1], [round(1e6 / step) * step, 0.0])


def test_whoever_waits_gives_up_when_the_link_does(module):
    """A service's --timeout is the link's: neither party waits longer of its own accord."""
    bob = Bob(module, mode="tenseal", threads=1)
    left, right = pair(timeout=0.2)
    with pytest.raises(LinkTimeout):
        Alice(threads=1).prepare(left)
    with pytest.raises(PeerError):
        bob.answer(right)  # he has her greeting, and that she gave up
    left, right = pair(timeout=0.2)
    left.send("he.hello", encode(Hello(VERSION)))
    with pytest.raises(LinkTimeout):
        bob.answer(right)  # he has her greeting, and waits for keys
    left.close()
    right.close()
