"""Real services under faults: a few in continuous integration, all of them in the slow tests."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from sotto.bench.operations.fault_trials import Trials
from sotto.bench.operations.parties.fault_proxy import Break, Ledger
from sotto.bench.operations.parties.load_client import LoadClient
from sotto.bench.operations.parties.services import Deployment
from sotto.link import LinkError, encode
from sotto.link.frames import pack_prefix
from sotto.mpc.messages import VERSION, Hello, Query
from sotto.serving import client
from tests.faults.service_folders import FEATURES, mpc_folders

PATIENCE = 60.0  # of every wait; nothing stalls here, and the machine may be busy with other tests
DEADLINE = 200.0


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """Bob and a dealer, mode malicious, with proxies between everybody, a ledger, and trials ready to be made."""
    bob, alice = mpc_folders(tmp_path_factory.mktemp("mpc"))
    ledger = Ledger()
    with (
        Deployment("mpc", "malicious", bob, alice, patience=PATIENCE, ledger=ledger) as deployment,
    ):
        features = np.random.default_rng(0).normal(size=(1, *FEATURES)).astype(np.float32)
        yield deployment, Trials(deployment, features, DEADLINE, seed=1), ledger, features


@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", [pytest.param("alice", marks=pytest.mark.slow), "bob", "dealer"])
def test_a_party_killed_at_a_random_moment_harms_one_session_only(standing, victim):
    _, trials, ledger, _ = standing
    trial = trials.run(victim)
    assert (trial.hung, trial.unclear, trial.right) == ("", "", True), trial
    assert ledger.deliveries
    assert not ledger.repeated


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["cut", pytest.param("half-close", marks=pytest.mark.slow)])
def test_a_link_that_breaks_ends_everybody_and_a_new_session_gets_new_bundles(standing, kind):
    """Alice asks again after the bundle of her query has begun to arrive: what she used of it is never dealt again."""
    deployment, trials, ledger, features = standing
    before = ledger.deliveries
    deployment.proxies["alice-bob"].plan(Break(kind, "back", trials.usual.bytes["alice-bob", "back"] * 3 // 4))
    client = LoadClient(deployment, features, queries=50)
    assert client.await_end(DEADLINE)
    assert client.ended in ("LinkClosed", "PeerError", "LinkTimeout"), (client.ended, client.said)
    client.close()
    for service in deployment.services:
        service.await_idle(DEADLINE)
    again = trials.ask_once(DEADLINE)
    assert [each.label for each in again.answers] == [trials.usual.label], again.said
    assert ledger.deliveries >= before + 2
    assert not ledger.repeated


ABUSES = {
    "out of order": lambda link: link.send("mpc.query", encode(Query(1))),
    "another role's": lambda link: link.send("dealer.bundle", bytes(100)),
    "oversize": lambda link: link._sock.send(pack_prefix("mpc.hello", 1 << 62) + b"x"),
    "cut short": lambda link: link._sock.send(pack_prefix("mpc.hello", 100) + b"x"),
    "no frames": lambda link: link._sock.send(b"GET / HTTP/1.1\r\n\r\n" * 4),
    "another mode's": lambda link: link.send("mpc.hello", encode(Hello(VERSION, "crypten", "class"))),
    "more than is revealed": lambda link: link.send("mpc.hello", encode(Hello(VERSION, "malicious", "logits"))),
    "the handshake again": lambda link: link.send("session.hello", b""),
}
MOST_TELLING = ("out of order", "oversize", "the handshake again")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", [MOST_TELLING, pytest.param(tuple(ABUSES), marks=pytest.mark.slow)])
def test_whoever_abuses_a_session_ends_that_session_alone(standing, names):
    """Misbehaviour after an honest handshake, with another Alice asking all the while."""
    deployment, trials, ledger, features = standing
    honest = LoadClient(deployment, features, pause=0.5)
    assert honest.await_opened(DEADLINE), honest.said
    ends = {}
    for name in names:
        with client.opened(deployment.client_config()) as links:
            ABUSES[name](links.bob)
            if name == "cut short":
                links.bob.close()
            with pytest.raises(LinkError) as caught:
                links.bob.receive("mpc.nothing", limit=0, timeout=DEADLINE)
        ends[name] = str(caught.value)
        assert "\n" not in ends[name]
    heard = len(honest.answers)
    while len(honest.answers) < heard + 2 and honest.receive(DEADLINE):  # one may have been under way
        pass
    honest.stop()
    assert honest.await_end(DEADLINE)
    assert (honest.ended, {each.label for each in honest.answers}) == ("", {trials.usual.label}), honest.said
    honest.close()
    assert "session.hello" in ends["the handshake again"]
    assert str(1 << 62) in ends["oversize"]
    for service in deployment.services:
        service.await_idle(DEADLINE)
        assert service.host is not None
    assert not ledger.repeated


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["faults", "throughput", "soak"])
def test_the_reproductions_run(name, tmp_path):
    from sotto.bench.request import Request  # with every paradigm's libraries

    reproduction = importlib.import_module(f"sotto.bench.operations.{name}")
    rows = reproduction.run(Request("synthetic", None, "quick", 0, tmp_path, print))
    assert {row.paradigm for row in rows} == {"mpc", "he", "hashing", "keyed", "adversarial"}
    if name == "faults":
        assert not sum(row.metrics["hung"] + row.metrics["unclear"] + row.metrics["wrong"] for row in rows)
        assert not sum(row.metrics.get("dealt_twice") or 0.0 for row in rows)
    if name == "soak":
        assert all(row.metrics["files_last"] <= row.metrics["files_first"] + 2 for row in rows)
        assert all(row.metrics["memory_mb_last"] - row.metrics["memory_mb_first"] < 16 for row in rows)
