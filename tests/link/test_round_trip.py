"""Bob's side of one-round-trip paradigms: the order he insists on, and what he tells her when it is broken."""

from __future__ import annotations

import pytest

from sotto.link import FrameError, PeerError, RoundTrip, pair


def refuse(payload: bytearray) -> bytes:
    raise FrameError("this model is for somebody else")


def trip(greet=lambda payload: b"welcome " + payload):
    return RoundTrip(
        hello=("hello", 8),
        ready="ready",
        query=("query", 16),
        reply="reply",
        greet=greet,
        answer=lambda payload: bytes(payload[::-1]),
    )


def test_a_greeting_and_many_queries_are_answered_one_by_one():
    alice, bob = pair(timeout=5)
    bobs = trip()
    alice.send("hello", b"Alice")
    for query in (b"abc", b"", b"0123456789abcdef"):
        alice.send("query", query)
        assert bobs.serve_one(bob) is True
    assert alice.receive("ready", limit=99) == b"welcome Alice"
    assert [bytes(alice.receive("reply", limit=16)) for _ in range(3)] == [b"cba", b"", b"fedcba9876543210"]


def test_a_query_before_the_greeting_is_refused_and_she_is_told():
    alice, bob = pair(timeout=5)
    alice.send("query", b"abc")
    with pytest.raises(FrameError, match="'query' where 'hello' was expected"):
        trip().serve_one(bob)
    with pytest.raises(PeerError, match="expected"):
        alice.receive("reply", limit=16)


def test_the_greeting_on_one_link_opens_no_other():
    bobs = trip()
    alice, bob = pair(timeout=5)
    alice.send("hello", b"Alice")
    alice.send("query", b"abc")
    assert bobs.serve_one(bob)
    stranger, to_stranger = pair(timeout=5)
    stranger.send("query", b"abc")
    with pytest.raises(FrameError):
        bobs.serve_one(to_stranger)


@pytest.mark.parametrize(("name", "size"), [("hello", 9), ("query", 17)])
def test_a_message_over_its_own_limit_is_refused(name, size):
    alice, bob = pair(timeout=5)
    if name == "query":
        alice.send("hello", b"Alice")
    alice.send(name, bytes(size))
    with pytest.raises(FrameError, match="at most"):
        trip().serve_one(bob)


def test_a_refused_greeting_reaches_her_in_his_words():
    alice, bob = pair(timeout=5)
    alice.send("hello", b"Eve")
    with pytest.raises(FrameError):
        trip(greet=refuse).serve_one(bob)
    with pytest.raises(PeerError, match="for somebody else"):
        alice.receive("ready", limit=99)


def test_closing_before_a_query_is_no_error():
    alice, bob = pair(timeout=5)
    alice.close()
    assert trip().serve_one(bob) is False
