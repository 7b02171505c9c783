"""Who works: this process, joblib's processes on this machine, or the workers of a Dask cluster.

Each takes texts of tasks and yields texts of results as they are done, in any order.  Only a few tasks for every worker
are under way at a time, so that a sweep of millions neither fills memory nor loses more than those when it is killed.

Dask's scheduler and workers exchange pickled objects with one another and with us: whoever can reach them can run code
on them and here.  They belong to the experimenter, like the processes of joblib, on a network of the experimenter's
own; they are no party of any protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from sotto.bench.sweeps.studies.axes import SweepError

Work = Callable[[str], str]

_AHEAD = 3  # tasks under way for every worker
_DASK = re.compile(r"dask://([A-Za-z0-9_.\-\[\]:]+:\d{1,5})?")


class Executor:
    """What runs tasks; here this process, one after the other."""

    workers = 1  # how many tasks can be worked on at once

    def run(self, work: Work, tasks: Iterable[str]) -> Iterator[str]:
        """Results in the order in which they are done."""
        return map(work, tasks)

    def close(self) -> None:
        """Let the workers go, where they do not go of themselves."""


class Joblib(Executor):
    """Processes on this machine; they end when they have been idle."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, work: Work, tasks: Iterable[str]) -> Iterator[str]:
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(
                n_jobs=self.workers, return_as="generator_unordered", pre_dispatch=_AHEAD * self.workers, batch_size=1
            )
            yield from pool(delayed(work)(task) for task in tasks)


class Dask(Executor):
    """The workers of a cluster: the one at ``address``, or without one a LocalCluster of ``workers`` processes."""

    def __init__(self, address: str | None, workers: int, *, timeout: float = 15.0) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            raise SweepError("no-dask", "Dask is not installed: pip install 'sotto[dask]'") from None
        self._cluster = None
        if address is None:
            self._cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
            )
        try:
            self._client = Client(address if self._cluster is None else self._cluster, timeout=timeout)
            self._client.wait_for_workers(workers if self._cluster else 1, timeout=4 * timeout)
        except (OSError, TimeoutError) as error:
            self.close()
            raise SweepError(
                "no-scheduler", f"no Dask scheduler with workers answers at {address} ({type(error).__name__})"
            ) from None
        self.workers = sum(self._client.nthreads().values())

    def run(self, work: Work, tasks: Iterable[str]) -> Iterator[str]:
        from distributed import as_completed

        waiting = iter(tasks)
        # pure: a task that two sweeps ask for at once is worked on once
        first = [self._client.submit(work, task, retries=2) for task in islice(waiting, _AHEAD * self.workers)]
        done = as_completed(first)
        for future in done:
            yield future.result()
            for task in islice(waiting, 1):
                done.add(self._client.submit(work, task, retries=2))

    def close(self) -> None:
        """Leave the cluster, or stop it where it is ours."""
        for each in (getattr(self, "_client", None), self._cluster):
            if each is not None:
                each.close(timeout=10)


def require_known(name: str) -> None:
    """Refuse what is no executor, before anything is loaded for it.  Raises :class:`SweepError`."""
    if name not in ("serial", "local") and not _DASK.fullmatch(name):
        raise SweepError(
            "unknown-executor",
            f"the executor {name[:60]} is none of serial, local, dask:// (a cluster here), dask://HOST:PORT",
        )


def executor(name: str, workers: int) -> Executor:
    """``serial``, ``local`` or ``dask://[HOST:PORT]``, ready to work.  Raises :class:`SweepError`."""
    require_known(name)
    if name == "serial":
        return Executor()
    if name == "local":
        return Joblib(workers)
    address = name.removeprefix("dask://")
    return Dask(f"tcp://{address}" if address else None, workers)
