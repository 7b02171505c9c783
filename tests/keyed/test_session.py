"""A query between two real processes, and what each of them holds."""

import gc
import multiprocessing
import threading

import numpy as np
import pytest
import torch

from sotto.keyed import (
    KEY_TYPES,
    Alice,
    Bob,
    Key,
    WrongShapeError,
    encrypt,
    encrypt_model,
    generate_key,
    save_encrypted_model,
    save_key,
)
from sotto.keyed.messages import HELLO, QUERY, READY, REPLY, REPLY_LIMIT, Hello, Query, Reply
from sotto.link import (
    MOST_CLASSES,
    Array,
    BadValue,
    FrameError,
    Link,
    LinkClosed,
    PeerError,
    connect,
    decode,
    encode,
    listen,
    pair,
)
from sotto.models import ModelRecord
from sotto.models.learning.training import predict
from sotto.models.networks.patch_cnn import SpectrogramPatchCNN, WavePatchCNN
from tests.error_codes import raises_code

SMALL = {"classes": 4, "channels": 4, "width": 6}


def network(dimension, seed=0):
    torch.manual_seed(seed)
    if dimension == 1:
        return WavePatchCNN(block_size=10, **SMALL).eval(), np.random.default_rng(0).normal(size=(5, 4003))
    return SpectrogramPatchCNN(block_size=4, **SMALL).eval(), np.random.default_rng(0).normal(size=(5, 1, 32, 50))


def host(path, ready, seen):
    """Bob's process: it is given the path of the encrypted model and nothing else."""
    received = []
    with listen("127.0.0.1", 0) as listener:
        ready.put(listener.address[1])
        link = listener.accept()
        link.observer = lambda way, name, payload: received.append((way, name, bytes(payload)))
        bob = Bob(path, reveal="logits")
        bob.serve(link)
    gc.collect()
    keys = sum(isinstance(thing, Key) for thing in gc.get_objects())
    weights = [p.detach().numpy() for p in bob._model.parameters()]
    seen.put((received, keys, weights))


@pytest.mark.parametrize(
    ("kind", "dimension"), [pytest.param("shuffling", 1, marks=pytest.mark.slow), ("flipping", 2), ("rom", 1)]
)
def test_two_processes(tmp_path, kind, dimension):
    """Alice gets the plain model's answers; Bob's process holds no key, no plain kernel and no plain speech."""
    model, features = network(dimension)
    features = features.astype(np.float32)
    key = generate_key(kind, 10 if dimension == 1 else 4, dimension)
    architecture = "wave-patch-cnn" if dimension == 1 else "spectrogram-patch-cnn"
    arguments = {**SMALL, "block_size": key.block_size}
    record = ModelRecord(architecture=architecture, arguments=arguments, classes=("a", "b", "c", "d"))
    save_key(tmp_path / "key", key)
    save_encrypted_model(tmp_path / "model", model, key, record, example=torch.from_numpy(features))

    context = multiprocessing.get_context("forkserver")
    ready, seen = context.Queue(), context.Queue()
    process = context.Process(target=host, args=(tmp_path / "model", ready, seen), daemon=True)
    process.start()
    link = connect("127.0.0.1", ready.get(timeout=60))
    alice = Alice(tmp_path / "key", reveal="logits")
    answer = alice.ask(features, link)
    again = Alice(key).ask(features[:1], link)
    link.close()
    received, keys, weights = seen.get(timeout=60)
    process.join(timeout=60)
    assert process.exitcode == 0

    plain = predict(model, features)
    np.testing.assert_allclose(answer.scores, plain, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(answer.labels, plain.argmax(1))
    np.testing.assert_array_equal(again.labels, plain[:1].argmax(1))
    assert again.scores is None
    if kind == "flipping":
        assert (answer.scores == plain).all()

    assert keys == 0
    assert not any(w.shape == p.shape and (w == p).all() for w in weights for p in [first_kernel(model)])
    arrived = [(name, payload) for way, name, payload in received if way == "received"]
    assert [name for name, _ in arrived] == [HELLO, QUERY, HELLO, QUERY]
    speech = decode(arrived[1][1], Query).speech.numpy(dtype=np.float32, shape=(None,) * features.ndim)
    # The sums of a matrix product depend on how many threads a busy machine gives them.
    expected = encrypt(torch.from_numpy(features), key).numpy()
    np.testing.assert_allclose(speech, expected, rtol=0, atol=1e-6 if kind == "rom" else 0)
    everything = b"".join(payload for _, payload in arrived)
    for clip in features.reshape(len(features), -1):
        # Flipping leaves half of the values as they are, and now and then several in a row.
        some = len(clip) // 2 if kind == "flipping" else 4
        assert not any(clip[i : i + some].tobytes() in everything for i in range(0, len(clip) - some, 97))


def first_kernel(model):
    return model.patches.weight.detach().numpy()


def in_thread(bob, link):
    """Run Bob beside the test; what he raised is in the list."""
    raised = []

    def run():
        try:
            bob.serve(link)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


@pytest.fixture
def hosted():
    """A link to a Bob in a thread, a call that waits for his errors, the plain model, features and the key."""
    model, features = network(1)
    key = generate_key("rom", 10, seed=1)
    mine, his = pair()
    thread, raised = in_thread(
        Bob(
            encrypt_model(model, key, example=torch.from_numpy(features).float()),
            fingerprint=key.fingerprint,
            batch=2,
            reveal="logits",
        ),
        his,
    )

    def errors():
        thread.join(timeout=60)
        return raised

    yield mine, errors, model, features.astype(np.float32), key
    mine.close()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_set_up_happens_once_and_before_any_speech(hosted):
    link, _, _, features, key = hosted
    alice = Alice(key)
    alice.prepare(link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 1
    alice.prepare(link)
    alice.ask(features, link)
    alice.ask(features, link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 3


def test_one_round_trip_of_one_message_each_way(hosted):
    link, _, _, features, key = hosted
    alice = Alice(key)
    alice.prepare(link)
    before = link.traffic.bytes_sent
    alice.ask(features, link)
    sent = link.traffic.bytes_sent - before
    assert 4 * 5 * 4000 <= sent < 4 * 5 * 4000 + 200  # the tail of 3 samples is not sent


def test_another_key_is_noticed_before_speech_leaves(hosted):
    link, errors, _, features, _ = hosted
    alice = Alice(generate_key("rom", 10, seed=2))
    with raises_code(PeerError, "peer-gave-up", match="encrypted for another key"):
        alice.ask(features, link)
    assert link.traffic.messages_sent == 1
    assert link.traffic.bytes_sent < 300
    assert [type(error) for error in errors()] == [FrameError]


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_wrong_key_and_no_key_give_noise(kind):
    """A Bob who does not check keys: the paper's "incorrect key" and "plain" columns."""
    model, features = network(1)
    features = features.astype(np.float32)
    key, other = generate_key(kind, 10, seed=1), generate_key(kind, 10, seed=2)
    encrypted = encrypt_model(model, key, example=torch.from_numpy(features))
    plain = predict(model, features)
    spread = plain.std(0).mean()
    for used, close in ((key, True), (other, False)):
        mine, his = pair()
        thread, _ = in_thread(Bob(encrypted, reveal="logits"), his)
        scores = Alice(used, reveal="logits").ask(features, mine).scores
        mine.close()
        thread.join(timeout=60)
        assert (np.abs(scores - plain).max() < 1e-4) == close
        assert (np.abs(scores - plain).mean() > spread / 10) != close
    assert np.abs(predict(encrypted, features) - plain).mean() > spread / 10


@pytest.mark.parametrize(
    "features",
    [
        np.zeros(4000, np.float32),
        np.zeros((0, 4000), np.float32),
        np.zeros((2, 9), np.float32),
        np.full((2, 4000), 1j),
        "features",
    ],
)
def test_features_that_are_refused_before_anything_is_sent(features):
    mine, _ = pair()
    with raises_code(WrongShapeError, ("not-numbers", "too-short", "wrong-shape")):
        Alice(generate_key("rom", 10)).ask(features, mine)
    assert mine.traffic.bytes_sent == 0


def test_speech_without_a_greeting_is_not_taken(hosted):
    link, errors, _, features, _ = hosted
    link.send(QUERY, query(features))
    with raises_code(PeerError, "peer-gave-up", match=f"'{HELLO}' was expected"):
        link.receive(REPLY, limit=1 << 20)
    assert [type(error) for error in errors()] == [FrameError]


def test_scores_only_from_a_provider_who_reveals_them():
    model, features = network(1)
    mine, his = pair()
    thread, raised = in_thread(Bob(model, reveal="class"), his)
    with raises_code(PeerError, "peer-gave-up", match="reveals classes only"):
        Alice(generate_key("rom", 10), reveal="logits").ask(features.astype(np.float32), mine)
    thread.join(timeout=60)
    assert [type(error) for error in raised] == [FrameError]


def query(array, reveal="class"):
    return encode(Query(Array.of(array), reveal))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (QUERY, b""),
        (QUERY, b"\xc1" * 40),
        (QUERY, query(np.zeros((2, 4000), np.float64))),
        (QUERY, query(np.zeros(4000, np.float32))),
        (QUERY, query(np.zeros((0, 4000), np.float32))),
        (QUERY, query(np.zeros((2, 5), np.float32))),
        (QUERY, query(np.zeros((2, 3, 4000), np.float32))),
        (QUERY, query(np.zeros((2,) * 9, np.float32))),
        (QUERY, encode(Query(Array("float32", (1 << 40, 4000), b"\0" * 16), "class"))),
        (QUERY, encode(Query(Array("float32", (-1, -4), b"\0" * 16), "class"))),
        (QUERY, encode(Query(Array("object", (2, 2), b"\0" * 32), "class"))),
        (QUERY, query(np.zeros((1, 4000), np.float32), "weights")),
        (HELLO, encode(Hello(2, "0" * 32))),
        (HELLO, encode(Hello(1, "0" * 32))),
        (HELLO, b"\x00" * 4096),
        ("keyed.other", b"x"),
    ],
)
def test_bob_refuses_malformed_messages_and_says_so(hosted, name, payload):
    link, errors, _, _, key = hosted
    Alice(key).prepare(link)
    link.send(name, payload)
    with pytest.raises(PeerError) as caught:
        link.receive(REPLY, limit=1 << 20)
    assert "\n" not in str(caught.value)
    assert [type(error) for error in errors()] == [FrameError]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        encode(Reply(Array.of(np.zeros(4, np.int64)), None)),
        encode(Reply(Array.of(np.zeros(5, np.int32)), None)),
        encode(Reply(Array.of(np.full(5, -1)), None)),
        encode(Reply(Array.of(np.full(5, 1 << 20)), None)),
        encode(Reply(Array.of(np.zeros(5, np.int64)), Array.of(np.zeros((5, 4), np.float32)))),
    ],
)
def test_alice_refuses_answers_that_do_not_fit(reply):
    mine, his = pair()

    def bob():
        his.receive(HELLO, limit=1 << 10)
        his.send(READY, b"\x81\xa7version\x01")
        his.receive(QUERY, limit=1 << 20)
        his.send(REPLY, reply)

    thread = threading.Thread(target=bob, daemon=True)
    thread.start()
    with pytest.raises(FrameError):
        Alice(generate_key("rom", 10)).ask(np.ones((5, 100), np.float32), mine)
    thread.join(timeout=60)


@pytest.mark.parametrize("scores", [np.zeros((5, 0)), np.zeros((4, 4)), np.full((5, 4), np.nan), np.zeros((5, 2))])
def test_alice_checks_scores(scores):
    mine, his = pair()

    def bob():
        his.receive(HELLO, limit=1 << 10)
        his.send(READY, b"\x81\xa7version\x01")
        his.receive(QUERY, limit=1 << 20)
        his.send(REPLY, encode(Reply(Array.of(np.full(5, 2)), Array.of(scores.astype(np.float32)))))

    thread = threading.Thread(target=bob, daemon=True)
    thread.start()
    with pytest.raises(FrameError):
        Alice(generate_key("rom", 10), reveal="logits").ask(np.ones((5, 100), np.float32), mine)
    thread.join(timeout=60)


def test_bob_ends_quietly_when_alice_leaves(hosted):
    link, errors, *_ = hosted
    link.close()
    assert errors() == []


def test_alice_hears_of_a_bob_who_leaves():
    mine, his = pair()
    his.close()
    with pytest.raises(LinkClosed):
        Alice(generate_key("rom", 10)).ask(np.ones((5, 100), np.float32), mine)


def test_a_model_that_is_no_classifier_is_reported():
    mine, his = pair()
    thread, raised = in_thread(Bob(torch.nn.Conv1d(1, 2, 10, 10)), his)
    with raises_code(PeerError, "peer-gave-up", match="no classifier"):
        Alice(generate_key("rom", 10)).ask(np.ones((5, 1, 100), np.float32), mine)
    thread.join(timeout=60)
    assert len(raised) == 1


class Returning(torch.nn.Module):
    """A classifier whose logits go through the function given."""

    def __init__(self, returned):
        super().__init__()
        self.returned, self.first = returned, torch.nn.Conv1d(1, 3, 10, 10)

    def forward(self, x):
        return self.returned(self.first(x).mean(2))


@pytest.mark.parametrize(
    "returned",
    [
        lambda y: (y, y),
        lambda y: {"logits": y},
        lambda y: None,
        lambda y: y.sum(),
        lambda y: y[0],
        lambda y: y[:, :0],
        lambda y: y[:1],
        lambda y: y[:, : len(y)],  # batches of 2, 2 and 1
    ],
)
def test_answers_that_are_no_rows_of_logits_are_reported(returned):
    mine, his = pair()
    thread, raised = in_thread(Bob(Returning(returned), batch=2), his)
    with raises_code(PeerError, "peer-gave-up", match="no classifier"):
        Alice(generate_key("rom", 10)).ask(np.ones((5, 1, 100), np.float32), mine)
    thread.join(timeout=60)
    assert [type(error) for error in raised] == [FrameError]


def test_any_failure_of_the_model_is_reported():
    def fails(y):
        raise AssertionError("expected more")

    mine, his = pair()
    thread, raised = in_thread(Bob(Returning(fails)), his)
    with raises_code(PeerError, "peer-gave-up", match="does not take speech of shape"):
        Alice(generate_key("rom", 10)).ask(np.ones((5, 1, 100), np.float32), mine)
    thread.join(timeout=60)
    assert [type(error) for error in raised] == [FrameError]


@pytest.mark.parametrize(
    ("reveal", "examples", "most"),
    [("class", 5, 4096 + 8 * 5), ("logits", 5, 4096 + 5 * (8 + 4 * MOST_CLASSES)), ("logits", 5000, REPLY_LIMIT)],
)
def test_alice_takes_no_more_than_a_reply_can_hold(monkeypatch, reveal, examples, most):
    limits = {}

    def receive(link, name, *, limit, timeout=None):
        limits[name] = limit
        if name == REPLY:
            raise LinkClosed("peer-closed", "enough")
        return original(link, name, limit=limit, timeout=timeout)

    original = Link.receive
    monkeypatch.setattr(Link, "receive", receive)
    mine, his = pair()
    his.send(READY, b"\x81\xa7version\x01")
    with pytest.raises(LinkClosed):
        Alice(generate_key("rom", 10), reveal=reveal).ask(np.ones((examples, 10), np.float32), mine)
    assert limits[REPLY] == most


def test_nothing_printed_holds_secrets():
    key = generate_key("rom", 10)
    assert repr(Alice(key)) == f"<Alice with {key!r}>"
    assert repr(Bob(torch.nn.Conv1d(1, 2, 10, 10))) == "<Bob with an encrypted Conv1d>"


def test_misuse_of_the_doors():
    with raises_code(BadValue, "unknown-reveal"):
        Alice(generate_key("rom", 10), reveal="everything")
    with raises_code(BadValue, "empty-batch"):
        Bob(torch.nn.Conv1d(1, 2, 10, 10), batch=0)
