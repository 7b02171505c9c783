"""Sweeps as a user runs them: killed, resumed, on other workers, always with the same table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from sotto.bench.sweeps.executors import Executor
from sotto.bench.sweeps.running import look_up, run_sweep
from sotto.bench.sweeps.store import Store


def silent(line):
    pass


def table(outcome):
    """What must not depend on when and where tasks ran."""
    return [(row.parameters, row.accuracy_plain, row.accuracy_private, row.metrics) for row in outcome.rows]


def test_nothing_is_computed_twice(plan, tmp_path):
    store, whole = Store(tmp_path), plan()
    first = run_sweep(whole, store, Executor(), silent)
    assert (first.computed, first.reused, first.faults) == (6, 0, {})
    again = run_sweep(whole, store, Executor(), silent)
    assert (again.computed, again.reused) == (0, 6)
    assert table(again) == table(first)
    larger = run_sweep(plan(vary=("k=2,3", "key=0..3", "fold=0", "mpc=4")), store, Executor(), silent)
    assert (larger.computed, larger.reused) == (2, 6)
    assert look_up(whole, store).absent == []


def test_keys_give_rows_of_their_own(plan, tmp_path):
    rows = run_sweep(plan(), Store(tmp_path), Executor(), silent).rows
    assert [(row.parameters["k"], row.parameters["key"]) for row in rows] == [(k, n) for k in (2, 3) for n in range(3)]
    assert len({row.metrics["leakage"] for row in rows}) > 2
    assert all(row.accuracy_private is not None and row.metrics["delta_used"] > 0 for row in rows)


@pytest.mark.parametrize("attack", ["known-key", "known-pairs", "speakers"])
def test_attacks_are_measured_where_asked(plan, tmp_path, attack):
    (row,) = run_sweep(
        plan(vary=(f"attack={attack}", "k=3", "key=0", "fold=1")), Store(tmp_path), Executor(), silent
    ).rows
    assert any(name.startswith("attack_") for name in row.metrics)


def test_a_task_that_cannot_be_done_is_told_and_tried_again(plan, tmp_path):
    store = Store(tmp_path)
    outcome = run_sweep(plan(vary=("fold=0,7", "k=2", "key=0", "mpc=4")), store, Executor(), silent)
    assert (outcome.computed, len(outcome.rows)) == (1, 1)
    (fault,) = outcome.faults.values()
    assert "fold is 0 to 2" in fault
    assert run_sweep(plan(vary=("fold=0,7", "k=2", "key=0", "mpc=4")), store, Executor(), silent).reused == 1


def test_a_worker_with_other_code_or_another_corpus_refuses(plan, tmp_path):
    whole = plan(vary=("k=2", "key=0", "fold=0", "mpc=4"))
    for field, said in (("source_digest", "other code"), ("corpus_digest", "another manifest")):
        setting = msgspec.structs.replace(whole.setting, **{field: "0" * 32})
        outcome = run_sweep(type(whole)(setting, whole.grid), Store(tmp_path), Executor(), silent)
        assert outcome.rows == []
        assert said in next(iter(outcome.faults.values()))


def command(voices, store, out, *more):
    return [
        sys.executable, "-m", "sotto.cli", "sweep", "hashing", "--corpus", "manifest", "--data", str(voices),
        "--vary", "key=0..39", "--vary", "k=2", "--vary", "fold=0", "--vary", "mpc=8", "--store", str(store),
        "--out", str(out), "--json", *more,
    ]  # fmt: skip


def stored(folder):
    return len(list(folder.glob("??/*.json")))


def figures(text):
    return [(row["parameters"], row["accuracy_private"], row["metrics"]) for row in json.loads(text)]


def killed_halfway(voices, store, out):
    """How many of 40 results a sweep has kept that was killed after the first five."""
    killed = subprocess.Popen(
        command(voices, store, out, "--executor", "serial"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    deadline = time.monotonic() + 400
    while stored(store) < 5 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    return stored(store)


WHOLE = ("key=0..39", "k=2", "fold=0", "mpc=8")  # the grid of ``command``


def uninterrupted(plan, folder):
    """The table of the same sweep in this process."""
    rows = run_sweep(plan(vary=WHOLE), Store(folder), Executor(), silent).rows
    return [(row.parameters, row.accuracy_private, row.metrics) for row in rows]


@pytest.mark.timeout(1800)
def test_a_killed_sweep_goes_on_where_it_stopped(voices, plan, tmp_path):
    for attempt in range(3):  # a machine so busy that the sweep ends before the test wakes up gets another chance
        store = tmp_path / f"store{attempt}"
        kept = killed_halfway(voices, store, tmp_path / "a")
        if kept < 40:
            break
    assert 5 <= kept < 40
    resumed = run_sweep(plan(vary=WHOLE), Store(store), Executor(), silent)
    assert (resumed.computed, resumed.reused) == (40 - kept, kept)
    assert table(resumed) == table(run_sweep(plan(vary=WHOLE), Store(tmp_path / "whole"), Executor(), silent))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dask_gives_the_same_table(voices, plan, tmp_path):
    elsewhere = subprocess.run(
        command(voices, tmp_path / "other", tmp_path / "b", "--executor", "dask://", "--workers", "2"),
        capture_output=True, text=True, timeout=900, env=os.environ,
    )  # fmt: skip
    assert "40 computed, 0 reused" in elsewhere.stderr, elsewhere.stderr
    assert figures(elsewhere.stdout) == uninterrupted(plan, tmp_path / "whole")
