"""The row without privacy: the same model and clips, over the same links, between two real processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sotto.bench.baseline import Alice, Bob, baseline
from sotto.bench.experiment import Configuration, Experiment, Plan, run
from sotto.bench.rows.matrix import grouped
from sotto.bench.rows.row import Security
from sotto.link import BadValue, FrameError, LinkError, pair
from sotto.models import build
from sotto.models.learning.training import predict
from sotto.models.shipped import Shipped
from tests.error_codes import raises_code


@pytest.fixture
def experiment():
    torch.manual_seed(1)
    module = build("mlp", {"inputs": 12, "hidden": (6,), "classes": 3}).eval()
    queries = np.random.default_rng(2).normal(size=(20, 12)).astype("float32")
    scores = predict(module, queries)
    return Experiment(
        cell=Configuration("mpc", "malicious", "small", {}),
        parts={},
        queries=queries,
        truth=np.arange(20) % 3,
        query=lambda clip: queries[:1],
        plain=lambda x: (predict(module, x).argmax(1), scores),
        security=Security("", "", None, None, ""),
        plan=Plan(singles=4, clips=20, table=20),
        network=module,
    )


def test_it_answers_as_the_model_does_and_its_row_is_the_plain_one_of_its_group(experiment):
    row = run(baseline(experiment), corpus="c", split="s", seed=0, net="loopback", say=lambda line: None)
    assert (row.paradigm, row.model, row.n_queries) == ("plaintext", "small", 20)
    assert row.agreement == 1.0
    assert row.accuracy_loss == 0.0
    assert row.bytes.alice > 12 * 4  # the features themselves
    assert row.total.bytes == row.bytes.alice + row.bytes.bob
    assert row.total.ms == row.online_ms.median
    assert set(row.total.cpu_seconds) == {"alice", "bob"}
    assert row.session.bytes > 0
    assert "Bob" in row.security.trusted
    (group,) = grouped([row])
    assert group.plain is row


def test_a_model_that_does_not_stand_alone_has_no_such_row(experiment):
    with raises_code(BadValue, "not-alone"):
        baseline(Experiment(**{**experiment.__dict__, "network": None}))


def test_bob_refuses_what_is_no_query(experiment):
    alice, bob = pair()
    alice.send("plain.query", b"")
    with pytest.raises(LinkError):
        Bob(Shipped.of(experiment.network)).answer(bob)
    with pytest.raises((LinkError, FrameError)):
        Alice().ask(experiment.queries, alice)
