"""Alice in a process of her own, for experiments that need many of her, or that break her off.

Processes are forked from a server that has only imported, so that one costs a hundredth of a second, and share nothing
with the experimenter.
"""

from __future__ import annotations

import contextlib
import time
from multiprocessing.connection import Connection

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.bench.operations.parties.services import Deployment
from sotto.bench.parties.child_process import ChildError, ChildProcess, send
from sotto.serving import client, registry
from sotto.serving.adapters import ClientCredentials
from sotto.serving.client import ClientConfig

_MODULES = (
    "sotto.bench.operations.parties.load_client",
    *(module for name in registry.names() for module in registry.paradigm(name).modules),
)


class Opened(msgspec.Struct, tag=True):
    """Alice: the session stands."""


class Answered(msgspec.Struct, tag=True):
    """Alice: the class, and the milliseconds it took."""

    label: int
    milliseconds: float


class Ended(msgspec.Struct, tag=True):
    """Alice: all was asked and answered."""


class Go(msgspec.Struct, tag=True):
    """To Alice, who waits for it: ask."""


class Stop(msgspec.Struct, tag=True):
    """To Alice: ask no further query."""


class LoadClient:
    """One Alice who opens a session of ``deployment`` and asks the same thing ``queries`` times, or until told to stop.

    ``begin``: wait for :meth:`go` once the session stands.  ``pause``: seconds between two queries.
    """

    def __init__(
        self,
        deployment: Deployment,
        features: npt.NDArray[np.float32],
        *,
        queries: int = 1 << 30,
        begin: bool = False,
        pause: float = 0.0,
    ) -> None:
        job = (deployment.client_config(), deployment.own, features, queries, begin, pause)
        self._process = ChildProcess(_ask, *job, says=Opened | Answered | Ended, name="alice", modules=_MODULES)
        self.answers: list[Answered] = []
        self.ended: str | None = None  # None while it asks, "" when all went well, else the kind of error
        self.said = ""
        self.opened = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self) -> None:
        with contextlib.suppress(OSError):
            self._process.send(Go())

    def stop(self) -> None:
        """Ask no further query."""
        with contextlib.suppress(OSError):
            self._process.send(Stop())

    def receive(self, seconds: float) -> bool:
        """Take in what it reports within ``seconds``; False when it has said nothing."""
        if self.ended is not None:
            return False
        try:
            message = self._process.receive(seconds)
        except ChildError as error:
            if error.kind == "silent":
                return False
            self.ended, self.said = error.kind, error.reason
            return True
        self.opened = True
        if isinstance(message, Answered):
            self.answers.append(message)
        elif isinstance(message, Ended):
            self.ended = ""
        return True

    def await_opened(self, seconds: float) -> bool:
        """Whether the session stood in time."""
        deadline = time.monotonic() + seconds
        while not self.opened and self.ended is None and self.receive(deadline - time.monotonic()):
            pass
        return self.opened

    def await_end(self, seconds: float) -> bool:
        """Whether it ended in time."""
        deadline = time.monotonic() + seconds
        while self.ended is None and time.monotonic() < deadline:
            self.receive(deadline - time.monotonic())
        return self.ended is not None

    def kill(self) -> None:
        """Kill its process; harmless when it has ended.  What it said before can still be received."""
        self._process.kill()

    def close(self) -> None:
        """End its process, and hear nothing more."""
        self._process.kill()
        self._process.end()


def _ask(
    pipe: Connection,
    config: ClientConfig,
    own: ClientCredentials,
    features: npt.NDArray[np.float32],
    queries: int,
    begin: bool,
    pause: float,
) -> None:
    with client.session(config, own) as session:
        session.prepare(len(features))
        send(pipe, Opened())
        if begin:
            pipe.recv_bytes()
        for _ in range(queries):
            if pipe.poll(pause):
                break
            started = time.perf_counter()
            session.prepare(len(features))
            label = int(session.ask(features).labels[0])
            send(pipe, Answered(label, (time.perf_counter() - started) * 1e3))
    send(pipe, Ended())
