"""Both sides of one-round-trip paradigms: the order Bob insists on, what Alice takes, what each is told of a fault."""

from __future__ import annotations

import threading

import msgspec
import numpy as np
import pytest

from sotto.link import (
    Array,
    BadValue,
    FrameError,
    LinkClosed,
    PeerError,
    Reply,
    RoundTrip,
    RoundTripAlice,
    RoundTripBob,
    decode,
    encode,
    pair,
)
from tests.error_codes import raises_code


class Hello(msgspec.Struct, frozen=True):
    name: str


class Ready(msgspec.Struct, frozen=True):
    classes: int


class Query(msgspec.Struct, frozen=True):
    numbers: tuple[int, ...]


TRIP = RoundTrip(("hello", Hello, 12), ("ready", Ready, 99), ("query", Query), ("reply", Reply))


class Bob(RoundTripBob[Hello, Ready, Query, Reply]):
    """Its class is the number itself; Eve is not served."""

    def __init__(self, scores=None, classes=3):
        super().__init__(TRIP, "logits", 24)
        self.scores, self.classes = scores, classes

    def _greet(self, hello):
        if hello.name == "Eve":
            raise FrameError("wrong-model", "this model is for somebody else")
        return Ready(self.classes)

    def _reply(self, query, hello):
        return Reply(Array.of(np.array(query.numbers, np.int64)), self.scores)


class Alice(RoundTripAlice[Hello, Ready, Query, Reply]):
    def __init__(self, reveal="class"):
        super().__init__(TRIP, reveal)

    def _hello(self):
        return Hello("Alice")

    def _accept(self, ready):
        if ready.classes < 1:
            raise FrameError("no-classes", "no classes")

    def ask(self, numbers, link):
        classes, query = self._greeted(link).classes, Query(numbers)
        return self._answer(query, link, count=len(numbers), classes=classes, limit=999, warnings=("careful",))


def hosted(bob):
    mine, his = pair(timeout=5)
    thread = threading.Thread(target=lambda: bob.serve(his), daemon=True)
    thread.start()
    return mine


def test_a_greeting_and_many_queries_are_answered_one_by_one():
    alice, bob = pair(timeout=5)
    bobs = Bob()
    alice.send("hello", encode(Hello("Alice")))
    queries = ((1, 2), (), (0,))
    for query in queries:
        alice.send("query", encode(Query(query)))
        assert bobs.answer(bob) is True
    assert decode(alice.receive("ready", limit=99), Ready) == Ready(3)
    for query in queries:
        labels = decode(alice.receive("reply", limit=99), Reply).labels.numpy(dtype=np.int64, shape=(None,))
        assert labels.tolist() == list(query)


def test_alice_greets_once_a_link():
    alice, names = Alice(), []
    for link in (hosted(Bob()), hosted(Bob())):
        link.observer = lambda direction, name, payload: names.append(name)
        alice.prepare(link)
        for _ in range(2):
            answer = alice.ask((2, 0), link)
        assert answer.labels.tolist() == [2, 0]
        assert answer.scores is None
        assert answer.warnings == ("careful",)
    assert names == 2 * ["hello", "ready", "query", "reply", "query", "reply"]


def test_a_query_before_the_greeting_is_refused_and_she_is_told():
    alice, bob = pair(timeout=5)
    alice.send("query", encode(Query((1,))))
    with raises_code(FrameError, "wrong-message", match="'query' where 'hello' was expected"):
        Bob().answer(bob)
    with raises_code(PeerError, "peer-gave-up", match="expected"):
        alice.receive("reply", limit=16)


def test_the_greeting_on_one_link_opens_no_other():
    bobs = Bob()
    alice, bob = pair(timeout=5)
    alice.send("hello", encode(Hello("Alice")))
    alice.send("query", encode(Query((1,))))
    assert bobs.answer(bob)
    stranger, to_stranger = pair(timeout=5)
    stranger.send("query", encode(Query((1,))))
    with pytest.raises(FrameError):
        bobs.answer(to_stranger)


@pytest.mark.parametrize(("name", "size"), [("hello", 13), ("query", 25)])
def test_a_message_over_its_own_limit_is_refused(name, size):
    alice, bob = pair(timeout=5)
    if name == "query":
        alice.send("hello", encode(Hello("Alice")))
    alice.send(name, bytes(size))
    with raises_code(FrameError, "too-large"):
        Bob().answer(bob)


@pytest.mark.parametrize("name", ["hello", "query"])
def test_what_is_malformed_is_refused_and_she_is_told(name):
    alice, bob = pair(timeout=5)
    if name == "query":
        alice.send("hello", encode(Hello("Alice")))
    alice.send(name, b"\xc1")
    with raises_code(FrameError, "malformed"):
        Bob().answer(bob)
    if name == "query":
        alice.receive("ready", limit=99)
    with raises_code(PeerError, "peer-gave-up", match="malformed"):
        alice.receive("reply", limit=99)


def test_a_refused_greeting_reaches_her_in_his_words():
    alice, bob = pair(timeout=5)
    alice.send("hello", encode(Hello("Eve")))
    with pytest.raises(FrameError):
        Bob().answer(bob)
    with raises_code(PeerError, "peer-gave-up", match="for somebody else"):
        alice.receive("ready", limit=99)


def test_closing_before_a_query_is_no_error():
    alice, bob = pair(timeout=5)
    alice.close()
    assert Bob().answer(bob) is False


def test_a_greeting_that_alice_does_not_accept_is_none():
    alice, link = Alice(), hosted(Bob(classes=0))
    for _ in range(2):
        with raises_code(FrameError, "no-classes", match="no classes"):
            alice.ask((1,), link)


@pytest.mark.parametrize(
    ("reveal", "scores", "numbers", "reason"),
    [
        ("class", None, (3,), "unknown-class"),
        ("class", None, (-1,), "unknown-class"),
        ("class", np.zeros((1, 3), np.float32), (1,), "wrong-form"),
        ("logits", None, (1,), "wrong-form"),
        ("logits", np.zeros((1, 2), np.float32), (1,), "wrong-shape"),
        ("logits", np.zeros((1, 3), np.float64), (1,), "wrong-dtype"),
        ("logits", np.full((1, 3), np.inf, np.float32), (1,), "not-finite"),
    ],
)
def test_replies_that_do_not_fit_the_question(reveal, scores, numbers, reason):
    link = hosted(Bob(None if scores is None else Array.of(scores)))
    with raises_code(FrameError, reason):
        Alice(reveal).ask(numbers, link)


def test_an_error_between_question_and_answer_ends_the_link():
    alice, link = Alice(), hosted(Bob())
    alice.prepare(link)

    def interrupted(direction, name, payload):
        raise KeyboardInterrupt

    link.observer = interrupted
    with pytest.raises(KeyboardInterrupt):
        alice.ask((1,), link)
    link.observer = None
    with pytest.raises(LinkClosed):
        alice.ask((1,), link)


def test_what_can_be_revealed():
    for call in (lambda: Alice("everything"), lambda: RoundTripBob.__init__(Bob(), TRIP, None, 9)):
        with raises_code(BadValue, "unknown-reveal"):
            call()
