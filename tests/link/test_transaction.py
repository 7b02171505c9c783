"""Questions given up in the middle: no later question is ever given their answer, whatever ended them and wherever."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading

import pytest

from sotto import link as package
from sotto.link import FrameError, LinkClosed, LinkError, PeerError, fault_of_peer, pair, transaction
from tests.error_codes import raises_code

ENDS = [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, SystemExit, MemoryError, ValueError]


def interrupt(direction, at, kind=KeyboardInterrupt):
    """An observer that raises ``kind`` at message ``at`` of a direction."""
    count = itertools.count()

    def observe(way, name, payload):
        if way == direction and next(count) == at:
            raise kind

    return observe


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize(
    ("call", "direction"), [("send", "sent"), ("receive", "received"), ("exchange", "sent"), ("exchange", "received")]
)
def test_a_message_cut_short_by_anything_ends_the_link(kind, direction, call):
    left, right = pair(timeout=5)
    right.send("word", b"theirs")
    left.observer = interrupt(direction, 0, kind)
    calls = {
        "send": lambda: left.send("word", b"ours"),
        "receive": lambda: left.receive("word", limit=10),
        "exchange": lambda: left.exchange("word", b"ours", limit=10),
    }
    with pytest.raises(kind):
        calls[call]()
    left.observer = None
    for each in calls.values():
        with raises_code(LinkClosed, "link-over"):
            each()
    with raises_code(LinkClosed, "link-over"), transaction(left):
        pytest.fail("a transaction began")


@pytest.mark.parametrize("kind", ENDS)
def test_what_leaves_a_transaction_ends_all_its_links_on_both_sides(kind):
    (left, right), (other, far) = pair(timeout=5), pair(timeout=5)
    left.observer = interrupt("sent", 1, kind)
    with pytest.raises(kind), transaction(left, other, reason=lambda error: f"a {type(error).__name__}"):
        send_both(left)
    for link in (left, other):
        with raises_code(LinkClosed, "link-over"):
            link.send("query", b"2")
    assert right.receive("query", limit=1) == b"1"
    assert right.receive("more", limit=1) == b"2"  # it was queued, and goes out before the reason
    for link in (right, far):
        with raises_code(PeerError, "peer-gave-up", match=f"gave up: a {kind.__name__}"):
            link.receive("query", limit=1)


def test_by_default_nothing_is_told():
    left, right = pair(timeout=5)
    left.observer = interrupt("sent", 0)
    with pytest.raises(KeyboardInterrupt), transaction(left):
        send_both(left)
    with raises_code(LinkClosed, "link-over"):
        left.send("query", b"2")
    with raises_code(LinkClosed, "peer-closed"):
        right.receive("query", limit=1)


def send_both(link):
    link.send("query", b"1")
    link.send("more", b"2")


def test_one_that_comes_to_its_end_leaves_the_link_as_it_was():
    left, right = pair(timeout=5)
    for turn in (b"1", b"2"):
        with transaction(left):
            left.send("query", turn)
        assert right.receive("query", limit=1) == turn


def test_a_fault_of_the_peer_is_told_and_nothing_else():
    assert fault_of_peer(FrameError("too-many", "too many features")) == "too many features"
    assert "secret" not in fault_of_peer(ValueError("secret"))


def test_only_the_first_reason_is_told():
    left, right = pair(timeout=5)
    left.fail("the first")
    left.fail("the second")
    with raises_code(PeerError, "peer-gave-up", match="the first"):
        right.receive("query", limit=1)


def test_a_frame_cut_in_the_middle_is_completed_before_the_reason():
    """The rest of the frame goes first, so that the reason is not read as a part of it."""
    left, right = pair(timeout=5)
    large = bytes(5_000_000)
    with pytest.raises(LinkError):
        left.send("query", large, timeout=0.05)  # the socket is full
    reader = threading.Thread(target=lambda: right.receive("query", limit=len(large)))
    reader.start()
    left.fail("too slow")
    reader.join()
    with raises_code(PeerError, "peer-gave-up", match="too slow"):
        right.receive("query", limit=1)


def test_a_frame_of_which_an_unknown_part_went_out_closes_the_connection(monkeypatch):
    left, right = pair(timeout=5)

    class Torn:
        def __getattr__(self, name):
            return getattr(sock, name)

        def send(self, data):
            sock.send(data[:7])
            raise KeyboardInterrupt

    sock = left._sock
    monkeypatch.setattr(left, "_sock", Torn())
    with pytest.raises(KeyboardInterrupt):
        left.send("query", bytes(100))
    left.fail("interrupted")
    with raises_code(LinkClosed, "peer-closed"):
        right.receive("query", limit=100)


FOLDER = package.__path__[0]


class Tracer:
    """Raises KeyboardInterrupt at one instruction, counted over the link's code, contextlib's and ``ask``."""

    def __init__(self, at):
        self.at, self.count = at, 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.call)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def call(self, frame, event, argument):
        code = frame.f_code
        traced = code.co_filename.startswith(FOLDER) or code.co_filename == contextlib.__file__ or code is ask.__code__
        frame.f_trace_opcodes = traced
        return self.step if traced else None

    def step(self, frame, event, argument):
        if event == "opcode":
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt
        return self.step


def ask(left, right, question):
    with transaction(left):
        left.send("query", question)
        answer_what_came(right)
        return left.receive("answer", limit=10)


def answer_what_came(right):
    """The peer, who answers each question that has arrived and is not part of what is interrupted."""
    trace = sys.gettrace()
    sys.settrace(None)
    with contextlib.suppress(LinkError):
        while right.wait(0):
            right.send("answer", bytes(right.receive("query", limit=10)))
    sys.settrace(trace)


def test_an_interrupt_at_any_instruction_leaves_no_answer_for_the_next_question():
    outcomes = {"first": 0, "refused": 0, "second": 0}
    for at in itertools.count(1):
        left, right = pair(timeout=2)
        try:
            with Tracer(at) as tracer:
                ask(left, right, b"1")
        except KeyboardInterrupt:
            answer_what_came(right)
            try:
                assert ask(left, right, b"2") == b"2"
                outcomes["second"] += 1
            except LinkError:
                outcomes["refused"] += 1
        else:
            if tracer.count < at:
                break
            outcomes["first"] += 1
        left.close()
        right.close()
    assert outcomes["refused"] > 300
    assert outcomes["second"] < outcomes["refused"] / 5
