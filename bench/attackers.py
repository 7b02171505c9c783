"""Attackers at work beside the measurement: in a process of their own, which stands still while anything is timed.

In a quick comparison what attackers and their training take is longer than all that is timed, and there is a second
core.  They begin with the last row while rows are timed from the first; when all are timed, this process attacks too,
from the first on, so that nobody waits for long.  Only attackers who compute are given away.  Parties who attack wait
for one another until a deadline, and a deadline does not stand still with a process.  The process is this one's own
child, from no fork server, so that the system ends it with this one, even while it stands still.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import msgspec
from tqdm import tqdm

from sotto.audio import Corpus
from sotto.audio.splits import Split
from sotto.bench.experiment import Configuration, Experiment, reached
from sotto.bench.parties.child_process import ChildError, ChildProcess, die_with_parent, send
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench

Build = Callable[[Configuration, Workbench], Experiment]

_PATIENCE = 7 * 24 * 3600.0  # seconds: attackers of a full comparison may take hours
_START_SECONDS = 60.0


class Started(msgspec.Struct, tag=True):
    """From here on the process ends with its parent, even while it stands still."""


class Building(msgspec.Struct, tag=True):
    """What a row's attackers need is being trained, or is taken from the cache."""

    number: int


class Built(msgspec.Struct, tag=True):
    """It is there."""

    number: int


class Reached(msgspec.Struct, tag=True):
    """What the attackers of a row reached, and what there is to say of it."""

    number: int
    metrics: dict[str, float | None]
    said: list[str]


@dataclass(frozen=True)
class Attacked:
    """The rows of a configuration that came before, one for each network, now with what attackers reached."""

    rows: Sequence[Row]


@dataclass(frozen=True)
class _Orders:
    """The workbench to make again, and the cells to attack by number; ``claims``: a folder that says whose they are."""

    build: Build

    corpus: Corpus
    split: Split
    label: str
    preset: str
    seed: int
    data: Path | None
    cells: tuple[tuple[int, Configuration], ...]
    claims: Path


class Attackers:
    """Those of ``cells`` by number, which ``build``, a function of a module, sets up.  Use as a context manager."""

    def __init__(self, bench: Workbench, cells: Mapping[int, Configuration], build: Build) -> None:
        self._bench, self._cells, self._build = bench, cells, build
        self._waiting: dict[int, tuple[Experiment, Sequence[Row]]] = {}
        self._reached: dict[int, Reached] = {}
        self._building: str | None = None
        self._started = False
        self._process: ChildProcess | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._claims = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sotto-")))
        if self._cells and hasattr(signal, "SIGSTOP"):
            bench = self._bench
            orders = _Orders(
                self._build,
                bench.corpus, bench.split, bench.label, bench.preset, bench.seed, bench.data,
                tuple(self._cells.items()), self._claims,
            )  # fmt: skip
            self._process = self._stack.enter_context(
                ChildProcess(_attack, orders, says=Started | Building | Built | Reached, name="attackers")
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self._process:
            self._process.kill()  # it would not hear before an attack is over
        self._stack.close()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody attacks there inside of this: for what is timed."""
        while not self._started and self._hear(_START_SECONDS):
            pass
        self._signal("SIGSTOP")
        try:
            yield
        finally:
            self._signal("SIGCONT")

    def await_training(self, cell: Configuration) -> None:
        """Wait while there is trained what ``cell`` needs, instead of training it here too."""
        while self._hear(0.0):
            pass
        while self._building == cell.paradigm and self._hear(_PATIENCE):
            pass

    def given(self, number: int, experiment: Experiment) -> Experiment:
        """The experiment without the attackers who work there."""
        if number not in self._cells:
            return experiment
        if not experiment.attacks:
            self._claim(number)
        return replace(experiment, attacks={})

    def add(self, number: int, experiment: Experiment, rows: Sequence[Row]) -> None:
        """Timed rows of cell ``number``, which wait for what the attackers of ``experiment`` reach."""
        if number in self._cells and experiment.attacks and rows:
            self._waiting[number] = experiment, rows

    def arrived(self) -> Iterator[Attacked]:
        """The rows whose attackers are done."""
        while self._hear(0.0):
            pass
        for number in [number for number in self._waiting if number in self._reached]:
            yield self._attacked(number, self._reached.pop(number))

    def rest(self) -> Iterator[Attacked]:
        """All the others.  Those that nobody has begun are attacked here."""
        for number in list(self._waiting):
            if number in self._waiting and self._claim(number):
                yield self._here(number)
            yield from self.arrived()
        while self._waiting:
            if not self._hear(_PATIENCE):  # it ended too early
                yield from map(self._here, list(self._waiting))
            yield from self.arrived()

    def _here(self, number: int) -> Attacked:
        said: list[str] = []
        experiment, _ = self._waiting[number]
        return self._attacked(number, Reached(number, reached(experiment, said.append), said))

    def _attacked(self, number: int, found: Reached) -> Attacked:
        for line in found.said:
            self._bench.say(line)
        _, rows = self._waiting.pop(number)
        return Attacked([msgspec.structs.replace(row, metrics={**row.metrics, **found.metrics}) for row in rows])

    def _claim(self, number: int) -> bool:
        return _claim(self._claims, number)

    def _hear(self, seconds: float) -> bool:
        """Take in the next message; False where none came within ``seconds``, or none will."""
        if self._process is None:
            return False
        try:
            message = self._process.receive(seconds)
        except ChildError as error:
            if error.kind != "silent":
                self._process, self._building = None, None
                if error.code != 0:
                    self._bench.say(f"{error}: what is left is done here")
            return False
        if isinstance(message, Started):
            self._started = True
        elif isinstance(message, Reached):
            self._reached[message.number] = message
        else:
            self._building = self._cells[message.number].paradigm if isinstance(message, Building) else None
        return True

    def _signal(self, name: str) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, getattr(signal, name))


def _claim(folder: Path, number: int) -> bool:
    """Whether the cell is this process's to attack: of two that ask, one is told so."""
    try:
        (folder / str(number)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _attack(pipe: Connection, orders: _Orders) -> None:
    """The job of the process, whose bars would run into those of the measurement."""
    die_with_parent()  # who may be killed while this stands still
    tqdm.set_lock(threading.RLock())  # the usual one is a semaphore, which stays behind when a process is killed
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        send(pipe, Started())
        _attack_all(pipe, orders)


def _attack_all(pipe: Connection, orders: _Orders) -> None:
    """The last cell first."""
    bench = Workbench(
        orders.corpus, orders.split, orders.label, orders.preset, orders.seed, _silent, jobs=1, data=orders.data
    )
    for number, cell in reversed(orders.cells):
        if not _claim(orders.claims, number):
            continue
        send(pipe, Building(number))
        said: list[str] = []
        metrics: dict[str, float | None] = {}
        try:
            experiment = orders.build(cell, bench)
            send(pipe, Built(number))
            metrics = reached(experiment, said.append)
        except Exception as error:  # the others are still attacked
            send(pipe, Built(number))
            said.append(f"{cell}: its attackers could not begin: {type(error).__name__}: {error}")
        send(pipe, Reached(number, metrics, said))


def _silent(line: str) -> None:
    pass
