"""The queue of runs: one at a time, a few waiting, the last ones kept; each tells what happens as a list of events."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sotto.audio import BrokenClip, Clip
from sotto.demo.engine import DemoRequest, Engine
from sotto.link import Coded

MOST_WAITING = 4
MOST_KEPT = 16


class Busy(Coded, RuntimeError):
    """So many runs wait already that no other one is taken."""


@dataclass
class Run:
    """A request and what has come of it; ``changed`` is notified with every event."""

    request: DemoRequest
    upload: Path | None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    events: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, event: dict[str, Any], *, done: bool = False) -> None:
        with self.changed:
            self.events.append(event)
            self.done = self.done or done
            self.changed.notify_all()

    def since(self, number: int, patience: float) -> tuple[list[dict[str, Any]], bool]:
        """Events from ``number`` on, and whether there will be no more; waits for one, at most ``patience`` seconds."""
        deadline = time.monotonic() + patience
        with self.changed:
            while len(self.events) <= number and not self.done and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)
            return self.events[number:], self.done


class Runs:
    """Runs requests on an engine, one after the other, in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: OrderedDict[str, Run] = OrderedDict()
        self._waiting: list[Run] = []
        self._lock = threading.Condition()
        self._current: Run | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="runs", daemon=True)
        self._thread.start()

    def add(self, request: DemoRequest, store: Callable[[], Path | None]) -> Run:
        """Queue a request; ``store`` keeps its upload once there is room.  Raises :class:`Busy`.

        Raises :class:`sotto.demo.engine.Refused` for a request that cannot be met.
        """
        self._engine.check(request)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING or self._stopping:
                raise Busy("too-many-waiting", f"{MOST_WAITING} runs are waiting already: try again when one is done")
            run = Run(request, store())
            self._waiting.append(run)
            self._kept[run.id] = run
            finished = [name for name, old in self._kept.items() if old.done]
            for name in finished[: max(0, len(self._kept) - MOST_KEPT)]:
                del self._kept[name]
            ahead = len(self._waiting) - 1 + (self._current is not None)
            run.tell({"kind": "state", "text": f"{ahead} before it" if ahead else "its turn"})
            self._lock.notify_all()
        return run

    def get(self, name: str) -> Run | None:
        """The run of that name, while it is kept."""
        with self._lock:
            return self._kept.get(name)

    def await_idle(self) -> None:
        """Return when no request is being answered, nor waits to be."""
        with self._lock:
            self._lock.wait_for(lambda: not self._waiting and self._current is None)

    def say(self, line: str) -> None:
        """Tell the current run's visitor what the engine reports of it; what is made ready beside it is not told."""
        if (current := self._current) and threading.current_thread() is self._thread:
            current.tell({"kind": "state", "text": line})

    def close(self) -> None:
        """Take no more; what runs goes on until its own waits end it."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._stopping:
                    self._lock.wait()
                if self._stopping:
                    return
                run = self._current = self._waiting.pop(0)
            try:
                self._do(run)
            finally:
                with self._lock:
                    self._current = None
                    self._lock.notify_all()
                if run.upload:
                    with contextlib.suppress(OSError):
                        run.upload.unlink()

    def _do(self, run: Run) -> None:
        clip = Clip(id="your clip", path=run.upload) if run.upload else None
        try:
            result = self._engine.answer(run.request, clip, self.say)
        except Exception as error:  # the visitor is told; the next run is none the worse
            refused = isinstance(error, BrokenClip)
            run.tell({"kind": "error", "text": _one_line(error, run.upload), "clip": refused}, done=True)
        else:
            run.tell(result, done=True)


def _one_line(error: Exception, upload: Path | None) -> str:
    """The error without the name of the temporary file, which means nothing to the visitor."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(upload), "the clip")[:400] if upload else text[:400]
