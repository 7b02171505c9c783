"""The broken network itself: what it forwards, how it breaks, what it counts."""

from __future__ import annotations

import secrets
import socket
import threading
import time

import pytest

from sotto.bench.operations.parties.fault_proxy import Break, Ledger, Proxy, _Scanner
from sotto.link import LinkClosed, LinkError, LinkTimeout, connect, listen
from sotto.link.frames import pack_prefix


@pytest.fixture
def echo():
    """A listener that says ``dealer.bundle`` back to whoever says something, as often as asked."""
    listener = listen()
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            try:
                link = listener.accept(timeout=20)
            except (LinkError, OSError):  # the listener is closed by now
                return
            try:
                while True:
                    payload = link.receive("say", limit=1 << 20, timeout=20)
                    link.send("dealer.bundle", payload, timeout=20)
            except LinkError:
                link.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.address
    stop.set()
    listener.close()


def talk(address, *words, timeout=5.0):
    with connect(*address, timeout=timeout) as link:
        return [_say(link, word) for word in words]


def _say(link, word):
    link.send("say", word)
    return bytes(link.receive("dealer.bundle", limit=1 << 20))


@pytest.mark.parametrize("size", [0, 1, 70_000, 500_000])
def test_an_unbroken_proxy_changes_nothing(echo, size):
    proxy = Proxy(echo)
    assert talk(proxy.address, bytes(size), b"x") == [bytes(size), b"x"]
    proxy.close()


@pytest.mark.parametrize("way", ["onward", "back"])
@pytest.mark.parametrize("after", [0, 5, 25, 40])
def test_a_cut_link_ends_both_sides_at_once(echo, way, after):
    proxy = Proxy(echo)
    proxy.plan(Break("cut", way, after))
    with pytest.raises(LinkClosed):
        talk(proxy.address, bytes(100), bytes(100), timeout=30)
    assert proxy.broke.is_set()
    assert proxy.last[way] == after
    assert talk(proxy.address, b"again") == [b"again"]  # only one connection was to break
    proxy.close()


def test_a_stalled_link_is_noticed_at_the_deadline_and_not_before(echo):
    proxy = Proxy(echo)
    proxy.plan(Break("stall", "back", 10))
    started = time.monotonic()
    with pytest.raises(LinkTimeout):
        talk(proxy.address, bytes(100), timeout=0.5)
    assert time.monotonic() - started > 0.4
    proxy.close()


def test_a_half_closed_link_ends_for_its_receiver(echo):
    proxy = Proxy(echo)
    proxy.plan(Break("half-close", "back", 10))
    with pytest.raises(LinkClosed):
        talk(proxy.address, bytes(100), timeout=30)
    proxy.close()


def test_nobody_behind_the_proxy_is_a_closed_connection():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    proxy = Proxy(address)
    with pytest.raises(LinkError):
        talk(proxy.address, b"x")
    proxy.close()


def test_the_ledger_knows_a_bundle_that_was_dealt_twice(echo):
    """Across connections: a dealer who restarts must not deal again what he dealt before."""
    ledger = Ledger()
    proxy = Proxy(echo, receiver="alice", ledger=ledger)
    talk(proxy.address, b"first", b"second" * 20_000, b"third")
    assert (ledger.deliveries, ledger.repeated) == (3, 0)
    talk(proxy.address, b"second" * 20_000)
    assert (ledger.deliveries, ledger.repeated) == (4, 1)
    other = Proxy(echo, receiver="bob", ledger=ledger)
    talk(other.address, b"third")  # each party gets its own share of a bundle once
    assert (ledger.deliveries, ledger.repeated) == (5, 1)
    assert ledger.names == {"dealer.bundle"}
    proxy.close()
    other.close()


def test_a_bundle_of_which_a_cut_link_let_the_seed_pass_counts_as_dealt(echo):
    ledger = Ledger()
    proxy = Proxy(echo, receiver="alice", ledger=ledger)
    bundle = secrets.token_bytes(200_000)
    proxy.plan(Break("cut", "back", 1000))
    with pytest.raises(LinkClosed):
        talk(proxy.address, bundle, timeout=30)
    assert (ledger.deliveries, ledger.repeated) == (1, 0)
    talk(proxy.address, bundle)
    assert (ledger.deliveries, ledger.repeated) == (2, 1)
    proxy.close()


@pytest.mark.parametrize("size", [1, 39, 40, 41])
def test_pieces_of_any_length_are_read_as_the_whole(size):
    """What a read of the network returns has nothing to do with where messages begin."""
    ledger = Ledger()
    proxy = Proxy(("127.0.0.1", 1), receiver="bob", ledger=ledger)
    scanner = _Scanner(proxy)
    messages = [("dealer.session", bytes(32)), ("dealer.bundle", bytes(100)), ("dealer.correction", bytes(8))] * 2
    stream = b"".join(pack_prefix(name, len(payload)) + payload for name, payload in messages)
    for start in range(0, len(stream), size):
        scanner.feed(stream[start : start + size])
    assert (ledger.deliveries, ledger.repeated) == (4, 2)
    assert ledger.names == {"dealer.session", "dealer.bundle"}
    proxy.close()
