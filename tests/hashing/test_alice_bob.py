import multiprocessing
import queue
import threading

import msgspec
import numpy as np
import pytest

from sotto.hashing import Alice, Bob, HammingSVC, HashingError, HashKey, pack, training_hashes
from sotto.hashing.messages import ANSWER, HELLO, QUERY, READY, Hello, Query, Ready, Reply
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import bytes_per_hash
from sotto.link import Array, FrameError, LinkError, PeerError, connect, encode, listen, pair
from tests.error_codes import raises_code

CLASSES = ("calm", "sad", "angry")


@pytest.fixture(scope="module")
def classifier(material):
    train = material.speakers < 6
    hashes = training_hashes(material.key, material.features[train], material.labels[train], classes=CLASSES)
    return HammingSVC(C=2.0, gamma=4.0).fit(hashes.hashes, hashes.labels, fingerprint=hashes.fingerprint)


@pytest.fixture
def link_to(request):
    """A link to a Bob who serves in a thread; what he raised is in the queue."""
    started = []

    def start(bob):
        ours, theirs = pair(timeout=60)
        raised = queue.SimpleQueue()

        def serve():
            with theirs:
                try:
                    bob.serve(theirs)
                except LinkError as error:
                    raised.put(error)

        thread = threading.Thread(target=serve)
        thread.start()
        started.append((ours, thread))
        return ours, raised

    yield start
    for ours, thread in started:
        ours.close()
        thread.join(60)
        assert not thread.is_alive()


def queries(material):
    return material.features[material.speakers >= 6]


def hello(material, **changes):
    p = material.key.parameters
    return msgspec.structs.replace(Hello(1, p.k, p.symbols, material.key.fingerprint, "class"), **changes)


def reply(link, name, payload, expected):
    link.send(name, payload)
    return link.receive(expected, limit=10_000)


def test_answers_are_the_classifiers(material, classifier, link_to):
    x = queries(material)
    expected = classifier.predict(modular_hash(x, material.key))
    link, _ = link_to(Bob(classifier, classes=CLASSES, reveal="logits"))
    alice = Alice(material.key)
    answer = alice.ask(x, link)
    assert np.array_equal(answer.labels, expected)
    assert answer.labels.dtype == np.int64
    assert answer.scores is None
    assert alice.classes == CLASSES
    assert np.array_equal(alice.ask(x[:1], link).labels, expected[:1])


def test_scores_on_request_if_bob_agrees(material, classifier, link_to):
    x = queries(material)
    link, _ = link_to(Bob(classifier, reveal="logits"))
    answer = Alice(material.key, reveal="logits").ask(x, link)
    expected = classifier.decision_function(modular_hash(x, material.key))
    assert answer.scores.dtype == np.float32
    assert np.allclose(answer.scores, expected, atol=1e-6)
    assert np.array_equal(answer.scores.argmax(1), answer.labels)
    link, _ = link_to(Bob(classifier))
    with raises_code(PeerError, "peer-gave-up", match="classes only"):
        Alice(material.key, reveal="logits").ask(x, link)


def test_two_classes(material, link_to):
    chosen = material.labels < 2
    hashes = modular_hash(material.features[chosen], material.key)
    binary = HammingSVC().fit(pack(hashes, 3), material.labels[chosen])
    link, _ = link_to(Bob(binary, reveal="logits"))
    answer = Alice(material.key, reveal="logits").ask(material.features[chosen], link)
    assert np.array_equal(answer.labels, binary.predict(hashes))
    assert answer.scores.shape == (chosen.sum(), 2)


def test_one_round_trip_and_two_bits_a_symbol(material, classifier, link_to):
    link, _ = link_to(Bob(classifier))
    alice, x = Alice(material.key), queries(material)
    alice.prepare(link)
    alice.prepare(link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 1
    before = link.traffic.bytes_sent
    alice.ask(x, link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 2
    assert 0 < link.traffic.bytes_sent - before - len(x) * bytes_per_hash(3, 384) < 100


def test_an_empty_query(material, classifier, link_to):
    link, _ = link_to(Bob(classifier, reveal="logits"))
    answer = Alice(material.key, reveal="logits").ask(np.zeros((0, 12), np.float32), link)
    assert answer.labels.shape == (0,)
    assert answer.scores.shape == (0, 3)


def test_nothing_but_hashes_leaves_alice(material, classifier, link_to):
    link, _ = link_to(Bob(classifier))
    sent = []
    link.observer = lambda direction, name, payload: sent.append((direction, name, bytes(payload)))
    x = queries(material)[:1]
    Alice(material.key).ask(x, link)
    names = [name for direction, name, _ in sent if direction == "sent"]
    assert names == [HELLO, QUERY]
    stream = b"".join(payload for direction, _, payload in sent if direction == "sent")
    for secret in (x, x.astype(np.float64), material.key.matrix[0], material.key.dither):
        assert secret.tobytes()[:16] not in stream


def test_another_key_is_refused(material, classifier, link_to):
    link, _ = link_to(Bob(classifier))
    with raises_code(PeerError, "peer-gave-up", match="another key"):
        Alice(HashKey.generate(material.key.parameters)).ask(queries(material), link)


def test_more_than_bob_takes_is_refused_before_sending(material, classifier, link_to):
    link, _ = link_to(Bob(classifier, most=5))
    with raises_code(HashingError, "too-many-hashes"):
        Alice(material.key).ask(queries(material), link)
    assert len(Alice(material.key).ask(queries(material)[:5], link).labels) == 5


@pytest.mark.parametrize(
    "message",
    [
        (HELLO, b""),
        (HELLO, b"\xff" * 50),
        (HELLO, {"k": 2}),
        (HELLO, {"symbols": -1}),
        (HELLO, {"version": 2}),
        (HELLO, {"fingerprint": "é" * 10}),
        (HELLO, b"\x00" * 4096),
        (QUERY, b""),
    ],
)
def test_a_bad_greeting_is_refused_and_alice_is_told(material, classifier, link_to, message):
    link, raised = link_to(Bob(classifier))
    name, content = message
    payload = content if isinstance(content, bytes) else encode({**msgspec.to_builtins(hello(material)), **content})
    with pytest.raises(PeerError):
        reply(link, name, payload, READY)
    assert isinstance(raised.get(timeout=60), FrameError)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"\x93\x01\x02",
        Query(1, 1, b""),
        Query(1, 2, bytes(96)),
        Query(1, -1, b""),
        Query(1, 10**12, bytes(96)),
        Query(1, 1, b"\xff" * 96),
        Query(1, 17, bytes(17 * 96)),
        bytes(10**6),
    ],
)
def test_a_malformed_query_is_refused_and_alice_is_told(material, classifier, link_to, query):
    link, raised = link_to(Bob(classifier, most=16))
    link.send(HELLO, encode(hello(material)))
    link.receive(READY, limit=10_000)
    with pytest.raises(PeerError):
        reply(link, QUERY, query if isinstance(query, bytes) else encode(query), ANSWER)
    error = raised.get(timeout=60)
    assert isinstance(error, FrameError)
    assert "\n" not in str(error)


def test_random_queries_never_do_anything_but_answer_or_refuse(material, classifier, link_to):
    rng = np.random.default_rng(0)
    good = encode(Query(1, 2, pack(modular_hash(queries(material)[:2], material.key), 3).to_bytes()))
    for _ in range(30):
        link, raised = link_to(Bob(classifier, most=16))
        link.send(HELLO, encode(hello(material)))
        link.receive(READY, limit=10_000)
        broken = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            broken[place] = rng.integers(0, 256)
        link.send(QUERY, broken)
        try:
            link.receive(ANSWER, limit=10_000)
        except PeerError:
            assert isinstance(raised.get(timeout=60), FrameError)


def answered(material, ready, reply):
    """What Alice makes of a Bob who says ``ready`` and ``reply``."""
    ours, theirs = pair(timeout=5)

    def bob():
        with theirs:
            theirs.receive(HELLO, limit=1000)
            theirs.send(READY, encode(ready))
            theirs.receive(QUERY, limit=10_000)
            theirs.send(ANSWER, encode(reply))

    thread = threading.Thread(target=bob)
    thread.start()
    try:
        return Alice(material.key).ask(queries(material)[:2], ours)
    finally:
        ours.close()
        thread.join(5)


READY_GOOD = Ready(1, CLASSES, 100)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 3]),
        np.array([-1, 0]),
        np.array([0]),
        np.array([0.0, 1.0]),
        np.array([[0, 1]]),
        np.zeros(1000, np.int64),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_alice_refuses_answers_that_are_none(material, labels):
    with pytest.raises(FrameError):
        answered(material, READY_GOOD, Reply(1, Array.of(labels), None))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_alice_refuses_scores_she_did_not_ask_for_and_bobs_without_classes(material):
    labels = Array.of(np.array([0, 1]))
    assert answered(material, READY_GOOD, Reply(1, labels, None)).labels.tolist() == [0, 1]
    with raises_code(FrameError, "wrong-form"):
        answered(material, READY_GOOD, Reply(1, labels, Array.of(np.zeros((2, 3), np.float32))))
    with raises_code(FrameError, "bad-terms"):
        answered(material, Ready(1, (), 100), Reply(1, labels, None))
    with raises_code(FrameError, "bad-terms"):
        answered(material, Ready(1, CLASSES, 0), Reply(1, labels, None))


def test_bob_knows_when_alice_has_gone(material, classifier):
    ours, theirs = pair(timeout=5)
    ours.close()
    assert Bob(classifier).answer(theirs) is False


def test_constructors_refuse_what_they_cannot_use(material, classifier, tmp_path):
    for call in (
        lambda: Alice(material.key, reveal="everything"),
        lambda: Bob(classifier, reveal="everything"),
        lambda: Bob(classifier, most=0),
        lambda: Bob(classifier, classes=("calm", "sad")),
        lambda: Bob(HammingSVC()),
        lambda: Bob(HammingSVC().fit(material.features, material.labels)),
        lambda: Bob(tmp_path / "missing"),
        lambda: Alice(tmp_path / "missing"),
    ):
        with pytest.raises(HashingError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_neither_party_shows_secrets(material, classifier):
    shown = repr(Alice(material.key)) + repr(Bob(classifier))
    assert f"{material.key.matrix[0, 0]:.4f}" not in shown
    assert material.key.fingerprint in shown


def serve_once(path, addresses):
    """Bob in a process of his own, with nothing but the path of his classifier."""
    with listen() as listener:
        addresses.put(listener.address)
        with listener.accept(timeout=60) as link:
            Bob(path, classes=CLASSES, reveal="logits").serve(link)


def ask_once(key, features, addresses, answers):
    """Alice in a process of her own, with the path of her key."""
    with connect(*addresses.get(timeout=60), timeout=60) as link:
        answer = Alice(key, reveal="logits").ask(features, link)
        answers.put((answer.labels, answer.scores, link.traffic.bytes_sent))


def test_a_query_between_two_processes(material, classifier, tmp_path):
    classifier.save(tmp_path / "model.safetensors")
    material.key.save(tmp_path / "key.safetensors")
    x = queries(material)
    server = multiprocessing.get_context("forkserver")
    addresses, answers = server.Queue(), server.Queue()
    bob = server.Process(target=serve_once, args=(tmp_path / "model.safetensors", addresses))
    alice = server.Process(target=ask_once, args=(tmp_path / "key.safetensors", x, addresses, answers))
    bob.start()
    alice.start()
    labels, scores, sent = answers.get(timeout=60)
    for process in (alice, bob):
        process.join(30)
        assert process.exitcode == 0
    hashes = modular_hash(x, material.key)
    assert np.array_equal(labels, classifier.predict(hashes))
    assert np.allclose(scores, classifier.decision_function(hashes), atol=1e-6)
    assert sent > len(x) * bytes_per_hash(3, 384)


@pytest.mark.parametrize(("value", "taken"), [(np.nan, 0.0), (np.inf, 2.0**64), (1e300, 2.0**64)])
def test_values_that_are_not_finite_or_huge_are_replaced_with_a_warning(link_to, material, classifier, value, taken):
    link, _ = link_to(Bob(classifier))
    odd = Alice(material.key).ask(np.full((1, 12), value), link)
    assert len(odd.warnings) == 1
    assert odd.labels.tolist() == Alice(material.key).ask(np.full((1, 12), taken), link).labels.tolist()
