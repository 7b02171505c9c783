"""A query between two real processes, and what each of them holds."""

import gc
import multiprocessing
import threading

import numpy as np
import pytest
import torch

from sotto.adversarial.alice import Alice
from sotto.adversarial.bob import Bob
from sotto.adversarial.errors import WrongShapeError
from sotto.adversarial.messages import HELLO, QUERY, READY, REPLY, Hello, Query, Ready, Reply
from sotto.adversarial.model_file import save_classifier, save_sensor
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.fingerprint import features_of, fingerprint
from sotto.adversarial.sensor.sensor import Sensor
from sotto.link import Array, BadValue, FrameError, LinkClosed, PeerError, connect, decode, encode, listen, pair
from sotto.models import ModelRecord
from sotto.models.architectures import ModelError
from tests.error_codes import raises_code

SIZES = {"rate": 8000, "separation": (4, 8), "extractor": (8, 16), "dimensions": 12}
CLASSES = ("bark", "horn", "siren")
SAMPLES = 8000


def networks(seed=0, mask="continuous"):
    torch.manual_seed(seed)
    return Sensor(mask=mask, **SIZES).eval(), Classifier(len(CLASSES), SIZES["dimensions"]).eval()


def sounds(n=5):
    return np.random.default_rng(0).normal(size=(n, SAMPLES)).astype(np.float32)


def files(folder, sensor, classifier):
    arguments = {**SIZES, "mask": sensor.mask}
    save_sensor(folder / "sensor", sensor, ModelRecord(architecture="sensor", arguments=arguments, classes=()))
    record = ModelRecord(
        architecture="event-classifier",
        arguments={"classes": len(CLASSES), "dimensions": SIZES["dimensions"]},
        classes=CLASSES,
        features=features_of(sensor),
    )
    save_classifier(folder / "classifier", classifier, record)


def host(path, ready, seen):
    """Bob's process: it is given the path of the classifier and nothing else."""
    received = []
    with listen("127.0.0.1", 0) as listener:
        ready.put(listener.address[1])
        link = listener.accept()
        link.observer = lambda way, name, payload: received.append((way, name, bytes(payload)))
        bob = Bob(path, reveal="logits")
        bob.serve(link)
    gc.collect()
    sensors = sum(isinstance(thing, Sensor) for thing in gc.get_objects())
    seen.put((received, sensors))


def test_two_processes(tmp_path):
    """Alice gets the classifier's answers; all that Bob's process ever receives of a sound is its z."""
    sensor, classifier = networks()
    files(tmp_path, sensor, classifier)
    context = multiprocessing.get_context("forkserver")
    ready, seen = context.Queue(), context.Queue()
    process = context.Process(target=host, args=(tmp_path / "classifier", ready, seen), daemon=True)
    process.start()
    link = connect("127.0.0.1", ready.get(timeout=180))
    heard = sounds()
    answer = Alice(tmp_path / "sensor", reveal="logits").ask(heard, link)
    again = Alice(sensor).ask(heard[:1], link)
    link.close()
    received, sensors = seen.get(timeout=180)
    process.join(timeout=180)
    assert process.exitcode == 0

    with torch.inference_mode():
        z = sensor(torch.from_numpy(heard))
        logits = classifier(z).numpy()
    np.testing.assert_allclose(answer.scores, logits, rtol=0, atol=2e-3)  # z is rounded to float16
    np.testing.assert_array_equal(answer.labels, logits.argmax(1))
    np.testing.assert_array_equal(again.labels, logits[:1].argmax(1))
    assert again.scores is None

    arrived = [(name, payload) for way, name, payload in received if way == "received"]
    assert [name for name, _ in arrived] == [HELLO, QUERY, HELLO, QUERY]
    sent = decode(arrived[1][1], Query).z.numpy(dtype=np.float16, shape=(5, 12))
    assert (sent == z.to(torch.float16).numpy()).all()
    assert len(arrived[1][1]) < 5 * 12 * 2 + 100  # there is no room for a sound or a spectrogram
    assert sensors == 0
    everything = b"".join(payload for _, payload in arrived)
    for clip in heard:
        for form in (clip, clip.astype(np.float16)):
            assert not any(form[i : i + 3].tobytes() in everything for i in range(0, SAMPLES - 3, 97))


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
    """A link to a Bob in a thread, a call that waits for his errors, and the sensor."""
    sensor, classifier = networks()
    mine, his = pair()
    thread, raised = in_thread(Bob(classifier, sensor=fingerprint(sensor), reveal="logits"), his)

    def errors():
        thread.join(timeout=60)
        return raised

    yield mine, errors, sensor
    mine.close()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_set_up_happens_once_and_before_anything_of_the_sound(hosted):
    link, _, sensor = hosted
    alice = Alice(sensor)
    alice.prepare(link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 1
    alice.prepare(link)
    alice.ask(sounds(), link)
    alice.ask(sounds(), link)
    assert link.traffic.messages_sent == link.traffic.messages_received == 3


def test_the_answer_does_not_depend_on_the_batch():
    sensor, _ = networks()
    np.testing.assert_array_equal(
        Alice(sensor, batch=2).represent(sounds()).argmax(1), Alice(sensor, batch=5).represent(sounds()).argmax(1)
    )


def test_another_sensor_is_noticed_before_anything_of_the_sound_leaves(hosted):
    link, errors, _ = hosted
    with raises_code(PeerError, "peer-gave-up", match="for another sensor"):
        Alice(networks(seed=1)[0]).ask(sounds(), link)
    assert link.traffic.messages_sent == 1
    assert link.traffic.bytes_sent < 300
    assert [type(error) for error in errors()] == [FrameError]


def test_the_fingerprint_is_of_weights_and_settings():
    sensor, _ = networks()
    same, _ = networks()
    binary, _ = networks(mask="binary")
    other, _ = networks(seed=1)
    assert fingerprint(sensor) == fingerprint(same)
    assert len({fingerprint(each) for each in (sensor, binary, other)}) == 3


@pytest.mark.parametrize(
    "features",
    [
        np.zeros(SAMPLES, np.float32),
        np.zeros((0, SAMPLES), np.float32),
        np.zeros((1, 2, SAMPLES), np.float32),
        np.zeros((2, 0), np.float32),
        np.full((2, SAMPLES), 1j),
        "features",
    ],
)
def test_features_that_are_refused_before_anything_is_sent(features):
    mine, _ = pair()
    with pytest.raises(WrongShapeError) as caught:
        Alice(networks()[0]).ask(features, mine)
    assert "\n" not in str(caught.value)
    assert mine.traffic.bytes_sent == 0


def test_what_does_not_fit_float16_is_clipped_and_what_is_not_finite_replaced():
    sensor, _ = networks()
    assert np.isfinite(Alice(sensor).represent(np.full((1, SAMPLES), np.nan))).all()
    with torch.no_grad():
        sensor.extractor.project.weight.mul_(1e9)
    z = Alice(sensor).represent(sounds())
    assert np.abs(z).max() == np.finfo(np.float16).max


def test_nothing_is_taken_without_a_greeting(hosted):
    link, errors, _ = hosted
    link.send(QUERY, query(np.zeros((1, 12), np.float16)))
    with raises_code(PeerError, "peer-gave-up", match=f"'{HELLO}' was expected"):
        link.receive(REPLY, limit=1 << 20)
    assert [type(error) for error in errors()] == [FrameError]


def test_scores_only_from_a_bob_who_reveals_them():
    sensor, classifier = networks()
    mine, his = pair()
    thread, raised = in_thread(Bob(classifier, reveal="class"), his)
    with raises_code(PeerError, "peer-gave-up", match="reveals classes only"):
        Alice(sensor, reveal="logits").ask(sounds(), mine)
    thread.join(timeout=60)
    assert [type(error) for error in raised] == [FrameError]


def query(z, reveal="class"):
    return encode(Query(Array.of(z), reveal))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (QUERY, b""),
        (QUERY, b"\xc1" * 40),
        (QUERY, query(np.zeros((2, 12), np.float32))),
        (QUERY, query(np.zeros(12, np.float16))),
        (QUERY, query(np.zeros((0, 12), np.float16))),
        (QUERY, query(np.zeros((2, 13), np.float16))),
        (QUERY, query(np.full((2, 12), np.nan, np.float16))),
        (QUERY, query(np.full((2, 12), np.inf, np.float16))),
        (QUERY, encode(Query(Array("float16", (1 << 40, 12), b"\0" * 24), "class"))),
        (QUERY, encode(Query(Array("float16", (-1, 12), b"\0" * 24), "class"))),
        (QUERY, encode(Query(Array("object", (1, 12), b"\0" * 24), "class"))),
        (QUERY, query(np.zeros((1, 12), np.float16), "weights")),
        (HELLO, encode(Hello(2, "0" * 32, 12))),
        (HELLO, encode(Hello(1, "0" * 32, 12))),
        (HELLO, encode(Hello(1, "0" * 32, 64))),
        (HELLO, b"\x00" * 4096),
        ("adversarial.other", b"x"),
    ],
)
def test_bob_refuses_malformed_messages_and_says_so(hosted, name, payload):
    link, errors, sensor = hosted
    Alice(sensor).prepare(link)
    link.send(name, payload)
    with pytest.raises(PeerError) as caught:
        link.receive(REPLY, limit=1 << 20)
    assert "\n" not in str(caught.value)
    assert [type(error) for error in errors()] == [FrameError]


def answering(reply, classes=3):
    """A link to a Bob who has ``classes`` and says ``reply`` whatever he is asked."""
    mine, his = pair()

    def bob():
        his.receive(HELLO, limit=1 << 10)
        his.send(READY, encode(Ready(1, classes)))
        if reply is not None:
            his.receive(QUERY, limit=1 << 20)
            his.send(REPLY, reply)

    threading.Thread(target=bob, daemon=True).start()
    return mine


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        encode(Reply(Array.of(np.zeros(4, np.int64)), None)),
        encode(Reply(Array.of(np.zeros(5, np.int32)), None)),
        encode(Reply(Array.of(np.full(5, -1)), None)),
        encode(Reply(Array.of(np.full(5, 3)), None)),
        encode(Reply(Array.of(np.zeros(5, np.int64)), Array.of(np.zeros((5, 3), np.float32)))),
    ],
)
def test_alice_refuses_answers_that_do_not_fit(reply):
    with pytest.raises(FrameError):
        Alice(networks()[0]).ask(sounds(), answering(reply))


@pytest.mark.parametrize("scores", [np.zeros((5, 0)), np.zeros((4, 3)), np.full((5, 3), np.nan), np.zeros((5, 2))])
def test_alice_checks_scores(scores):
    reply = encode(Reply(Array.of(np.full(5, 2)), Array.of(scores.astype(np.float32))))
    with pytest.raises(FrameError):
        Alice(networks()[0], reveal="logits").ask(sounds(), answering(reply))


@pytest.mark.parametrize("classes", [0, -1, 1 << 30])
def test_alice_refuses_an_impossible_number_of_classes(classes):
    link = answering(None, classes)
    with raises_code(FrameError, "bad-classes"):
        Alice(networks()[0]).ask(sounds(), link)
    assert link.traffic.messages_sent == 1


def test_bob_ends_quietly_when_alice_leaves(hosted):
    link, errors, _ = hosted
    link.close()
    assert errors() == []


def test_alice_hears_of_a_bob_who_leaves():
    mine, his = pair()
    his.close()
    with pytest.raises(LinkClosed):
        Alice(networks()[0]).ask(sounds(), mine)


def test_each_side_refuses_the_file_of_the_other(tmp_path):
    files(tmp_path, *networks())
    with raises_code(ModelError, "not-a-sensor"):
        Alice(tmp_path / "classifier")
    with raises_code(ModelError, "not-a-classifier"):
        Bob(tmp_path / "sensor")


def test_nothing_printed_holds_more_than_a_public_name():
    sensor, classifier = networks()
    assert repr(Alice(sensor)) == f"<Alice with sensor {fingerprint(sensor)[:16]}>"
    assert repr(Bob(classifier)) == "<Bob with a classifier of 3 events>"


def test_misuse_of_the_doors():
    sensor, classifier = networks()
    with raises_code(BadValue, "unknown-reveal"):
        Alice(sensor, reveal="everything")
    with raises_code(BadValue, "empty-batch"):
        Alice(sensor, batch=0)
    with raises_code(BadValue, "unknown-reveal"):
        Bob(classifier, reveal="everything")
