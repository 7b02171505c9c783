"""How much faster a sweep is on more workers: the same tasks on one and on several, by joblib and by Dask.

Every measurement starts with an empty store and workers that have answered a first task each, as a sweep of hours has;
what starting them takes is given beside.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from sotto.bench.request import Request
from sotto.bench.rows.machine import cores
from sotto.bench.rows.row import Row
from sotto.bench.sweeps.executors import Executor, executor
from sotto.bench.sweeps.plan import open_plan
from sotto.bench.sweeps.running import Result, work
from sotto.bench.sweeps.store import Store
from sotto.bench.sweeps.studies import STUDIES

DESCRIPTION = "speed-up of a sweep of hash keys from one worker to several, by joblib and by Dask"

_WARM = 4  # tasks a worker has done when the clock starts


def run(request: Request) -> Iterator[Row]:
    """One row for each executor and number of workers."""
    keys = 60 if request.preset == "quick" else 400
    plan, bench = open_plan(
        "hashing", ["k=5", "fold=0", f"key=0..{keys - 1}"], request.corpus, request.data, preset=request.preset,
        seed=request.seed, skip_broken=request.skip_broken, say=request.say,
    )  # fmt: skip
    STUDIES["hashing"].prepare(bench)
    texts = [msgspec.json.encode(task).decode() for task in plan]
    for kind in ("local", "dask://"):
        alone: float | None = None
        for workers in _counts():
            pace, start = _pace(executor(kind, workers), texts)
            alone = alone or pace
            request.say(f"{kind} {workers} workers: {pace:.2f} tasks/s, {pace / alone:.2f} times one worker")
            yield Row(
                paradigm="plaintext",
                mode=kind.rstrip(":/"),
                model="svm",
                corpus=bench.corpus.name,
                split="speakers",
                seed=request.seed,
                n_queries=len(plan),
                parameters={"workers": workers, "tasks": len(plan)},
                metrics={"tasks_per_second": pace, "speed_up": pace / alone, "seconds_to_start": start},
            )


def _counts() -> list[int]:
    """1, 2, 4, … workers, as many as there are cores."""
    return [count for count in (1, 2, 4, 8, 16, 32) if count <= max(2, cores())]


def _pace(workers: Executor, texts: list[str]) -> tuple[float, float]:
    """Tasks a second once all workers are warm, results stored as a sweep stores them; and the seconds before."""
    with tempfile.TemporaryDirectory(prefix="sotto-scaling-") as folder:
        store = Store(Path(folder))
        started = time.perf_counter()
        results = workers.run(work, texts)
        warm = _WARM * workers.workers
        for _ in islice(results, warm):
            pass
        timed = time.perf_counter()
        for text in results:
            result = msgspec.json.decode(text, type=Result)
            if result.row is None:
                raise RuntimeError(f"a task failed: {result.fault}")
            store.save(result.address, result.row, result.seconds)
        elapsed = time.perf_counter() - timed
    workers.close()
    return (len(texts) - warm) / elapsed, timed - started
