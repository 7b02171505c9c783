"""Hashes of two features at one budget: what names speakers in the clear names them from hashes, at equal leakage."""

from __future__ import annotations

import numpy as np
import pytest

from sotto.bench.listeners.experiments import hashed_embeddings
from sotto.bench.papers.dias.smh.study import Task
from sotto.bench.rows.results import to_json


class _Bench:
    """As much of a workbench as the rows need."""

    preset, seed, quick = "quick", 0, True

    class corpus:
        name = "made up"


def _task(spread):
    """Four speakers in training and four in the test, two sentences each; ``spread``: how unlike speakers are."""
    generator = np.random.default_rng(0)
    speakers = np.repeat([f"s{n}" for n in range(8)], 12)
    voices = np.repeat(generator.normal(size=(8, 64)), 12, axis=0)
    raw = (spread * voices + generator.normal(size=(96, 64))).astype(np.float32)
    place = np.arange(96)
    return Task(
        "2 classes",
        ("a", "b"),
        raw,
        place % 2,
        speakers,
        np.array([str(n // 2 % 2) for n in place]),
        [(place[:48], place[48:])],
    )


@pytest.mark.parametrize(("spread", "least", "most"), [(0.0, 0.0, 0.5), (3.0, 0.9, 1.0)])
def test_speakers_are_named_from_hashes_as_far_as_the_features_tell_them_apart(spread, least, most, monkeypatch):
    monkeypatch.setattr(hashed_embeddings, "KEYS", {"quick": 2})
    row = hashed_embeddings._row("made up", _task(spread), 4, 0.5, _Bench())
    assert least <= row.metrics["attack_speaker_named"] <= most
    assert least <= row.metrics["attack_speaker_named_plaintext"] <= most
    assert row.metrics["attack_speaker_named_other_key"] < 0.6
    assert row.metrics["attack_speaker_named_chance"] == pytest.approx(0.25)
    assert (row.parameters["symbols"], row.parameters["mpc"]) == (256, 4)
    assert to_json([row])


def test_both_features_have_budgets_of_about_as_many_symbols():
    for budgets in hashed_embeddings.BUDGETS.values():
        for egemaps, embeddings in budgets:
            assert 88 * egemaps == pytest.approx(256 * embeddings, rel=0.05)
