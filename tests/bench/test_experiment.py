"""The measurement itself: what is counted, on which clips, and what the row says of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from sotto.bench.experiment import Configuration, Experiment, Plan, run, run_side_by_side
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.link import Answer, LinkClosed

HEADER = 20
CLIPS, FEATURES = 40, 3


class SignAlice:
    """Sends her features as they are, and takes the labels; with ``wrong``, asks about something else."""

    def __init__(self, job, links):
        self.job = job

    def prepare(self, link):
        link.send("keys", bytes(1000))
        link.receive("ready", limit=0)

    def ask(self, features, link):
        link.send("query", features.astype("<f4").tobytes())
        labels = np.frombuffer(link.receive("answer", limit=10_000), "<i8")
        scores = np.stack([-features.sum(1), features.sum(1) + self.job["off"]], 1) if self.job["reveal"] else None
        return Answer(labels, scores)


class SignBob:
    def __init__(self, job, links):
        pass

    def answer(self, link):
        while True:
            try:
                name, payload = link.receive_any({"keys": 1000, "query": 10_000})
            except LinkClosed:
                return False
            if name == "query":
                sums = np.frombuffer(payload, "<f4").reshape(-1, FEATURES).sum(1)
                link.send("answer", (sums > 0).astype("<i8").tobytes())
                return True
            link.send("ready", b"")


def _experiment(**changes):
    queries = np.random.default_rng(1).normal(size=(CLIPS, FEATURES)).astype("float32")
    truth = (queries[:, 0] > 0).astype(np.int64)

    def plain(x):
        return (x.sum(1) > 0).astype(np.int64), np.stack([-x.sum(1), x.sum(1)], 1)

    def parts(reveal):
        return {"alice": PartySpec(SignAlice, {"reveal": reveal, "off": 0.25}), "bob": PartySpec(SignBob, {})}

    settings = {
        "cell": Configuration("sign", "open", "sum", {"k": 1}),
        "parts": parts(False),
        "score_parts": parts(True),
        "queries": queries,
        "truth": truth,
        "query": lambda clip: queries[:1],
        "plain": plain,
        "security": Security("nobody", "everybody", None, None, "everything"),
        "plan": Plan(singles=5, batch=8, clips=30, sessions=2, scored=6),
        "keys_are_sent": True,
        "attacks": {"read": lambda: {"attack_read": 1.0}},
        "extra": {"leakage": 1.0},
    }
    return Experiment(**(settings | changes))


def _run(experiment):
    return run(experiment, corpus="numbers", split="s", seed=3, net="loopback", say=lambda line: None)


def test_a_row_counts_what_crossed_the_links_and_compares_with_the_plaintext_model():
    experiment = _experiment()
    row = _run(experiment)
    assert row.n_queries == 30
    assert row.agreement == 1.0
    labels, _ = experiment.plain(experiment.queries)
    assert row.accuracy_plain == pytest.approx(np.mean(labels == experiment.truth))
    assert row.accuracy_private == row.metrics["accuracy_plain_on_asked"]
    assert row.max_abs_error == pytest.approx(0.25, abs=1e-6)
    assert row.bytes.alice == HEADER + len("query") + 4 * FEATURES
    assert row.bytes.bob == HEADER + len("answer") + 8
    assert row.bytes.dealer is None
    assert row.key_bytes == HEADER + len("keys") + 1000
    assert row.rounds == 1
    assert row.online_ms.median <= row.online_ms.p95
    assert row.per_query_ms_batched > 0
    assert row.metrics["attack_read"] == 1.0
    assert row.metrics["leakage"] == 1.0
    assert row.parameters == {"k": 1, "net": "loopback"}
    assert row.accuracy_loss == 0.0
    assert row.accuracy_interval.low < row.accuracy_private < row.accuracy_interval.high
    assert (row.total.ms, row.total.bytes) == (row.online_ms.median, row.bytes.alice + row.bytes.bob)
    assert row.session.bytes == row.metrics["session_bytes"]
    assert row.session.ms == row.metrics["session_ms"]
    assert row.total.cpu_seconds["bob"] == pytest.approx(row.metrics["online_busy_ms_bob"] / 1e3)


def test_without_batches_or_scores_the_row_says_null():
    row = _run(_experiment(plan=Plan(singles=4, batch=0, clips=4), score_parts=None, keys_are_sent=False))
    assert row.n_queries == 4
    assert row.per_query_ms_batched is None
    assert row.max_abs_error is None
    assert row.key_bytes is None


def test_an_attack_that_fails_leaves_its_figures_blank_and_the_row_whole():
    said = []

    def fails():
        return {"attack_share": 1 / 0}

    experiment = _experiment(attacks={"bad": fails, "good": lambda: {"attack_found": 1.0, "attack_unknown": None}})
    row = run(experiment, corpus="c", split="s", seed=0, net="loopback", say=said.append)
    assert row.metrics["attack_found"] == 1.0
    assert row.metrics["attack_unknown"] is None
    assert "attack_share" not in row.metrics
    assert row.metrics["attacks_that_failed"] == 1.0
    assert any("bad" in line and "ZeroDivisionError" in line for line in said)


def test_a_row_asked_fewer_clips_than_its_table_has_no_accuracy():
    row = _run(_experiment(plan=Plan(singles=4, clips=4, table=30)))
    assert (row.n_queries, row.metrics["table_clips"], row.agreement) == (4, 30, 1.0)
    assert row.accuracy_private is row.accuracy_loss is row.accuracy_interval is None
    whole = _run(_experiment(plan=Plan(singles=4, clips=30, table=30)))
    assert whole.accuracy_private is not None


def test_rows_of_one_table_are_asked_the_same_clips():
    asked = []
    plain = _experiment().plain

    def noting(x):
        asked.append(x)
        return plain(x)

    for singles in (1, 5):
        _run(_experiment(plain=noting, plan=Plan(singles=singles, clips=8, table=8, batch=4)))
    assert np.array_equal(*asked)


def test_a_disagreement_shows():
    flipped = _experiment()
    row = _run(_experiment(plain=lambda x: (1 - flipped.plain(x)[0], flipped.plain(x)[1])))
    assert row.agreement == 0.0


class StockedAlice(SignAlice):
    """Has something made ready for every query, by Bob and by a dealer, before she asks it."""

    def __init__(self, job, links):
        super().__init__(job, links)
        self.dealer, self.stock = links["dealer"], 0

    def provision(self, link, examples):
        self.dealer.send("wish", bytes(examples))
        self.dealer.receive("bundle", limit=10_000)
        self.stock += examples

    def ask(self, features, link):
        self.stock -= len(features)
        if self.stock:
            raise ValueError("asked without its provision")
        return super().ask(features, link)


class StockingDealer:
    def __init__(self, job, links):
        pass

    def serve(self, alice, bob):
        while True:
            try:
                wish = alice.receive("wish", limit=1000)
            except LinkClosed:
                return
            time.sleep(0.02)
            alice.send("bundle", bytes(500 * len(wish)))


def _stocked(**changes):
    def parts(reveal):
        return {
            "alice": PartySpec(StockedAlice, {"reveal": reveal, "off": 0.0}),
            "bob": PartySpec(SignBob, {}),
            "dealer": PartySpec(StockingDealer, {}),
        }

    return _experiment(
        parts=parts(False), score_parts=None, keys_are_sent=False, plan=Plan(3, 11, batch=8, warm_up=2), **changes
    )


def test_what_is_made_ready_for_a_query_is_counted_apart_from_it():
    row = _run(_stocked())
    assert row.offline_ms.median >= 20 > row.online_ms.median
    assert row.bytes.alice == HEADER + len("query") + 4 * FEATURES
    assert row.bytes.dealer == 0
    assert row.key_bytes == HEADER + len("bundle") + 500
    assert row.rounds == 1
    assert row.metrics["offline_rounds"] == 1
    assert row.metrics["offline_bytes_alice"] == HEADER + len("wish") + 1
    assert row.metrics["offline_bytes_bob"] == 0
    assert row.metrics["offline_bytes_dealer"] == row.key_bytes
    assert row.metrics["offline_ms_batched"] >= 20 / 8
    assert row.total.ms == pytest.approx(row.offline_ms.median + row.online_ms.median)
    assert row.total.bytes == sum(row.metrics[f"offline_bytes_{role}"] for role in ("alice", "bob", "dealer")) + (
        row.bytes.alice + row.bytes.bob + row.bytes.dealer
    )
    assert row.metrics["session_bytes"] == HEADER + len("keys") + 1000 + HEADER + len("ready")
    assert row.n_queries == 11


def test_experiments_side_by_side_answer_as_they_do_alone():
    plain, stocked = run_side_by_side(
        [_experiment(), _stocked()], corpus="numbers", split="s", seed=3, net="loopback", say=lambda line: None
    )
    assert (plain.n_queries, stocked.n_queries) == (30, 11)
    assert plain.agreement == stocked.agreement == 1.0
    assert plain.bytes.alice == stocked.bytes.alice
    assert plain.metrics["timed_queries"] == 5
