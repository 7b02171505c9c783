"""The command line as a user meets it: help, machine output, exit codes, one line per error."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer.rich_utils

from sotto.cli import app, one_line


def sotto(*arguments, **environment):
    """Run the command as its own process, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "sotto.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def typed(monkeypatch, capfd):
    """Run the command in this process, where the libraries are loaded already."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 400)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            app(list(arguments), prog_name="sotto")
        return subprocess.CompletedProcess(arguments, ended.value.code, *capfd.readouterr())

    return run


@pytest.mark.parametrize(
    "command", ["bench", "simulate", "report", "demo", "reproduce", "attack", "train", "corpus check", "corpus list"]
)
def test_every_command_has_help_with_an_example(command):
    done = sotto(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "--corpus", "nonsense"],
        ["bench", "--paradigm", "nonsense"],
        ["bench", "--net", "moon"],
        ["bench", "--preset", "slow"],
        ["bench", "--seed", "-1"],
        ["simulate", "nonsense"],
        ["simulate", "hashing", "/no/such/clip.wav"],
        ["reproduce", "nonsense"],
        ["reproduce"],
        ["attack", "nonsense"],
        ["train", "nonsense"],
        ["corpus", "check", "nonsense"],
        ["nonsense"],
    ],
)
def test_wrong_usage_ends_with_2_and_nothing_on_standard_output(arguments, typed):
    done = typed(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_process_ends_with_2_after_wrong_usage():
    done = sotto("corpus", "check", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_wrong_folder_is_one_line_and_exit_code_1(tmp_path):
    done = sotto("corpus", "check", "ravdess", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "nowhere" in errors[0]
    assert "Traceback" not in done.stderr


def test_a_traceback_only_with_debug(tmp_path):
    done = sotto("corpus", "check", "ravdess", "--data", str(tmp_path / "nowhere"), "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_listings_are_machine_readable(typed):
    listing = json.loads(typed("corpus", "list", "--json").stdout)
    assert {"ravdess", "synthetic", "manifest"} <= {corpus["name"] for corpus in listing}
    rows = json.loads(typed("reproduce", "dias-table3", "--json").stdout)
    assert [row["parameters"]["degree"] for row in rows] == [2, 4, 6]
    assert rows[0]["metrics"]["x^2"] == pytest.approx(rows[0]["published"]["x^2"], abs=5e-3)


def test_reproduce_and_attack_list_what_they_know(typed):
    assert "dias-table3" in typed("reproduce", "--list").stdout
    attacks = typed("attack", "--list").stdout
    for paradigm in ("mpc-", "he-", "hashing-", "keyed-", "adversarial-"):
        assert paradigm in attacks


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench", "--paradigm", "keyd"], "did you mean keyed?"),
        (["attack", "keyd"], "did you mean keyed-second-order?"),
        (["simulate", "mpc", "--cheat", "bob:nonsense"], "begins with 'nonsense'"),
        (["bench", "--corpus", "RAVDES"], "did you mean ravdess?"),
        (["bench", "--corpus", "ravdess"], "with --data DIR"),
        (["bench", "--corpus", "no-such-table.csv"], "no such table"),
        (["bench", "--label", "emotoin"], "did you mean emotion?"),
        (["bench", "--model", "no_such_file.py:Net", "--features", "mfcc"], "no FILE.py:NAME"),
        (["prepare", "he", "--corpus", "emodb", "--data", "/no/such/folder"], "no such folder"),
        (["simulate", "hashing", "/no/such/clip.wav"], "there is no file"),
        (["simulate", "hashing", __file__], "cannot be decoded as audio"),
        (["simulate", "hashing", str(Path(__file__).parent)], "is a folder, not a recording"),
        (["simulate", "hashing", "--mode", "smx"], "did you mean smh?"),
        (["simulate", "mpc", "--model", "frame"], "did you mean frames?"),
        (["simulate", "mpc", "--cheat", "carol:relu2"], "PARTY:MESSAGE"),
        (["simulate", "mpc", "--cheat", "bob:relu2:loudly"], "no kind of cheat"),
        (["simulate", "he", "--cheat", "bob:relu2"], "only in mpc"),
        (["simulate", "he", "--reveal", "logits"], "only mpc has a choice"),
        (["simulate", "mpc", "--weights", "open"], "secret, public"),
        (["simulate", "hashing", "--features-at", "circuit"], "do not tell classes apart"),
        (["simulate", "mpc", "--features-at", "cloud"], "alice, circuit"),
        (["bench", "--features-at", "circuit", "--peers"], "leave one out"),
        (["simulate", "mpc", "--weights", "public", "--cheat", "bob:relu2"], "leave --weights out"),
    ],
)
def test_a_wrong_name_is_told_before_a_corpus_is_loaded(arguments, said, typed):
    done = typed(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "clips" not in done.stderr


@pytest.mark.parametrize("command", ["", "bench", "simulate", "reproduce", "sweep", "alice", "bob", "dealer", "keys"])
def test_no_help_waits_for_a_library(command):
    code = (
        "import sys; from sotto.cli import app\n"
        "try: app(sys.argv[1:], prog_name='sotto')\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'librosa', 'cryptography'} & set(sys.modules)), file=sys.stderr)"
    )
    arguments = [sys.executable, "-c", code, *command.split(), "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests run under
told = lambda event, what: event == "import" and what[0] == "sotto.cli" and print(flush=True, file=sys.stderr)
sys.addaudithook(told)
from sotto.__main__ import main
main()
"""


@pytest.mark.parametrize("early", [False, True], ids=["at work", "still loading"])
def test_an_interrupt_ends_with_one_line_at_most(early, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "simulate", "hashing"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SOTTO_CACHE": str(tmp_path)},
    )
    process.stderr.read(1 if early else 2)  # the second is of the corpus that is being made
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in ((1, 130, -signal.SIGINT) if early else (1,))
    assert b"Traceback" not in said
    assert early or said.rstrip().endswith(b"interrupted: what was finished is kept and will be reused")


def test_a_full_disk_is_said_with_what_to_do():
    line = one_line(OSError(errno.ENOSPC, "No space left on device", "/data/results.json"))
    assert "\n" not in line
    assert "/data/results.json" in line
    assert "SOTTO_CACHE" in line
