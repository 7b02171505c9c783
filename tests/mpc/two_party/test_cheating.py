"""Mode ``two-party`` does not stand against a party that cheats, and the sweep of cheats says so."""

from __future__ import annotations

import networks
import numpy as np

from sotto.mpc.attacks import run_parties, tamper

FEATURES = np.random.default_rng(4).normal(size=(1, 4)).astype(np.float32)


def test_alice_accepts_wrong_classes_of_a_cheating_bob():
    result = tamper(networks.tiny(), (4,), FEATURES, mode="two-party", trials=40)
    counts = {verdict: result.count(verdict) for verdict in ("accepted", "caught", "harmless", "refused", "hung")}
    assert counts["accepted"] >= 4, counts
    assert counts["caught"] == counts["hung"] == 0, counts  # there is nothing that could catch him
    names = {place.name for own in result.places.values() for place in own}
    assert {"relu1.tables", "relu1.select", "linear1.input", "output", "ot.extend", "linear1.masked"} <= names


def test_the_transcripts_have_no_dealer_in_them():
    run = run_parties(networks.tiny(), (4,), [FEATURES], mode="two-party")
    assert run.answers[0].labels.shape == (1,)
    assert run.transcripts["alice"]["dealer"] == run.transcripts["bob"]["dealer"] == []
    assert run.transcripts["bob"]["peer"]
