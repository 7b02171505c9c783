"""An interrupt at any message of a question, at Alice or at Bob: the link is over, no late answer serves the next one.

Mode by mode of mpc this is shown in tests/mpc/test_interrupts.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import numpy as np
import pytest
import torch

from sotto import adversarial, hashing, he, keyed
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.fingerprint import fingerprint
from sotto.adversarial.sensor.sensor import Sensor
from sotto.link import LinkError, pair
from sotto.models.networks.mlp import MLP
from sotto.models.networks.patch_cnn import WavePatchCNN

ENDS = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, SystemExit, MemoryError)


def _keyed():
    torch.manual_seed(0)
    model = WavePatchCNN(block_size=10, classes=4, channels=4, width=6).eval()
    key = keyed.generate_key("rom", 10, seed=1)
    bob = keyed.Bob(keyed.encrypt_model(model, key, example=torch.randn(2, 4000)), fingerprint=key.fingerprint)
    return keyed.Alice(key), bob, np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)


def _adversarial():
    torch.manual_seed(0)
    sensor = Sensor(rate=8000, separation=(4, 8), extractor=(8, 16), dimensions=12, mask="continuous").eval()
    bob = adversarial.Bob(Classifier(3, 12).eval(), sensor=fingerprint(sensor))
    return adversarial.Alice(sensor), bob, np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)


def _hashing():
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(30, 12)).astype(np.float32), np.arange(30) % 3
    key = hashing.HashKey.generate(hashing.HashParameters(12, delta=4.0), seed=11)
    hashes = hashing.training_hashes(key, features, labels, classes=("a", "b", "c"))
    classifier = hashing.HammingSVC(C=2.0, gamma=4.0).fit(hashes.hashes, hashes.labels, fingerprint=hashes.fingerprint)
    return hashing.Alice(key), hashing.Bob(classifier, classes=("a", "b", "c")), features[:2]


def _he():
    torch.manual_seed(0)
    module = MLP(6, (5, 4), 3, "poly2")
    module.train()
    for _ in range(10):
        module(torch.rand(64, 6) * 2 - 1)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 6)).astype(np.float32)
    return he.Alice(timeout=20), he.Bob(module.eval(), timeout=20), x


PARADIGMS = {"adversarial": _adversarial, "hashing": _hashing, "he": _he, "keyed": _keyed}


@pytest.fixture(scope="module", params=PARADIGMS)
def parties(request):
    """Makes Alice, Bob and features of a paradigm afresh."""
    return PARADIGMS[request.param]


def query(parties, whose, at):
    """One query with an interrupt at message ``at`` of a side's; Alice's outcome, her link, how Bob ended, messages."""
    alice, bob, features = parties()
    links = dict(zip(("alice", "bob"), pair(timeout=20), strict=True))
    count = itertools.count()
    ended = []

    def observe(way, name, payload):
        if next(count) == at:
            raise ENDS[at % len(ENDS)](name)

    def serve():
        try:
            bob.serve(links["bob"])
        except BaseException as error:
            ended.append(error)
            with pytest.raises(LinkError):
                links["bob"].send("reply", b"late")
            with contextlib.suppress(LinkError):
                assert not bob.answer(links["bob"])
        finally:
            links["bob"].close()

    links[whose].observer = observe
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        outcome = alice.ask(features, links["alice"])
    except (LinkError, *ENDS) as error:
        outcome = error
    if at < 1000:
        with pytest.raises(LinkError):
            alice.ask(features, links["alice"])
    links["alice"].close()
    thread.join(20)
    assert not thread.is_alive()
    return outcome, ended, next(count)


@pytest.mark.parametrize("whose", ["alice", "bob"])
def test_after_an_interrupt_at_any_message_no_answer_comes(parties, whose):
    outcome, ended, count = query(parties, whose, 1000)
    assert len(outcome.labels) == 2
    assert not ended
    assert count >= 4
    for at in range(count):
        outcome, ended, _ = query(parties, whose, at)
        last_of_bobs = whose == "bob" and at == count - 1  # what was queued still goes out
        assert isinstance(outcome, (LinkError, *ENDS)) or last_of_bobs
        assert ended or whose == "alice"  # to a Bob who waited for her next message Alice has just left
        assert all(isinstance(error, ENDS if whose == "bob" else LinkError) for error in ended)
