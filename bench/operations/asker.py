"""Alice in a process of her own, for experiments that need many of her, or that break her off.

Processes are forked from a server that has only imported, so that one costs a hundredth of a second, and share nothing
with the experimenter.  What she reports is a line of JSON for each step.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.serving import asking, registry
from sotto.serving.adapters import Own
from sotto.serving.asking import Wish
from sotto.serving.service.hosting import one_thread_each

_PRELOAD = (
    "__main__",
    "sotto.bench.operations.asker",
    *(module for name in registry.names() for module in registry.paradigm(name).modules),
)


class Asker:
    """One Alice who opens a session and asks the same thing ``queries`` times, or until she is told to stop.

    ``begin``: wait for :meth:`go` once the session stands.  ``pause``: seconds between two queries.
    """

    def __init__(
        self,
        wish: Wish,
        own: Own,
        features: npt.NDArray[np.float32],
        *,
        queries: int = 1 << 30,
        begin: bool = False,
        pause: float = 0.0,
    ) -> None:
        context = _context()
        self._pipe, theirs = context.Pipe()
        job = (theirs, wish, own, features, queries, begin, pause)
        self.process = context.Process(target=_ask, args=job, daemon=True)
        with one_thread_each():
            self.process.start()
        theirs.close()
        self.answers: list[tuple[int, float]] = []
        self.ended: str | None = None  # None while she asks, "" when all went well, else the kind of error
        self.said = ""
        self.opened = False

    def go(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(b"go")

    def stop(self) -> None:
        """Ask no further query."""
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(b"stop")

    def hear(self, seconds: float) -> bool:
        """Take in what she reports within ``seconds``; False when she has said nothing."""
        if self.ended is not None or not self._pipe.poll(max(0.0, seconds)):
            return False
        try:
            kind, *rest = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self.ended, self.said = "killed", "her process ended"
            return True
        if kind == "opened":
            self.opened = True
        elif kind == "answered":
            self.answers.append((int(rest[0]), float(rest[1])))
        else:
            self.ended, self.said = str(rest[0]), str(rest[1])
        return True

    def await_opened(self, seconds: float) -> bool:
        """Whether her session stood in time."""
        deadline = time.monotonic() + seconds
        while not self.opened and self.ended is None and time.monotonic() < deadline:
            self.hear(deadline - time.monotonic())
        return self.opened

    def await_end(self, seconds: float) -> bool:
        """Whether she ended in time."""
        deadline = time.monotonic() + seconds
        while self.ended is None and time.monotonic() < deadline:
            self.hear(deadline - time.monotonic())
        return self.ended is not None

    def kill(self) -> None:
        """End her process at once; harmless when it has ended."""
        self.process.kill()
        self.process.join(5)
        self._pipe.close()


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOAD))
    return context


def _ask(
    pipe: Connection,
    wish: Wish,
    own: Own,
    features: npt.NDArray[np.float32],
    queries: int,
    begin: bool,
    pause: float,
) -> None:
    from torch import set_num_threads

    set_num_threads(1)
    with contextlib.suppress(OSError):
        try:
            with asking.session(wish, own) as session:
                session.prepare(len(features))
                _tell(pipe, "opened")
                if begin:
                    pipe.recv_bytes()
                for _ in range(queries):
                    if pipe.poll(pause):
                        break
                    started = time.perf_counter()
                    session.prepare(len(features))
                    label = int(session.ask(features).labels[0])
                    _tell(pipe, "answered", label, (time.perf_counter() - started) * 1e3)
            _tell(pipe, "ended", "", "")
        except Exception as error:
            _tell(pipe, "ended", type(error).__name__, str(error))


def _tell(pipe: Connection, *what: object) -> None:
    pipe.send_bytes(json.dumps(what).encode())
