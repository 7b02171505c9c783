"""Hosts and sessions as processes: side by side, bounded, refused in one line on both sides, ended in order."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

import msgspec
import pytest

from sotto.link import LinkClosed, LinkError, PeerError, connect
from sotto.serving.handshake import HELLO
from sotto.serving.service.reports import Closed, Opened, Progress, Queue, TurnedAway
from tests.error_codes import raises_code
from tests.serving.parties import TERMS, NoRoom, ask, begin, dealing_pair, hello, host, report_of, session


@pytest.fixture(scope="module")
def bob():
    with host(sessions=2, per_client=2, waiting=1, wait_seconds=20.0, arrival_seconds=3.0, session_mb=256) as running:
        yield running


def test_several_clients_are_served_at_once_and_one_that_dies_harms_no_other(bob):
    _, address = bob
    with session(address) as one:
        with session(address) as other:
            begin(other, b"sleep0.3")
            assert ask(one, b"beside it") == b"beside it"
            other.bob.receive("answer", limit=100)
            other.bob.send("ask", b"die")
            with pytest.raises(LinkClosed):
                other.bob.receive("answer", limit=100)
        assert ask(one, b"still there") == b"still there"


def test_every_query_is_counted_and_many_in_one_report():
    reports = []
    with host() as (running, address):
        with session(address) as links:
            for _ in range(200):
                ask(links, b"quick")
            while sum(len(report.milliseconds) for report in reports) < 200:
                reports.append(report_of(running, Progress))
            for _ in range(3):
                ask(links, b"and gone")
        closed = report_of(running, Closed)
    assert closed.queries == 203
    assert len(reports) < 100
    assert closed.sent > sum(report.sent for report in reports) > 0


def test_who_finds_no_place_waits_and_who_finds_no_seat_is_sent_away(bob):
    _, address = bob
    with session(address), session(address) as second:
        waited = []

        def wait():
            with session(address) as third:
                waited.append(ask(third, b"at last"))

        waiting = threading.Thread(target=wait)
        waiting.start()
        report_of(bob[0], Queue, lambda queue: queue.waiting == 1)
        with raises_code(PeerError, "peer-gave-up", match="all places"), session(address):
            pass
        second.bob.close()
        waiting.join(20)
    assert waited == [b"at last"]


def test_a_session_that_takes_too_much_memory_ends_alone(bob):
    running, address = bob
    with session(address) as greedy:
        greedy.bob.send("ask", b"eat")
        with pytest.raises(LinkError):
            greedy.bob.receive("answer", limit=1 << 20)
    report_of(running, Closed, lambda closed: "memory" in closed.reason)
    with session(address) as modest:
        assert ask(modest, b"next") == b"next"


def test_an_unknown_error_is_named_to_nobody(bob):
    running, address = bob
    with session(address) as links:
        links.bob.send("ask", b"fail")
        with raises_code(PeerError, "peer-gave-up", match="bob stopped"):
            links.bob.receive("answer", limit=100)
    report_of(running, Closed, lambda closed: closed.reason == "internal error (ValueError)")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"paradigm": "mpc"}, "alice wants paradigm 'mpc', bob runs 'echo'"),
        ({"mode": "fancy"}, "alice wants mode 'fancy', bob runs 'plain'"),
        ({"reveal": "logits"}, "bob reveals the class only"),
        ({"token": b"x" * 16}, "another one"),
    ],
)
def test_a_mismatch_is_one_clear_line_on_both_sides(bob, changes, line):
    running, address = bob
    with raises_code(PeerError, "peer-gave-up", match=line) as told, session(address, **changes):
        pass
    report_of(running, TurnedAway, lambda refused: line in refused.reason and refused.reason in str(told.value))
    assert "\n" not in str(told.value)


def test_terms_that_alice_holds_must_be_bobs(bob):
    _, address = bob
    with session(address, terms=TERMS) as links:
        assert links.terms == TERMS
    others = msgspec.structs.replace(TERMS, classes=("a", "b"))
    with raises_code(PeerError, "peer-gave-up", match="alice holds the terms"), session(address, terms=others):
        pass


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\x16\x03\x01" + bytes(40), "uses certificates and this service has none"),
        (b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n", "does not speak Sotto"),
        (b"So\x01\x0d" + (1 << 40).to_bytes(8) + bytes(8), "2048 are allowed"),
        (b"So\x07\x0d" + bytes(16), "install the same release"),
    ],
)
def test_strangers_are_told_what_is_wrong(bob, data, line):
    running, address = bob
    with socket.create_connection(address, timeout=10) as stranger:
        stranger.sendall(data)
        answer = b""
        while part := stranger.recv(4096):
            answer += part
    assert line in answer.decode("latin1")
    report_of(running, TurnedAway, lambda refused: line in refused.reason)


def test_a_client_of_another_release_is_told_so(bob):
    _, address = bob
    with connect(*address, timeout=10) as link:
        link.send(HELLO, hello(version=2))
        with raises_code(PeerError, "peer-gave-up", match="version 2"):
            link.receive("session.welcome", limit=10)


def test_silence_ends_an_arrival_and_others_do_not_wait_for_it(bob):
    _, address = bob
    with socket.create_connection(address, timeout=10) as silent:
        silent.sendall(b"So")
        with session(address) as links:
            assert ask(links, b"meanwhile") == b"meanwhile"
        assert b"nothing was said" in silent.recv(4096)
        assert silent.recv(1) == b""


def test_a_drain_lets_a_query_finish_and_turns_the_idle_away():
    with host() as (running, address), session(address) as busy, session(address) as idle:
        begin(busy, b"sleep1.0")
        running.drain(10.0)
        with raises_code(PeerError, "peer-gave-up", match="shutting down"):
            idle.bob.receive("answer", limit=10)
        assert bytes(busy.bob.receive("answer", limit=100)) == b"sleep1.0"
        with raises_code(PeerError, "peer-gave-up", match="shutting down"):
            busy.bob.receive("answer", limit=10)
        with pytest.raises(LinkError):
            connect(*address, timeout=0.3)
        assert [report_of(running, Closed).code for _ in range(2)] == [0, 0]


def test_a_session_that_does_not_end_in_time_is_ended():
    with host() as (running, address), session(address) as links:
        begin(links, b"sleep600")
        started = time.monotonic()
        running.drain(0.2)
        with pytest.raises(LinkClosed):
            links.bob.receive("answer", limit=10)
        assert report_of(running, Closed).code == -9
        assert time.monotonic() - started < 60


def test_the_dealer_brings_the_two_parties_of_a_session_together():
    with dealing_pair(wait_seconds=4.0) as (dealer, dealer_at, _, bob_at):
        with session(bob_at, dealer=dealer_at) as one, session(bob_at, dealer=dealer_at) as other:
            assert b"dealt" in ask(one, b"a")
            assert b"dealt" in ask(other, b"b")
        assert report_of(dealer, Opened).client == "loopback, loopback"
        with connect(*dealer_at, timeout=10) as alone:
            alone.send(HELLO, hello(mode="plain", role="alice"))
            with (
                raises_code(LinkError, "peer-gave-up", match=r"gets no session.*alice did not come"),
                session(bob_at),
            ):
                pass  # Alice forgot the dealer
            with raises_code(PeerError, "peer-gave-up", match="bob did not come"):
                alone.receive("session.welcome", limit=10)


def test_a_system_without_room_for_a_process_refuses_the_client_and_the_service_stays(tmp_path):
    full = tmp_path / "full"
    full.touch()
    with host(partial(NoRoom, full)) as (_, address):
        for _ in range(2):
            with raises_code(PeerError, "peer-gave-up", match="cannot start a session"), session(address):
                pass
        full.unlink()
        with session(address) as links:
            assert ask(links, b"room again") == b"room again"


def test_a_rate_is_kept():
    with host(starts_per_minute=2) as (_, address):
        for _ in range(2):
            with session(address):
                pass
        with raises_code(PeerError, "peer-gave-up", match="2 sessions a minute"), session(address):
            pass


def test_an_alice_who_has_had_her_share_of_the_stock_is_dealt_fresh_bundles():
    with dealing_pair(stocked_per_hour=2) as (_, dealer_at, _, address):
        said = []
        for _ in range(3):
            with session(address, dealer=dealer_at) as links:
                said.append(ask(links, b"x"))
    assert [b"freshly" in text for text in said] == [False, False, True]
