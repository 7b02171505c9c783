"""Under the correct key an encrypted model says what the plain one says; the rows hold what was found."""

from __future__ import annotations

import dataclasses
import os
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sotto import keyed
from sotto.audio import CorpusError
from sotto.bench.claims.claim import Verdict
from sotto.bench.papers.niwa import block_sizes, incorrect_keys
from sotto.bench.papers.niwa import claims as niwa
from sotto.bench.papers.niwa.block_sizes import word_error_rate
from sotto.bench.papers.niwa.encrypted_tasks import Table, key_from_filterbank, rows, scenario
from sotto.bench.papers.niwa.incorrect_keys import Violin, draw, under_wrong_key
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.reproduction.targets import TARGETS, Request
from sotto.bench.rows.results import to_json
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import Recogniser
from sotto.bench.speech_tasks.spoken_digits import DigitString
from sotto.models.learning.seeding import seeded
from sotto.models.networks.convmixer import ConvMixer
from sotto.models.networks.ctc import PatchCTC
from sotto.models.networks.speaker_embedding import SpeakerEmbedding
from tests.error_codes import raises_code


def _tasks():
    """A network of every kind with random weights, in double precision so that rounding decides nothing.

    What is measured is the distance from the plain outputs.
    """
    with seeded(0):
        networks = {
            "asv": (SpeakerEmbedding(8, width=8), torch.randn(5, 4000), 10, 1),
            "asr": (PatchCTC(4, bands=48, channels=8, width=8), torch.randn(5, 48, 30), 3, 2),
            "asc": (ConvMixer(3, width=8, depth=1), torch.randn(5, 16, 40), 8, 2),
        }
    tasks = {}
    for name, (module, inputs, size, dimension) in networks.items():
        with torch.no_grad():
            plain = module.double().eval()(inputs.double())
        tasks[name] = SpeechTask(
            name, "corpus", "split", module, inputs.double(), size, dimension, "accuracy",
            lambda outputs, plain=plain: float((outputs - plain).norm()), batch=2,
        )  # fmt: skip
    return tasks


@pytest.mark.parametrize("name", ["asv", "asr", "asc"])
@pytest.mark.parametrize("kind", keyed.KEY_TYPES)
def test_the_correct_key_gives_the_plain_answer_and_others_do_not(name, kind):
    task = _tasks()[name]
    plain = task.outputs(task.module, task.inputs)
    found = scenario(task, kind, plain, 0)
    assert found.correct_key < 1e-10 * found.largest_output
    assert found.largest_error < 1e-10 * found.largest_output
    if kind == "flipping":
        assert found.bit_identical
        assert found.largest_error == 0
        assert found.correct_key == found.plain_model
    for other in (found.plain_query, found.incorrect_key):
        assert other > 1e-6 * found.largest_output


def test_rows_stand_beside_what_was_published(tmp_path):
    task = _tasks()["asc"]
    request = Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)
    published = {"": {"flipping": (1.0, 2.0, 3.0, None)}}
    found = list(rows([task, task], "convmixer", request, published))
    assert [row.mode for row in found] == list(keyed.KEY_TYPES)
    flipping = next(row for row in found if row.mode == "flipping")
    assert flipping.published == {
        "accuracy_plain_model": 1.0,
        "accuracy_plain_query": 2.0,
        "accuracy_correct_key": 3.0,
    }
    assert flipping.max_abs_error == 0
    assert flipping.metrics["scores_bit_identical"] == flipping.metrics["metric_identical"] == 1
    assert flipping.n_queries == 10
    assert "accuracy_incorrect_key" in to_json(found)


def test_a_table_has_all_its_networks_and_what_an_attack_on_each_finds(tmp_path):
    tasks = _tasks()
    networks = [("one", [tasks["asc"]]), ("other", [tasks["asr"], tasks["asr"]])]
    table = Table("", lambda request: networks, attack=lambda task, kind: {"attack_size": task.block_size})
    found = list(table.run(Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)))
    assert [(row.model, row.mode) for row in found] == [
        (name, kind) for name, _ in networks for kind in keyed.KEY_TYPES
    ]
    assert [row.metrics["attack_size"] for row in found] == [8] * 3 + [3] * 3
    assert found[-1].split == "2 folds"


@pytest.mark.parametrize("name", ["asv", "asr"])
def test_a_wrong_key_on_the_kernel_is_a_wrong_key_on_the_speech(name):
    task = _tasks()[name]
    key, wrong = (keyed.generate_key("rom", task.block_size, task.dimension) for _ in range(2))
    encrypted = keyed.encrypt_model(task.module, key, example=task.inputs)
    real = task.outputs(encrypted, keyed.encrypt(task.inputs, wrong))
    assert torch.allclose(task.outputs(under_wrong_key(encrypted, wrong), task.inputs), real, atol=1e-9)
    back = task.outputs(under_wrong_key(encrypted, key), task.inputs)
    assert torch.allclose(back, task.outputs(task.module, task.inputs), atol=1e-9)


@pytest.mark.parametrize("kind", keyed.KEY_TYPES)
def test_a_fourier_transform_in_the_first_layers_gives_the_key_away(kind):
    with seeded(0):
        module = SpeakerEmbedding(8, width=8, block_size=5)
    key = keyed.generate_key(kind, 5)
    encrypted = keyed.encrypt_model(module, key, example=torch.randn(1, 4000))
    np.testing.assert_allclose(key_from_filterbank(encrypted), key.matrix(), atol=1e-4)


def test_an_unmodified_recogniser_gets_encrypted_waveforms():
    generator = np.random.default_rng(0)
    strings = [DigitString("x", (1, 2), generator.normal(size=4003).astype(np.float32)) for _ in range(2)]
    key = keyed.generate_key("shuffling", 20)

    class Listener:
        def __init__(self):
            self.strings = strings

        def word_error_rate_of(self, sounds):
            for sound, string in zip(sounds, strings, strict=True):
                assert not np.array_equal(sound, string.samples[:4000])
                np.testing.assert_array_equal(keyed.decrypt(torch.from_numpy(sound), key), string.samples[:4000])
            return 0.25

    assert word_error_rate(Listener(), key) == 0.25


@pytest.mark.parametrize(("place", "metric"), [("Table I", "eer"), ("Table II", "wer"), ("Table III", "accuracy")])
def test_the_tables_claims_are_judged_by_the_rows_as_they_are_measured(place, metric, tmp_path):
    task = dataclasses.replace(_tasks()["asc"], metric=metric)
    request = Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)
    assert _verdict(place, rows([task], "convmixer", request, {"": {}})) is not Verdict.OPEN


def test_claims_on_block_sizes_and_incorrect_keys_are_judged_by_the_rows_as_they_are_measured(tmp_path):
    request = Request("synthetic", None, "quick", 0, tmp_path, lambda line: None)
    generator = np.random.default_rng(0)
    strings = [DigitString("x", (1, 2), generator.normal(size=8000).astype(np.float32)) for _ in range(2)]
    with seeded(0):
        recogniser = Recogniser(PatchCTC(11, bands=48, channels=8, width=8).eval(), strings, "split", "fsdd")
    plain = {"wer_plain": 20.0, "eer_plain": 5.0}
    sizes = [block_sizes._row("rom", size, [recogniser], _tasks()["asv"], plain, request) for size in block_sizes.SIZES]
    assert _verdict("Table IV", sizes) is not Verdict.OPEN
    violins = [
        incorrect_keys._row(metric, "x", "x", size, Violin("M", size + np.array([0.0, 1 / size]), 1.0), 2, {}, request)
        for metric in ("asv", "asr")
        for size in incorrect_keys.SIZES
    ]
    assert _verdict("Figures 9 to 11", violins) is Verdict.HOLDS


def _verdict(place, found):
    (item,) = [item for item in niwa.ITEMS if item.place == place]
    return item.judge(found).verdict


def test_violins_are_drawn(tmp_path):
    violins = [Violin("M = 3", np.array([1.0, 2.0, 5.0]), 1.0), Violin("M = 5", np.array([4.0, 4.5]), 1.0)]
    draw(violins, "error rate, %", tmp_path / "v.svg")
    text = (tmp_path / "v.svg").read_text()
    assert text.startswith("<?xml")
    assert "error rate" in text


def test_scenes_without_recordings_are_one_line(tmp_path):
    for corpus, data in (("synthetic", None), ("ravdess", tmp_path)):
        with raises_code(CorpusError, ("no-folder-named", "no-scenes")) as refused:
            list(TARGETS["kiya-asc"].run(Request(corpus, data, "quick", 0, tmp_path, lambda line: None)))
        assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.skipif("SOTTO_DATA" not in os.environ, reason="SOTTO_DATA names no folder of recordings")
@pytest.mark.parametrize("target", ["kiya-asv", "kiya-asr"])
def test_on_people_the_correct_key_changes_nothing_and_incorrect_ones_do(target, tmp_path):
    request = Request("synthetic", Path(os.environ["SOTTO_DATA"]), "quick", 0, tmp_path, lambda line: None)
    metric = {"kiya-asv": "eer", "kiya-asr": "wer"}[target]
    for row in TARGETS[target].run(request):
        metrics = row.metrics
        assert row.max_abs_error < 1e-3 * metrics["largest_output"]
        if row.mode == "flipping":
            assert row.max_abs_error == 0
            assert metrics["scores_bit_identical"] == metrics["metric_identical"] == 1
        assert metrics[f"{metric}_plain_model"] < 30
        if row.mode != "shuffling":
            assert metrics[f"{metric}_incorrect_key"] > metrics[f"{metric}_plain_model"]


def test_drawn_keys_come_again_from_their_seed_and_differ_for_every_purpose():
    def first(seed, purpose):
        return list(islice(drawn_keys("shuffling", 3, seed=seed, purpose=purpose), 8))

    assert first(0, "a") == first(0, "a")
    assert first(0, "a") != first(1, "a")
    assert first(0, "a") != first(0, "b")
    assert all(one != other for one, other in pairwise(first(0, "a")))


def test_the_distance_of_two_keys_is_that_of_speech_under_them():
    speech = torch.randn(3, 40)
    key, other = islice(drawn_keys("rom", 5, seed=0, purpose="test"), 2)
    apart = (keyed.encrypt(speech, key) - keyed.encrypt(speech, other)).norm() / speech.norm()
    power = incorrect_keys.block_power(speech, 5)
    found = incorrect_keys.distance(power, key.matrix() - other.matrix())
    assert found == pytest.approx(float(apart), rel=1e-5)
    low, high = incorrect_keys.groups_by_rate(5, np.array([3.0, 1.0, 2.0, 9.0]), np.array([30.0, 10.0, 20.0, 90.0]))
    assert sorted(low.rates) == [10, 20]
    assert sorted(high.rates) == [30, 90]


@pytest.mark.parametrize("target", ["kiya-asv", "kiya-asr", "kiya-block-size", "kiya-wrong-keys", "keyed-attacks"])
def test_another_corpus_than_the_tasks_own_is_refused(target, tmp_path):
    for corpus, data in (("esc10", tmp_path), ("librispeech", None)):
        with raises_code(CorpusError, ("no-folder-named", "not-measured")) as refused:
            list(TARGETS[target].run(Request(corpus, data, "quick", 0, tmp_path, lambda line: None)))
        assert "\n" not in str(refused.value)
