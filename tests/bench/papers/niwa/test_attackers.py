"""The evaluation of attackers on made-up speech with untrained listeners: who has what gets what, and rows say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sotto import keyed
from sotto.bench.papers.niwa import attackers
from sotto.bench.papers.niwa.attackers import Speech, Stage
from sotto.bench.reproduction.targets import Request
from sotto.bench.rows.results import to_json
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import Recogniser
from sotto.bench.speech_tasks.spoken_digits import DigitString
from sotto.models.learning.seeding import seeded
from sotto.models.networks.ctc import PatchCTC
from sotto.models.networks.speaker_embedding import SpeakerEmbedding


def _sounds(count, samples, seed):
    """Noise through a resonance of each clip's own, float32 (count, samples)."""
    generator = np.random.default_rng(seed)
    angles = generator.uniform(0.2, 0.5, count)
    rows = [lfilter([1], [1, -1.8 * np.cos(a), 0.81], generator.normal(size=samples)) for a in angles]
    return torch.from_numpy(np.stack([row / row.std() for row in rows]).astype(np.float32))


@pytest.fixture(scope="module")
def stage():
    with seeded(0):
        verifier, recogniser = SpeakerEmbedding(8, width=8), PatchCTC(11, bands=48, channels=8, width=8)
    utterances, strings = _sounds(4, 8000, 1), _sounds(3, 8000, 2)
    spoken = [DigitString(f"speaker {n}", (n, 1, 2), wave.numpy()) for n, wave in enumerate(strings)]
    heard = Recogniser(recogniser.eval(), spoken, "split", "strings")
    task = SpeechTask(
        "asv", "utterances", "split", verifier.eval(), utterances, 10, 1, "eer", lambda found: float(found.norm())
    )
    return Stage(
        task,
        heard,
        Speech(utterances, _sounds(12, 8000, 3), 1.0, 1),
        Speech(strings, _sounds(12, 8000, 4), 1.0, 1),
        Speech(heard.task.inputs, heard.task.inputs + 0.01, 1.0, 2),
    )


@pytest.fixture(scope="module")
def rows(stage, tmp_path_factory):
    said = []
    request = Request("synthetic", None, "quick", 0, tmp_path_factory.mktemp("out"), said.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "open", lambda request: stage)
        patch.setattr(attackers, "WAVEFORM_SIZES", {"quick": (3,)})
        patch.setattr(attackers, "SPECTROGRAM_SIZES", {"quick": (2,)})
        patch.setattr(attackers, "_STEPS", 2)
        patch.setattr(attackers, "_KEYS", 2)
        found = list(attackers.run(request))
    assert len(said) == len(found)
    return found


def _metrics(rows, kind, attacker, dimension):
    (row,) = [
        row
        for row in rows
        if (row.mode, row.parameters["attacker"], row.parameters["dimension"]) == (kind, attacker, dimension)
    ]
    return row.metrics


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("kind", keyed.KEY_TYPES)
def test_known_and_chosen_speech_give_the_key_and_so_what_the_plain_listeners_hear(rows, stage, kind, dimension):
    plain = 100 * stage.recogniser.task.measure(stage.recogniser.module, stage.recogniser.task.inputs)
    for attacker in ("known-plaintext", "chosen-plaintext"):
        found = _metrics(rows, kind, attacker, dimension)
        assert found["key_exact"] == 1
        assert found["correlation"] == pytest.approx(1, abs=1e-6)
        assert found["distance_db"] < 0.1
        if dimension == 2:
            assert found["wer_percent"] == pytest.approx(plain)
    asked = _metrics(rows, kind, "chosen-plaintext", dimension)["blocks"]
    assert asked == ({1: 3, 2: 4}[dimension] if kind == "rom" else 1)  # for ROM, as many as a block has numbers


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("kind", keyed.KEY_TYPES)
def test_who_attacks_nothing_recovers_nothing(rows, kind, dimension):
    found = _metrics(rows, kind, "none", dimension)
    assert found["key_exact"] == 0
    assert found["correlation"] < 0.999
    assert found["distance_db"] > 0.1


def test_a_row_is_the_mean_over_keys_with_its_spread_and_the_worst_key():
    found = attackers.over_keys(
        [
            {"blocks": None, "key_exact": 1.0, "correlation": 1.0},
            {"blocks": 3.0, "key_exact": 0.0, "correlation": 0.5},
            {"blocks": 5.0, "key_exact": 0.0, "correlation": 0.6},
        ]
    )
    assert found == pytest.approx(
        {
            "blocks": 4.0,
            "blocks_sd": 2**0.5,
            "key_exact": 1 / 3,
            "correlation": 0.7,
            "correlation_sd": 0.07**0.5,
            "correlation_least": 0.5,
        }
    )
    assert attackers.over_keys([{"blocks": None}])["blocks"] is None


def test_every_attacker_has_a_row_that_can_be_written_down(rows):
    attackers = {"none", "known-plaintext", "chosen-plaintext", "ciphertext-only", "neural-inverter"}
    assert len(rows) == 2 * len(keyed.KEY_TYPES) * len(attackers)
    assert {row.parameters["attacker"] for row in rows} == attackers
    for row in rows:
        assert row.paradigm == "keyed"
        assert row.parameters["keys"] == 2
        assert row.metrics["correlation"] <= 1 + 1e-6
        if row.parameters["attacker"] in ("ciphertext-only", "neural-inverter"):
            assert row.metrics["seconds"] in (1.0, 2.0, 2.5, 3.0, 4.0)  # one query, or all; mean of two keys
    assert to_json(rows)
