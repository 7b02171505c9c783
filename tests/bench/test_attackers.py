"""Attackers in a process of their own: what they reach comes to the right rows, whoever attacks, and costs none."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from sotto.audio import Clip, Corpus
from sotto.audio.splits import Split
from sotto.bench.attackers import Attackers
from sotto.bench.experiment import Configuration, Experiment, Plan
from sotto.bench.rows.row import Row, Security
from sotto.bench.workbench import Workbench

CELLS = {place: Configuration(name, "m", str(place), {}) for place, name in ((1, "one"), (4, "two"), (5, "two"))}


def build(cell, bench):
    """Attackers who say in which process they are, and about which corpus."""
    return Experiment(
        cell=cell,
        parts={},
        queries=np.zeros((1, 1), np.float32),
        truth=np.zeros(1, np.int64),
        query=lambda clip: np.zeros((1, 1), np.float32),
        plain=lambda x: (np.zeros(1, np.int64), None),
        security=Security("nobody", "everybody", None, None, "everything"),
        plan=Plan(1, 1),
        attacks={"look": lambda: {"attack_pid": os.getpid(), "attack_clips": len(bench.corpus)}},
    )


def dying(cell, bench):
    """As the system ends a process that takes too much memory, but not in this one."""
    if "here" not in bench.corpus.name or os.getpid() != int(bench.corpus.name.split()[1]):
        os._exit(9)
    return build(cell, bench)


def slow(cell, bench):
    """Training that takes longer than a test has patience, in the process of attackers."""
    if os.getpid() != int(bench.corpus.name.split()[1]):
        time.sleep(600)
    return build(cell, bench)


@pytest.fixture
def bench():
    return workbench()


def workbench():
    clips = tuple(Clip(id=str(i), samples=np.zeros(10, np.float32), rate=16000) for i in range(3))
    return Workbench(Corpus(f"here {os.getpid()}", clips), Split("s", (0,), (1,), (2,)), "emotion", "quick", 0, print)


def _row(cell, net):
    return Row(paradigm=cell.paradigm, mode=cell.mode, seed=0, n_queries=1, parameters={"net": net}, metrics={"own": 2})


def _attacked(bench, how):
    """Rows of every cell on two networks, as they are after the attackers."""
    with Attackers(bench, CELLS, how) as attackers:
        for number, cell in CELLS.items():
            experiment = build(cell, bench)
            assert attackers.given(number, experiment).attacks == {}
            attackers.add(number, experiment, [_row(cell, net) for net in ("loopback", "lan")])
        return [row for attacked in attackers.rest() for row in attacked.rows]


@pytest.mark.parametrize("how", [build, dying])
def test_every_row_gets_what_its_attackers_reached_even_if_their_process_ends(bench, how):
    rows = _attacked(bench, how)
    assert sorted((row.paradigm, row.parameters["net"]) for row in rows) == sorted(
        (cell.paradigm, net) for cell in CELLS.values() for net in ("loopback", "lan")
    )
    assert all(row.metrics["own"] == 2 and row.metrics["attack_clips"] == 3 for row in rows)


def test_others_attack_while_rows_are_timed_and_stand_still_where_it_is_quiet(bench):
    attackers = Attackers(bench, CELLS, slow)

    def interrupted():
        with attackers:
            worker = psutil.Process(attackers._process.pid)
            with attackers.stopped():
                _await(lambda: worker.status() == psutil.STATUS_STOPPED)
            _await(lambda: worker.status() != psutil.STATUS_STOPPED)
            raised.append(worker)
            raise KeyboardInterrupt

    raised = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()  # does not wait for those who are still at it
    assert not raised[0].is_running()


def _await(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


_KILLED = """
import sys, time
from tests.bench import test_attackers as these
bench = these.workbench()
with these.Attackers(bench, these.CELLS, these.slow) as attackers, attackers.stopped():
    print(attackers._process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends no child with its parent")
def test_attackers_who_stand_still_end_with_a_bench_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True) as killed:
        try:
            worker = psutil.Process(int(killed.stdout.readline()))
            _await(lambda: worker.status() == psutil.STATUS_STOPPED)
        finally:
            killed.kill()
    _await(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_what_the_others_have_not_begun_is_attacked_here(bench):
    with Attackers(bench, CELLS, slow) as attackers:
        for number, cell in CELLS.items():
            attackers.add(number, build(cell, bench), [_row(cell, "loopback")])
        (row,) = next(attackers.rest()).rows
    assert row.paradigm == "one"
    assert row.metrics["attack_pid"] == os.getpid()


def test_a_paradigm_whose_attackers_are_parties_keeps_them(bench):
    with Attackers(bench, {}, build) as attackers:
        experiment = build(CELLS[1], bench)
        assert attackers.given(0, experiment) is experiment
        attackers.add(0, experiment, [_row(CELLS[1], "loopback")])
        assert list(attackers.rest()) == []
