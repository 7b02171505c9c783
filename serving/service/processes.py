"""Processes that are never forked from this one: started afresh, or forked from a server that has only imported.

A server is started afresh, too.  It holds no party's secret and nothing of this process but its environment, runs one
thread, and draws no random number, so what is forked from it draws its own.  It ends when this process and all forked
from it have.  There is one for each set of modules, so that no party holds libraries that it does not use.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, popen_forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_servers: dict[tuple[str, ...], forkserver.ForkServer] = {}
_turn = threading.Lock()


def start(
    target: Callable[..., None], *arguments: Any, name: str, modules: tuple[str, ...] = (), daemon: bool = True
) -> Any:
    """The running process ``name`` of ``target(*arguments)``, a function of a module.

    It uses one thread, never sees Ctrl-C, and does not run the calling script.  ``modules``: forked from a server that
    has imported them, where processes can be forked.  ``daemon``: it ends with this process, and has no children.
    """
    with _apart():
        kind: Any = multiprocessing.get_context("spawn").Process
        if modules and _can_fork():
            kind = _Forked
            _Forked.server = _server(modules)
        process = kind(target=target, args=arguments, name=name, daemon=daemon)
        process.start()
    return process


def warm_up(modules: tuple[str, ...]) -> None:
    """Have the server of ``modules`` import them now, while this process does something else."""
    if modules and _can_fork():
        with _apart():
            _server(modules).ensure_running()


def _can_fork() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


def _server(modules: tuple[str, ...]) -> forkserver.ForkServer:
    if modules not in _servers:
        _servers[modules] = forkserver.ForkServer()
        _servers[modules].set_forkserver_preload(list(modules))
    return _servers[modules]


class _Forked(ForkServerProcess):
    """Forked from ``server``, where the standard library has one for all."""

    server: forkserver.ForkServer

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  multiprocessing's name
        before = forkserver.connect_to_new_process
        forkserver.connect_to_new_process = _Forked.server.connect_to_new_process
        try:
            return popen_forkserver.Popen(process_obj)
        finally:
            forkserver.connect_to_new_process = before


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    with _turn, one_thread_each(), without_the_script(), _deaf_to_the_terminal():
        yield


@contextlib.contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, not even while they load: who started them tells them to end."""
    resource_tracker.ensure_running()  # which would let the signals in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def without_the_script() -> Iterator[None]:
    """Processes started inside do not run the calling script again, which ``multiprocessing`` has them do otherwise.

    Nothing that a party is made from may be defined in that script, then; and a script, or a notebook, may start
    parties outside of an ``if __name__ == "__main__"``.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread each: sessions are what runs side by side, and a fork needs it."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
