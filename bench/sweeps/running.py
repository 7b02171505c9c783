"""A sweep from plan to table: what is stored is taken, the rest is worked on and stored as it comes.

A worker runs one task at a time: its study at its point of the grid, on a corpus the worker opens once and keeps.
Tasks and rows travel as JSON text, whatever carries them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec
import threadpoolctl

from sotto.bench.experiment import Say
from sotto.bench.rows.row import Row
from sotto.bench.suite import open_workbench
from sotto.bench.sweeps.executors import Executor
from sotto.bench.sweeps.plan import Plan, Setting, Task, corpus_digest
from sotto.bench.sweeps.source import source_digest
from sotto.bench.sweeps.store import Store
from sotto.bench.sweeps.studies import STUDIES
from sotto.bench.sweeps.studies.axes import SweepError
from sotto.bench.workbench import Workbench


@dataclass
class Outcome:
    """What a sweep gave.

    ``rows`` are those of the plan's tasks, in its order, without those that failed; ``faults`` say why, by address.
    ``reused`` were there before, ``computed`` were not; ``seconds`` of wall clock, ``worked`` seconds of workers.
    """

    rows: list[Row] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    reused: int = 0
    computed: int = 0
    seconds: float = 0.0
    worked: float = 0.0


@dataclass(frozen=True)
class Stored:
    """What a store has of a plan: ``rows`` by address, in the plan's order, None where there is none yet.

    ``absent`` are the tasks without a row, ``pace`` the mean seconds of those with one (None: none has).
    """

    rows: dict[str, Row | None]
    absent: list[Task]
    pace: float | None


def look_up(plan: Plan, store: Store) -> Stored:
    """Read the result of every task that has one."""
    rows: dict[str, Row | None] = {}
    absent, seconds = [], []
    for task in plan:
        address = task.address
        found = store.load(address)
        rows[address] = None if found is None else found[0]
        if found is None:
            absent.append(task)
        else:
            seconds.append(found[1])
    return Stored(rows, absent, sum(seconds) / len(seconds) if seconds else None)


def run_sweep(plan: Plan, store: Store, workers: Executor, say: Say) -> Outcome:
    """Work on what is missing, and return the whole table.

    A task that fails is told and left out; it is tried again by the next sweep.  Raises OSError when a result cannot
    be kept: it would be lost, and so would be all that follow.
    """
    started = time.monotonic()
    outcome = Outcome()
    stored = look_up(plan, store)
    absent = stored.absent
    outcome.reused = len(plan) - len(absent)
    say(f"{len(plan)} tasks: {outcome.reused} are done, {len(absent)} to do on {workers.workers} workers")
    told = started
    for text in workers.run(work, (msgspec.json.encode(task).decode() for task in absent)):
        result = msgspec.json.decode(text, type=Result)
        outcome.worked += result.seconds
        if result.row is None:
            outcome.faults[result.address] = result.fault or "no reason given"
            say(f"a task failed: {outcome.faults[result.address]}")
        else:
            store.save(result.address, result.row, result.seconds)
            stored.rows[result.address] = result.row
            outcome.computed += 1
        if time.monotonic() - told > 5:
            told = time.monotonic()
            over = outcome.computed + len(outcome.faults)
            left = (told - started) / over * (len(absent) - over)
            say(f"{over} of {len(absent)} done, about {left / 60:.1f} minutes to go")
    outcome.rows = [row for row in stored.rows.values() if row is not None]
    outcome.seconds = time.monotonic() - started
    return outcome


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker hands back: a row, or one line that says why there is none; and the seconds it worked."""

    address: str
    seconds: float
    row: Row | None
    fault: str | None = None


def work(task: str) -> str:
    """Run the task written in JSON and return its :class:`Result` in JSON.  One thread: workers share a machine."""
    import torch

    started = time.perf_counter()
    asked = msgspec.json.decode(task, type=Task)
    torch.set_num_threads(1)
    row, fault = None, None
    try:
        with threadpoolctl.threadpool_limits(1):
            row = STUDIES[asked.setting.study].run(_bench(asked.setting), asked.parameters)
    except (ValueError, RuntimeError, OSError) as error:
        fault = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    result = Result(asked.address, time.perf_counter() - started, row, fault)
    return msgspec.json.encode(result).decode()


@lru_cache(maxsize=2)
def _bench(setting: Setting) -> Workbench:
    """The corpus as this worker finds it, which must be the one that the sweep means, under the same code."""
    study = STUDIES[setting.study]
    if source_digest(study.MODULES) != setting.source_digest:
        raise SweepError(
            "other-code", "this worker runs other code than the sweep: install the same version and start it again"
        )
    data = None if setting.data is None else Path(setting.data)
    bench = open_workbench(
        setting.corpus, data, preset=setting.preset, seed=setting.seed, say=_quiet, skip_broken=setting.skip_broken
    )
    bench.jobs = 1
    if corpus_digest(bench.corpus) != setting.corpus_digest:
        raise SweepError(
            "other-corpus", f"this worker finds another {setting.corpus} than the sweep at {data or 'its usual place'}"
        )
    return bench


def _quiet(line: str) -> None:
    """A worker's progress is the sweep's."""
