import os
import subprocess
import sys

import psutil
import pytest

from sotto.audio.parallel import spread
from sotto.link import BadValue
from tests.error_codes import raises_code


def double(x: int) -> int:
    return 2 * x


def process_of(_: int) -> int:
    return os.getpid()


def fail(x: int) -> int:
    raise ArithmeticError(f"item {x}")


@pytest.mark.parametrize("seconds_each", [0.001, 10.0])
def test_every_item_is_done_once_and_positions_match(seconds_each):
    done = dict(spread(double, list(range(50)), seconds_each=seconds_each, label="test", jobs=2))
    assert done == {i: 2 * i for i in range(50)}


def test_little_work_stays_in_this_process_and_much_is_spread():
    here = {pid for _, pid in spread(process_of, [1, 2], seconds_each=0.001, label="test", jobs=2)}
    away = {pid for _, pid in spread(process_of, [1, 2], seconds_each=10.0, label="test", jobs=2)}
    assert here == {os.getpid()}
    assert os.getpid() not in away


def test_workers_are_kept_from_call_to_call():
    first, second = (
        {pid for _, pid in spread(process_of, range(8), seconds_each=10.0, label="test", jobs=2)} for _ in range(2)
    )
    assert first & second


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_work_raises_comes_out(jobs):
    with pytest.raises(ArithmeticError, match="item"):
        list(spread(fail, [1, 2, 3], seconds_each=10.0, label="test", jobs=jobs))


def test_no_items_and_no_jobs():
    assert list(spread(double, [], seconds_each=1.0, label="test")) == []
    with raises_code(BadValue, "out-of-range"):
        list(spread(double, [1], seconds_each=1.0, label="test", jobs=0))


def test_the_bar_is_on_standard_error_and_only_for_slow_work(capsys):
    list(spread(double, [1, 2], seconds_each=0.001, label="quick"))
    assert capsys.readouterr() == ("", "")
    assert sys.stderr is not None


BUSY = """
import os, time
from sotto.audio.parallel import spread

def linger(_):
    print(os.getpid(), flush=True)
    time.sleep(600)

list(spread(linger, range(2), seconds_each=600.0, label="test", jobs=2))
"""


def test_workers_end_when_their_parent_is_killed():
    run = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert run.stdout is not None
    workers = [psutil.Process(int(run.stdout.readline())) for _ in range(2)]
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(workers, timeout=15)
    for worker in alive:
        worker.kill()
    assert not alive
