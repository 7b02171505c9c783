"""A sweep from plan to table: what is stored is taken, the rest is worked on and stored as it comes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from sotto.bench.experiment import Say
from sotto.bench.rows.row import Row
from sotto.bench.sweeps.executors import Executor
from sotto.bench.sweeps.plan import Plan, Task
from sotto.bench.sweeps.store import Store
from sotto.bench.sweeps.work import Result, work


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
