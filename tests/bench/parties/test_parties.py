"""Parties as processes: separate, measured, and never waited for without end."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from sotto.bench.parties.parties import Parties, PartyError
from sotto.bench.parties.party import PartySpec
from sotto.link import Answer, LinkClosed, PeerError, connect, encode
from sotto.serving.handshake import HELLO, WELCOME, WELCOME_BYTES, Hello, new_session
from tests.error_codes import raises_code


class SumAlice:
    """Asks for the sign of the sum of her features."""

    def __init__(self, job, links):
        self.job, self.dealer = job, links.get("dealer")

    def prepare(self, link):
        link.send("hello", b"0123456789")
        link.receive("ready", limit=0)
        if self.dealer:
            self.dealer.send("wish", b"")
            self.dealer.receive("mask", limit=100)

    def ask(self, features, link):
        link.send("query", features.sum(axis=1).astype("<f4").tobytes())
        answer = np.frombuffer(link.receive("answer", limit=1000), "<i8")
        return Answer(answer, np.stack([-answer, answer], axis=1).astype("float32"))


class SumBob:
    def __init__(self, job, links):
        self.job, self.dealer = job, links.get("dealer")

    def answer(self, link):
        while True:
            try:
                name, payload = link.receive_any({"hello": 10, "query": 1000})
            except LinkClosed:
                return False
            if name == "hello":
                link.send("ready", b"")
                continue
            if self.job.get("die"):
                os._exit(9)
            if self.job.get("hang"):
                time.sleep(1000)
            if self.job.get("show"):
                raise ValueError(f"my job: {self.job}")
            if self.job.get("raise"):
                raise ValueError("the model takes 40 coefficients")
            if self.dealer:
                self.dealer.send("wish", b"")
                self.dealer.receive("mask", limit=100)
            link.send("answer", (np.frombuffer(payload, "<f4") > 0).astype("<i8").tobytes())
            return True


class MaskDealer:
    def __init__(self, job, links):
        pass

    def serve(self, alice, bob):
        alice.receive("wish", limit=0)
        alice.send("mask", bytes(100))
        while True:
            try:
                bob.receive("wish", limit=0)
            except LinkClosed:
                return
            bob.send("mask", bytes(50))


def _parts(dealer=False, **job):
    parts = {"alice": PartySpec(SumAlice, {}), "bob": PartySpec(SumBob, job)}
    return parts | ({"dealer": PartySpec(MaskDealer, {})} if dealer else {})


def test_answers_come_back_with_their_cost():
    features = np.array([[1, 2], [-3, 1]], dtype="float32")
    with Parties([_parts()] * 2) as parties:
        prepared = parties.prepare()
        answers = [parties.ask(features), parties.ask(features[:1])]
        parties.end_session()
        parties.prepare()
        parties.ask(features)
        parties.end_session()
        reports = parties.finish()
    assert answers[0].labels.tolist() == [1, 0]
    assert answers[0].scores.tolist() == [[-1, 1], [0, 0]]
    assert answers[0].offline is None  # this paradigm prepares nothing for a query
    header = 20
    assert prepared.counts["alice"].sent == header + len("hello") + 10
    assert answers[0].online.counts["alice"].sent == header + len("query") + 8
    assert answers[0].online.counts["bob"].sent == header + len("answer") + 16
    assert answers[1].online.counts["bob"].sent == header + len("answer") + 8
    assert answers[0].online.counts["alice"].rounds == 1
    assert reports["alice"].peak_rss_mb > 10
    assert 10 < prepared.counts["bob"].peak_rss_mb <= reports["bob"].peak_rss_mb


def test_a_dealer_is_a_third_process_and_its_bytes_are_counted():
    with Parties([_parts(dealer=True)]) as parties:
        assert parties.prepare().counts["dealer"].sent == 20 + len("mask") + 100
        asked = [parties.ask(np.ones((1, 3), "float32")) for _ in range(2)]
        parties.end_session()
        reports = parties.finish()
    assert [each.online.counts["dealer"].sent for each in asked] == [20 + len("mask") + 50] * 2
    assert set(reports) == {"alice", "bob", "dealer"}


def test_a_transcript_holds_what_a_party_saw():
    with Parties([_parts()], keep_payloads=1000) as parties:
        parties.prepare()
        parties.ask(np.full((1, 2), 0.5, "float32"))
        parties.end_session()
        seen = parties.finish()["bob"].seen
    assert [(message.direction, message.name) for message in seen] == [
        ("received", "hello"),
        ("sent", "ready"),
        ("received", "query"),
        ("sent", "answer"),
    ]
    assert seen[2].payload == np.float32(1).tobytes()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "the model takes 40 coefficients"),
        ("die", "bob: its process ended with code 9"),
        ("hang", "before the deadline"),
    ],
)
def test_a_failing_party_ends_the_run_with_its_reason(fault, reason):
    started = time.monotonic()
    with raises_code(PartyError, "party-failed", match=reason):
        _one_query(_parts(**{fault: True}), timeout=6.0)
    assert time.monotonic() - started < 45


def test_sessions_may_have_different_parts():
    with Parties([_parts(), _parts(show=True)]) as parties:
        parties.prepare()
        parties.ask(np.ones((1, 2), "float32"))
        parties.end_session()
        parties.prepare()
        with raises_code(PartyError, "party-failed", match="my job"):
            parties.ask(np.ones((1, 2), "float32"))


def test_one_dealer_serves_more_sessions_than_its_pipe_holds_reports_of():
    with Parties([_parts(dealer=True)] * 120, timeout=20) as parties:
        for _ in range(120):
            parties.prepare()
            parties.end_session()


def test_each_process_gets_its_own_job_only():
    parts = {"alice": PartySpec(SumAlice, {"secret": "key"}), "bob": PartySpec(SumBob, {"show": True})}
    with pytest.raises(PartyError) as caught:
        _one_query(parts)
    assert "bob: my job: {'show': True}" in str(caught.value)


def _one_query(parts, **options):
    with Parties([parts], **options) as parties:
        parties.prepare()
        parties.ask(np.ones((1, 2), "float32"))


def test_memory_is_the_partys_own_and_not_the_experimenters():
    ballast = np.ones(200_000_000 // 8)  # 200 MB that the parties do not have
    with Parties([_parts()]) as parties:
        parties.prepare()
        parties.ask(np.ones((1, 2), "float32"))
        parties.end_session()
        light = parties.finish()["bob"].peak_rss_mb
    ballast = np.ones(1_500_000_000 // 8)
    with Parties([_parts()]) as parties:
        parties.prepare()
        parties.ask(np.ones((1, 2), "float32"))
        parties.end_session()
        beside_ballast = parties.finish()["bob"].peak_rss_mb
    assert ballast.nbytes > 1e9
    assert beside_ballast < light + 300


def test_a_stranger_who_comes_first_gets_no_session():
    with Parties([_parts()]) as parties:
        port = parties._services["bob"].port
        with connect("127.0.0.1", port, timeout=10) as stranger:
            wish = Hello(role="alice", paradigm="experiment", mode="", session=new_session(), token=b"x" * 16)
            stranger.send(HELLO, encode(wish))
            with raises_code(PeerError, "peer-gave-up", match="another one"):
                stranger.receive(WELCOME, limit=WELCOME_BYTES)
        parties.prepare()
        assert parties.ask(np.ones((1, 2), "float32")).labels.tolist() == [1]
        parties.end_session()
        parties.finish()
