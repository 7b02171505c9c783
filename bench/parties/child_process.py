"""A job in a process of its own: started with all it needs, heard by messages, ended in every case.

Parent and child trust each other: the child is the parent's own, and the pipe between them is theirs alone.  What they
say are msgspec structs.  A child gets its own job and nothing else (it is never forked from the parent), works on one
thread, and says why when it fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection, wait
from typing import Any, Self, TypeVar

import msgspec
from threadpoolctl import threadpool_limits

from sotto.link import WrongState
from sotto.serving.service.processes import THREAD_VARIABLES, start

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1

_sending = threading.Lock()  # several threads of a process may have something to say on one pipe


class Failed(msgspec.Struct, tag=True):
    """A child's last message: the error's name, what it says on one line, and the trace."""

    kind: str
    reason: str
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The error that is being handled."""
        reason = " ".join(str(error).split()) or type(error).__name__
        return cls(type(error).__name__, reason[:500], traceback.format_exc())


class ChildError(RuntimeError):
    """A child failed, died or was silent; one line says which.

    ``kind`` is the name of the error that ended it, "died" where it could not say (then ``code`` is its exit code), or
    "silent" where it still runs.
    """

    def __init__(self, name: str, kind: str, reason: str, *, code: int | None = None, trace: str = "") -> None:
        super().__init__(f"{name}: {reason}")
        self.kind, self.reason, self.code = kind, reason, code
        if trace:
            self.add_note(f"--- in {name}'s process ---\n{trace}")


def send(pipe: Connection, message: msgspec.Struct) -> None:
    """Raises OSError when nobody is at the other end."""
    with _sending:
        pipe.send_bytes(msgspec.msgpack.encode(message))


def receive(pipe: Connection, kinds: Any) -> Any:
    """The next message, of the structs in the union ``kinds``.  Raises ``EOFError`` or ``OSError`` at the end."""
    return _decoder(kinds).decode(pipe.recv_bytes())


@cache
def _decoder(kinds: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kinds)


def expect(pipe: Connection, kinds: Any, kind: type[T]) -> T:
    """The next message, which must be of ``kind``."""
    message = receive(pipe, kinds)
    if not isinstance(message, kind):
        raise WrongState("out-of-turn", f"{type(message).__name__} came out of turn")
    return message


class ChildProcess:
    """``job(pipe, *arguments)``, a function of a module, in a process of its own.  Use as a context manager.

    ``says`` is the union of the messages it may send, beside :class:`Failed`.  ``name`` is what errors call it.
    ``modules`` as in :func:`sotto.serving.service.processes.start`.
    """

    def __init__(
        self,
        job: Callable[..., None],
        *arguments: Any,
        says: Any,
        name: str,
        modules: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self._says = says | Failed
        self.pipe, theirs = multiprocessing.Pipe()
        self._process = start(_run, job, theirs, arguments, name=f"sotto-{name}", modules=modules)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def exit_code(self, seconds: float = 0.2) -> int | None:
        """None if it still runs after ``seconds``."""
        self._process.join(seconds)
        code: int | None = self._process.exitcode
        return code

    def send(self, message: msgspec.Struct) -> None:
        """Raises OSError when it has ended."""
        send(self.pipe, message)

    def receive(self, seconds: float) -> Any:
        """Its next message.  Raises :class:`ChildError` when it failed, died, or says nothing for ``seconds``."""
        if not wait([self.pipe], timeout=max(0.0, seconds)):
            raise ChildError(self.name, "silent", f"said nothing within {seconds:g} s")
        try:
            message = receive(self.pipe, self._says)
        except (EOFError, OSError):
            code = self.exit_code(3.0)  # its pipe closes a moment before it is gone
            raise ChildError(self.name, "died", f"its process ended with code {code}", code=code) from None
        if isinstance(message, Failed):
            raise ChildError(self.name, message.kind, message.reason, trace=message.trace)
        return message

    def end(self, seconds: float = 5.0) -> None:
        """Close the pipe, and end it if it has not ended ``seconds`` later; harmless when it has ended."""
        self.pipe.close()
        self._process.join(seconds)
        for force in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                force()
                self._process.join(3)

    def kill(self) -> None:
        """Kill it at once; what it said before can still be received."""
        self._process.kill()


def die_with_parent() -> None:
    """Have the system kill this process when the thread that started it is gone, even while it is stopped; on Linux.

    A stopped process notices neither a closed pipe nor SIGTERM.  For a process that was not forked from a server, which
    would be its parent.  Source: PR_SET_PDEATHSIG in prctl(2).
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it went in between
        os.kill(os.getpid(), signal.SIGKILL)


def _run(job: Callable[..., None], pipe: Connection, arguments: tuple[Any, ...]) -> None:
    """Entry point of the child: exits with code 1 after saying why."""
    one_thread()
    try:
        job(pipe, *arguments)
    except (Exception, KeyboardInterrupt) as error:
        with contextlib.suppress(OSError):
            send(pipe, Failed.of(error))
        sys.exit(1)


def one_thread() -> None:
    """Figures are for one thread a party: what a server of somebody else's has loaded, and what is loaded later."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
