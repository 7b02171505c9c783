"""Processes apart: warm where that is wanted, with nothing of one another's, and gone with who started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import time

import pytest

from sotto.serving.service.processes import start, warm_up


def tell(pipe, *modules):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    pipe.send(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "imported": [module in sys.modules for module in modules],
            "random": secrets.token_bytes(16),
            "deaf": signal.SIGINT in blocked,
            "threads": os.environ["OMP_NUM_THREADS"],
        }
    )


def _told(*modules, warm=()):
    ours, theirs = multiprocessing.Pipe()
    process = start(tell, theirs, *modules, name="teller", modules=warm)
    theirs.close()
    assert ours.poll(120)
    said = ours.recv()
    process.join(60)
    assert process.exitcode == 0
    return said


@pytest.mark.parametrize("warm", [(), ("wave",)])
def test_a_process_is_deaf_to_the_terminal_and_has_one_thread(warm):
    said = _told(warm=warm)
    assert said["deaf"]
    assert said["threads"] == "1"
    assert said["pid"] != os.getpid()


def test_a_warm_process_has_its_own_modules_and_no_other_servers():
    warm_up(("chunk_that_is_not_there", "netrc"))  # what cannot be imported is no error here
    assert _told("netrc", "sndhdr_of_nobody", warm=("chunk_that_is_not_there", "netrc"))["imported"] == [True, False]
    assert _told("netrc", "wave", warm=("wave",))["imported"] == [False, True]
    assert _told("netrc", "wave")["imported"] == [False, False]


def test_processes_of_one_server_share_their_parent_and_no_randomness():
    first, second = _told(warm=("wave",)), _told(warm=("wave",))
    assert first["parent"] == second["parent"] != os.getpid()
    assert first["random"] != second["random"]


def test_servers_end_when_the_process_that_started_them_is_killed():
    program = (
        "import os, time\n"
        "from sotto.serving.service.processes import start\n"
        "import sotto.serving.service.processes as processes\n"
        "process = start(print, name='said', modules=('wave',))\n"
        "process.join()\n"
        "print(next(iter(processes._servers.values()))._forkserver_pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as running:
        server = next(int(line) for line in running.stdout if line.strip())
        os.kill(server, 0)
        running.kill()
    with contextlib.suppress(ProcessLookupError):
        for _ in range(600):
            os.kill(server, 0)
            time.sleep(0.1)
        pytest.fail(f"the server, process {server}, is still there")
