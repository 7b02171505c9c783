"""Work over many clips in several processes, with a progress bar on standard error after two seconds."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import joblib
from threadpoolctl import ThreadpoolController, threadpool_limits
from tqdm import tqdm

from sotto.link import BadValue

T = TypeVar("T")
R = TypeVar("R")

_WORTHWHILE_SECONDS = 3.0
"""Starting a worker takes one to two seconds (it imports the audio libraries), so less work than this stays here."""
_BATCH_SECONDS = 0.5


def spread(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    seconds_each: float,
    label: str,
    unit: str = "clip",
    jobs: int | None = None,
) -> Iterator[tuple[int, R]]:
    """Apply `work` to every item, yielding (position, result) in the order in which they are done.

    Parameters
    ----------
    work
        a module-level function; it runs in worker processes, which live on for the next call.
    items
        what to work on; sent to the workers, so small.
    seconds_each
        a rough guess, used to choose batches and how many processes are worth starting.
    label, unit
        what the progress bar says, and what it counts.
    jobs
        processes at most; None means one per usable core, 1 means none but this one.

    Raises
    ------
    ValueError
        jobs < 1. Whatever `work` raises.
    """
    if jobs is not None and jobs < 1:
        raise BadValue("out-of-range", f"jobs must be at least 1, not {jobs}")
    total = len(items) * seconds_each
    workers = min(jobs or joblib.cpu_count(), max(1, math.ceil(total / _WORTHWHILE_SECONDS)))
    with bar_of(len(items), label, unit) as bar:
        done = _here(work, items) if workers == 1 else _in_workers(work, items, workers, seconds_each)
        for position, result in done:
            bar.update()
            yield position, result


def bar_of(total: int, label: str, unit: str, *, done: int = 0) -> tqdm:
    """A bar on standard error from the third second on; the variable TQDM_DISABLE=1 hides it."""
    terminal = sys.stderr.isatty()
    interval = 0.1 if terminal else 10.0
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        file=sys.stderr,
        delay=2.0,
        mininterval=interval,
        leave=terminal,
    )


def _here(work: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
    # One thread, as in a worker: how many add up a sum decides its last bits, and features are kept and compared.
    threads = ThreadpoolController()
    for position, item in enumerate(items):
        with threads.limit(limits=1):
            result = work(item)
        yield position, result


def _in_workers(
    work: Callable[[T], R], items: Sequence[T], workers: int, seconds_each: float
) -> Iterator[tuple[int, R]]:
    size = max(1, min(round(_BATCH_SECONDS / seconds_each), math.ceil(len(items) / (4 * workers))))
    starts = range(0, len(items), size)
    batches = (joblib.delayed(_batch)(work, start, items[start : start + size]) for start in starts)
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="3*n_jobs")
    for batch in pool(batches):
        yield from batch


def _batch(work: Callable[[T], R], start: int, items: Sequence[T]) -> list[tuple[int, R]]:
    _settle_in()
    return [(start + offset, work(item)) for offset, item in enumerate(items)]


@lru_cache(maxsize=1)
def _settle_in() -> None:
    """Once per worker: one thread, leave Ctrl-C to the parent, which ends its workers, and end when it is gone."""
    threadpool_limits(limits=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()


def _outlive_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
