"""What is shown of a transcript: numbers decoded from Bob's bytes, and what an attacker at his place makes of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sotto import keyed
from sotto.bench.parties.control import Seen
from sotto.keyed.experiment import _reconstruct
from sotto.keyed.messages import QUERY, Query
from sotto.link import Array, encode
from sotto.report.seen import received, reconstructed


def sounds(count, samples, seed):
    """Noise through a resonance, float32 (count, samples)."""
    noise = np.random.default_rng(seed).normal(size=(count, samples))
    found = lfilter([1], [1, -1.8 * np.cos(0.35), 0.81], noise)
    return (found / found.std()).astype(np.float32)


def transcript(values):
    query = encode(Query(speech=Array.of(values), reveal="class"))
    return [Seen("received", "alice", "keyed.hello", 20, b"\x80"), Seen("received", "alice", QUERY, len(query), query)]


def seen_by(attacker):
    return SimpleNamespace(reconstruct=attacker)


@pytest.mark.parametrize("kind", ["flipping", "shuffling"])
def test_an_attacker_at_bobs_place_gets_the_speech_out_of_what_he_received(kind):
    speech, public = sounds(1, 40_000, 1), sounds(20, 40_000, 2)
    key = keyed.generate_key(kind, 5, 1)
    bench = SimpleNamespace(part=lambda values, part: {"train": public}[part])
    encrypted = keyed.encrypt(torch.from_numpy(speech), key).numpy()
    (bobs,) = received(transcript(encrypted), speech)
    assert "no measure of what an attack gets" in bobs.text
    attack = seen_by(lambda values: _reconstruct(values, key, SimpleNamespace(queries=None), bench))
    (shown,) = reconstructed(attack, transcript(encrypted), speech)
    assert shown.title == "An attacker without the key made of it"
    assert "correlation with Alice's own 1.00" in shown.text
    assert shown.sound[:4] == b"RIFF"
    assert bobs.sound != shown.sound


def test_an_attacker_who_gives_up_is_said_to():
    speech = sounds(1, 40_000, 1)
    (shown,) = reconstructed(seen_by(lambda values: None), transcript(speech), speech)
    assert "gave up" in shown.text
    assert shown.sound is None


def test_without_an_attacker_or_a_query_nothing_is_claimed():
    speech = sounds(1, 40_000, 1)
    assert reconstructed(seen_by(None), transcript(speech), speech) == []
    assert reconstructed(seen_by(lambda values: values), [], speech) == []
