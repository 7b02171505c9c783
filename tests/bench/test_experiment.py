"""The measurement itself: what is counted, on which clips, and what the row says of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.experiment import Cell, Experiment, Plan, run
from bench.party import Part
from bench.row import Security
from link import Answer, LinkClosed

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
        return {"alice": Part(SignAlice, {"reveal": reveal, "off": 0.25}), "bob": Part(SignBob, {})}

    settings = {
        "cell": Cell("sign", "open", "sum", {"k": 1}),
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


def test_without_batches_or_scores_the_row_says_null():
    row = _run(_experiment(plan=Plan(singles=4, batch=0, clips=4), score_parts=None, keys_are_sent=False))
    assert row.n_queries == 4
    assert row.per_query_ms_batched is None
    assert row.max_abs_error is None
    assert row.key_bytes is None


def test_a_disagreement_shows():
    flipped = _experiment()
    row = _run(_experiment(plain=lambda x: (1 - flipped.plain(x)[0], flipped.plain(x)[1])))
    assert row.agreement == 0.0
