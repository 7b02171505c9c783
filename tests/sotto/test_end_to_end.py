"""The main job from the outside, on a miniature corpus: compare, write, reuse, simulate, attack."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import subprocess
import sys
from copy import copy
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile

from sotto import cli

EMOTIONS = {"calm": 120.0, "angry": 240.0, "happy": 330.0}
SPEAKERS, TAKES = 10, 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Buzzing voices: the emotion is the pitch, the speaker a shift of it and a colour."""
    folder = tmp_path_factory.mktemp("buzz")
    generator = np.random.default_rng(0)
    time = np.arange(int(0.8 * 16000)) / 16000
    rows = []
    for speaker in range(SPEAKERS):
        for emotion, pitch in EMOTIONS.items():
            for take in range(TAKES):
                f0 = pitch * (1 + 0.03 * speaker / SPEAKERS + 0.05 * generator.normal())
                tone = sum(np.sin(2 * np.pi * k * f0 * time) / k ** (1 + speaker / SPEAKERS) for k in range(1, 20))
                sound = 0.1 * tone * (1 + 0.3 * np.sin(2 * np.pi * 5 * time)) + 0.002 * generator.normal(size=time.size)
                name = f"{speaker}-{emotion}-{take}.wav"
                soundfile.write(folder / name, sound, 16000)
                rows.append({"path": name, "speaker": f"s{speaker}", "emotion": emotion, "sentence": f"t{take}"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "speaker", "emotion", "sentence"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sotto(cache, monkeypatch, capfd):
    """The command in this process, where the libraries are loaded already; what it sets for good is undone."""
    logger = logging.getLogger("sotto")
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(logger, name, copy(getattr(logger, name)))
    for name in ("gc", "signal"):
        monkeypatch.setattr(cli, name, Mock())
    monkeypatch.setenv("SOTTO_CACHE", str(cache))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sotto", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return run


@pytest.mark.timeout(900)
def test_bench_writes_valid_rows_and_a_second_run_reuses_what_the_first_made(corpus, sotto, tmp_path):
    options = ["bench", "--corpus", "manifest", "--data", str(corpus), "--paradigm", "hashing", "--json", "--out"]
    command = [sys.executable, "-m", "sotto.cli", *options, str(tmp_path / "one")]  # as a user would
    first = subprocess.run(command, capture_output=True, text=True, timeout=550, stdin=subprocess.DEVNULL)
    assert first.returncode == 0, first.stderr
    plain, row = json.loads(first.stdout)
    assert (plain["paradigm"], row["paradigm"]) == ("plaintext", "hashing")
    assert (plain["model"], plain["n_queries"]) == (row["model"], row["n_queries"])
    assert row["accuracy_loss"] == pytest.approx(plain["accuracy_private"] - row["accuracy_private"])
    assert row["cost"]["processor_usd"] > 0
    assert row["accuracy_plain"] > 0.5  # chance is a third
    assert 0 <= row["agreement"] <= 1
    assert row["bytes"]["alice"] > 704  # a hash of 2,816 symbols in two bit planes
    assert row["metrics"]["attack_known_key_recovered"] > 0.5
    written = {path.name for path in (tmp_path / "one").iterdir()}
    assert written == {"results.json", "results.csv", "report.html", "scene.json"}
    assert json.loads((tmp_path / "one" / "results.json").read_text()) == [plain, row]
    second = sotto(*options, tmp_path / "two")
    assert second.returncode == 0
    assert "reused" in second.stderr
    assert "computed" not in second.stderr


def test_simulate_shows_what_each_party_saw_and_the_answer(corpus, sotto):
    done = sotto("simulate", "hashing", corpus / "3-angry-1.wav", "--corpus", "manifest", "--data", corpus, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["answer"] in EMOTIONS
    assert "leaked" not in done.stderr
    assert shown["alice_values_in_the_open_at_bob"]["found"] == 0
    assert {m["message"] for m in shown["transcript"]["bob"] if m["direction"] == "received"} == {
        "bench.token", "hashing.hello", "hashing.query",
    } - {"bench.token"}  # fmt: skip


def test_the_answer_comes_first_and_messages_only_where_they_are_wanted(corpus, sotto):
    arguments = ["simulate", "hashing", corpus / "3-angry-1.wav", "--corpus", "manifest", "--data", corpus]
    done = sotto(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Answer: ")
    assert done.stdout.splitlines()[1].startswith("Offline ")
    assert "hashing.query" not in done.stdout
    assert "hashing.query" in sotto(*arguments, "-v").stdout


def test_a_cache_that_cannot_be_written_is_said_and_done_without(corpus, sotto, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "file"))
    arguments = ["simulate", "hashing", corpus / "3-angry-1.wav", "--corpus", "manifest", "--data", corpus]
    done = sotto(*arguments)
    assert done.returncode == 0, done.stderr
    assert "going on without it" in done.stderr


def test_an_attack_by_itself(corpus, sotto):
    done = sotto("attack", "hashing-linkability", "--corpus", "manifest", "--data", corpus, "--json")
    assert done.returncode == 0, done.stderr
    (reached,) = json.loads(done.stdout)
    assert 0 <= reached["metrics"]["attack_speaker_named"] <= 1


def test_a_clip_with_nothing_in_it_is_refused_by_name(corpus, sotto, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.ones(160), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    for name, reason in (("short.wav", "0.01 s"), ("silent.wav", "is silent")):
        done = sotto("simulate", "hashing", tmp_path / name, "--corpus", "manifest", "--data", corpus)
        assert done.returncode == 2
        said = "".join(done.stderr.replace("│", " ").split())  # however the frame breaks it
        assert name in said
        assert reason.replace(" ", "") in said


def test_results_that_could_not_be_written_are_refused_before_any_work(corpus, sotto, tmp_path):
    (tmp_path / "file").write_text("")
    done = sotto("bench", "--corpus", "manifest", "--data", corpus, "--out", tmp_path / "file")
    assert done.returncode == 1
    assert "choose another --out" in done.stderr
    assert "manifest:" not in done.stderr


def test_checking_a_corpus_names_every_broken_file(corpus, sotto, tmp_path):
    shutil.copytree(corpus, tmp_path / "broken")
    (tmp_path / "broken" / "0-calm-0.wav").write_bytes(b"")
    (tmp_path / "broken" / "1-calm-0.wav").write_bytes(b"nonsense" * 100)
    done = sotto("corpus", "check", "manifest", "--data", tmp_path / "broken", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert len(found["broken"]) == 2
    assert all(any(name in line for line in found["broken"]) for name in ("0-calm-0.wav", "1-calm-0.wav"))
    first = sotto("train", "depinto", "--corpus", "manifest", "--data", tmp_path / "broken")
    assert first.returncode == 1
    assert "--skip-broken" in first.stderr
