"""Links between two ends: order, names, limits, deadlines, last words, counters."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.link import BadValue, FrameError, LinkClosed, LinkTimeout, PeerError, connect, listen, pair
from sotto.link.frames import HEADER, MAGIC, VERSION
from tests.error_codes import raises_code


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["query", "he.keys", "x"]), st.binary(max_size=200_000)), max_size=6))
def test_messages_arrive_in_order_and_whole(messages):
    left, right = pair(timeout=5)
    sender = threading.Thread(target=lambda: [left.send(name, data) for name, data in messages])
    sender.start()
    for name, data in messages:
        assert right.receive(name, limit=len(data)) == data
    sender.join()
    assert left.traffic.bytes_sent == right.traffic.bytes_received
    assert left.traffic.bytes_sent == sum(HEADER.size + len(n) + len(d) for n, d in messages)


def test_bytes_counted_are_bytes_on_the_socket():
    left, right = pair(timeout=5)
    left.send("query", b"abc" * 100)
    waiting = right._sock.recv(10_000)
    assert len(waiting) == left.traffic.bytes_sent


def test_a_message_larger_than_the_limit_is_refused_before_it_is_read():
    left, right = pair(timeout=5)
    left._sock.send(HEADER.pack(MAGIC, VERSION, 5, 1 << 60, 0) + b"query")
    with raises_code(FrameError, "too-large", match="at most 10 are accepted"):
        right.receive("query", limit=10)


def test_another_name_than_the_awaited_one_is_refused():
    left, right = pair(timeout=5)
    left.send("answer", b"")
    with raises_code(FrameError, "wrong-message", match="'answer' where 'query' was expected"):
        right.receive("query", limit=10)


def test_one_of_several_names_is_taken_under_its_own_limit():
    left, right = pair(timeout=5)
    left.send("keys", b"123456")
    assert right.receive_any({"query": 1, "keys": 6}) == ("keys", b"123456")


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n" + bytes(20), b"So\x02" + bytes(30), b"So\x01\x00" + bytes(30)]
)
def test_a_stranger_is_told_apart(garbage):
    left, right = pair(timeout=5)
    left._sock.send(garbage)
    with pytest.raises(FrameError):
        right.receive("query", limit=10)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_arbitrary_bytes_never_hang_or_crash(data):
    left, right = pair(timeout=0.5)
    left._sock.send(data)
    left.close()
    with pytest.raises((FrameError, LinkClosed, PeerError)):
        _drain(right)


def _drain(link):
    while True:
        link.receive_any({"query": 100, "keys": 100})


def test_every_wait_ends_at_its_deadline():
    left, right = pair(timeout=5)
    started = time.monotonic()
    with raises_code(LinkTimeout, "timed-out", match="'query'"):
        right.receive("query", limit=10, timeout=0.1)
    with pytest.raises(LinkTimeout):  # nobody reads: the socket fills up
        left.send("query", bytes(50_000_000), timeout=0.1)
    assert time.monotonic() - started < 3


def test_a_late_answer_is_never_taken_for_the_next_one():
    left, right = pair(timeout=5)
    left.send("query", b"1")
    with pytest.raises(LinkTimeout):
        left.receive("answer", limit=10, timeout=0.05)
    right.receive("query", limit=10)
    right.send("answer", b"to 1")
    with raises_code(LinkClosed, "link-over"):
        left.receive("answer", limit=10)
    with raises_code(LinkClosed, "link-over"):
        left.send("query", b"2")


def test_after_an_error_the_peer_can_still_be_told_why():
    left, right = pair(timeout=5)
    left.send("nonsense", b"")
    with pytest.raises(FrameError):
        right.receive("query", limit=10)
    right.fail("this is no query")
    with raises_code(PeerError, "peer-gave-up", match="this is no query"):
        left.receive("answer", limit=10)


def test_a_peer_that_leaves_talking_does_not_hold_the_sender():
    left, right = pair(timeout=5)
    right._sock.shutdown(0)  # reads no more, and goes on sending
    stop = threading.Event()

    def talk() -> None:
        with contextlib.suppress(LinkClosed):
            while not stop.is_set():
                right.send("chat", b"x")

    thread = threading.Thread(target=talk)
    thread.start()
    started = time.monotonic()
    with pytest.raises(LinkClosed):
        left.send("query", bytes(50_000_000), timeout=1)
    assert time.monotonic() - started < 3
    stop.set()
    left.close()
    thread.join()


def test_a_trickling_peer_does_not_move_the_deadline():
    left, right = pair(timeout=5)
    stop = threading.Event()

    def trickle() -> None:
        for byte in HEADER.pack(MAGIC, VERSION, 5, 1000, 0) + b"query" + bytes(500):
            if stop.is_set():
                return
            left._sock.send(bytes([byte]))
            time.sleep(0.02)

    thread = threading.Thread(target=trickle)
    thread.start()
    started = time.monotonic()
    with pytest.raises(LinkTimeout):
        right.receive("query", limit=1000, timeout=0.3)
    assert time.monotonic() - started < 1
    stop.set()
    thread.join()


def test_a_closed_peer_is_reported():
    left, right = pair(timeout=5)
    left.close()
    with pytest.raises(LinkClosed):
        right.receive("query", limit=10)
    with pytest.raises(LinkClosed):
        left.send("query", b"")


def test_the_peers_reason_for_giving_up_arrives_on_one_printable_line():
    left, right = pair(timeout=5)
    left.fail("the query has 87 features\n\x1b[31mnot 88")
    with pytest.raises(PeerError) as caught:
        right.receive("answer", limit=10)
    assert "87 features" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_sender_cut_off_learns_the_peers_reason():
    left, right = pair(timeout=5)
    right.fail("the model takes 40 coefficients")
    right.close()
    with raises_code(PeerError, "peer-gave-up", match="40 coefficients"):
        left.send("query", bytes(10_000_000))


def test_two_large_messages_cross_without_blocking_one_another():
    left, right = pair(timeout=20)
    a, b = b"a" * 20_000_000, b"b" * 20_000_000
    got: list[bytearray] = []
    thread = threading.Thread(target=lambda: got.append(right.exchange("open", b, limit=len(a))))
    thread.start()
    assert left.exchange("open", a, limit=len(b)) == b
    thread.join()
    assert got == [a]


def test_rounds_count_waits_not_messages():
    left, right = pair(timeout=5)
    for _ in range(3):
        left.send("a", b"")
        left.send("b", b"")
        right.receive("a", limit=0)
        right.receive("b", limit=0)
        right.send("c", b"")
        left.receive("c", limit=0)
    assert (left.traffic.rounds, right.traffic.rounds) == (3, 3)
    assert left.traffic.since(left.traffic.snapshot()).bytes_sent == 0


def test_an_observer_sees_every_message():
    left, right = pair(timeout=5)
    seen: list[tuple[str, str, bytes]] = []
    right.observer = lambda direction, name, payload: seen.append((direction, name, bytes(payload)))
    left.send("query", b"q")
    right.receive("query", limit=1)
    right.send("answer", b"a")
    assert seen == [("received", "query", b"q"), ("sent", "answer", b"a")]


@pytest.mark.parametrize("name", ["", "x" * 65, "zwölf", "a\nb"])
def test_names_that_cannot_travel_are_refused(name):
    left, _right = pair(timeout=5)
    with raises_code(BadValue, "bad-name"):
        left.send(name, b"")


def _echo(port: int) -> None:
    with connect("127.0.0.1", port, timeout=20) as link:
        link.send("echo", link.receive("query", limit=1 << 20))


def test_two_processes_over_tcp():
    with listen() as listener:
        process = multiprocessing.get_context("forkserver").Process(target=_echo, args=(listener.address[1],))
        process.start()
        with listener.accept(timeout=60) as link:
            link.send("query", b"z" * 300_000)
            assert link.receive("echo", limit=1 << 20) == b"z" * 300_000
        process.join(20)
        assert process.exitcode == 0


def test_waiting_takes_nothing_and_sees_a_message_or_the_end():
    left, right = pair(timeout=5)
    assert not right.wait(0.01)
    left.send("a", b"1")
    left.send("b", b"2")
    assert right.wait(5)
    assert right.receive("a", limit=1) == b"1"
    assert right.wait(5)  # read ahead already
    assert right.receive("b", limit=1) == b"2"
    left.close()
    assert right.wait(5)
    with pytest.raises(LinkClosed):
        right.receive("c", limit=1)


def test_the_ends_of_a_pair_call_one_another_by_their_names():
    alice, bob = pair("alice", "bob", timeout=0.05)
    with alice, bob:
        with raises_code(LinkTimeout, "timed-out", match="from bob"):
            alice.receive("answer", limit=1)
        bob.close()
        with raises_code(LinkClosed, "link-over", match=r"to bob|bob closed"):
            alice.receive("answer", limit=1)
    assert not alice.sound
