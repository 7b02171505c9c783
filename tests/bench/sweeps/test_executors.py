from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sotto.bench.sweeps.executors import Dask, Executor, Joblib, executor, require_known
from sotto.bench.sweeps.studies.axes import SweepError
from tests.error_codes import raises_code


def process(task):
    """What a worker does here: says who it is."""
    return f"{task} {os.getpid()}"


def meet(task):
    """Says who it is once two workers have, so that one that is slow to start is waited for."""
    folder = Path(task.rpartition("/")[0])
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return str(os.getpid())


def finished(workers, count):
    return [text.split() for text in workers.run(process, (str(number) for number in range(count)))]


def test_here_works_in_this_process_and_only_when_asked():
    taken = []

    def tasks():
        for number in range(3):
            taken.append(number)
            yield str(number)

    results = Executor().run(process, tasks())
    assert next(results).split() == ["0", str(os.getpid())]
    assert taken == [0]


def test_joblib_works_in_other_processes():
    done = finished(Joblib(2), 20)
    assert sorted(int(task) for task, _ in done) == list(range(20))
    assert str(os.getpid()) not in {who for _, who in done}


def test_dask_works_on_two_worker_processes(tmp_path):
    cluster = Dask(None, 2)
    try:
        assert cluster.workers == 2
        done = finished(cluster, 60)
        assert sorted(int(task) for task, _ in done) == list(range(60))
        assert len(set(cluster.run(meet, [f"{tmp_path}/{number}" for number in range(2)]))) == 2
    finally:
        cluster.close()


def test_a_scheduler_that_is_not_there_is_one_line():
    with raises_code(SweepError, "no-scheduler"):
        Dask("tcp://127.0.0.1:9", 1, timeout=1)


def test_names():
    assert executor("serial", 4).workers == 1
    assert executor("local", 4).workers == 4
    for wrong in ("threads", "dask:/x", "dask://host", "dask://host:port", "dask://a b:1", "dask://h:1/x", ""):
        with pytest.raises(SweepError):
            require_known(wrong)
        with pytest.raises(SweepError):
            executor(wrong, 1)
