"""One decoder in a process of its own, which reports how it fared.

The process limits its address space, so that an allocation out of proportion fails here and shows as an error that
nobody declared.  The input at hand lies in a file, so that it can be named when the process dies on it.  A report goes
to the parent after every second, so that the last one survives a crash.

Both engines choose the numbers from which :mod:`tests.fuzz.inputs` draws an input: ``random`` at random, ``coverage``
by atheris, Google's libFuzzer for Python, which keeps and bends further what reaches code that nothing reached before.
Python code is watched, the C++ libraries' is not.
"""

from __future__ import annotations

import importlib
import importlib.util
import mmap
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import psutil
from hypothesis import HealthCheck, given, settings
from tqdm import tqdm

from sotto.bench.parties.child_process import send
from sotto.bench.parties.party import peak_rss_mb
from tests.fuzz.decoders.decoder import Target
from tests.fuzz.inputs import inputs

MOST_ADDRESS_MB = 2048  # beyond what stood before the first input
CURRENT_BYTES = 1 << 26
ENGINES = ("random", "coverage")
_CHOICES = 2048  # bytes from which an input is drawn
_SLOW_SECONDS = 5.0
_LONGEST_MESSAGE = 700
_WATCHED = tuple(
    f"sotto.{name}." for name in ("link", "mpc", "he", "hashing", "keyed", "models", "serving", "adversarial")
)


class Report(msgspec.Struct, tag=True):
    """``refused``: declared errors by type; ``findings``: at most ten, the rest are counted.

    ``growth_mb``: the largest resident set while inputs were read beyond the one before.
    """

    tried: int = 0
    accepted: int = 0
    refused: dict[str, int] = {}
    findings: list[str] = []
    found: int = 0
    slowest_ms: float = 0.0
    growth_mb: float = 0.0

    def note(self, finding: str) -> None:
        self.found += 1
        if len(self.findings) < 10 and finding not in self.findings:
            self.findings.append(finding)


class Trial:
    """Tries inputs on one decoder and keeps the books; ``send`` is called with them after every second."""

    def __init__(
        self,
        target: Target,
        growth_mb: int = 64,
        current: mmap.mmap | None = None,
        send: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self._target = target
        self._current = current
        self._allowed = growth_mb
        self._send, self._told = send, float("inf")  # not while the valid inputs are read
        self.report = Report()
        for seed in target.seeds:
            self.attempt(seed)
        self.report = Report(findings=self.report.findings, found=self.report.found)
        _reset_peak()
        self._before = psutil.Process().memory_info().rss / 1e6
        self._told = time.monotonic()

    def attempt(self, data: bytes) -> None:
        """One input: a value, a declared error, or a finding."""
        if self._current is not None:
            self._current[:8] = len(data).to_bytes(8, "little")
            kept = data[: CURRENT_BYTES - 8]
            self._current[8 : 8 + len(kept)] = kept
        started = time.monotonic()
        self.report.tried += 1
        try:
            self._target.decode(data)
            self.report.accepted += 1
        except self._target.declared as error:
            name = type(error).__name__
            self.report.refused[name] = self.report.refused.get(name, 0) + 1
            text = str(error)
            if not text or "\n" in text or len(text) > _LONGEST_MESSAGE:
                self.report.note(f"{name} does not say on one line what is wrong")
        except Exception as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
            self.report.note(f"{type(error).__name__} at {place}: {str(error)[:160]}")
        elapsed = time.monotonic() - started
        self.report.slowest_ms = max(self.report.slowest_ms, elapsed * 1e3)
        if elapsed > _SLOW_SECONDS:
            self.report.note(f"an input of {len(data)} bytes took longer than {_SLOW_SECONDS:g} s")
        if time.monotonic() - self._told > 1:
            self.report_now()

    def report_now(self) -> None:
        """Report so far, the memory figure brought up to date."""
        self._told = time.monotonic()
        self.report.growth_mb = max(self.report.growth_mb, peak_rss_mb() - self._before)
        if self.report.growth_mb > self._allowed:
            self.report.note(f"memory grew by more than {self._allowed} MB")
        self._send(self.report)


def limit_memory(most_mb: int = MOST_ADDRESS_MB) -> None:
    """Allow so much more address space than is in use."""
    limit = psutil.Process().memory_info().vms + (most_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # the peak then counts from the start of the process


def available() -> bool:
    """Whether atheris is installed; it is for developers."""
    return importlib.util.find_spec("atheris") is not None


def run(pipe: Connection, registry: str, name: str, engine: str, seconds: float, seed: int, folder: Path) -> None:
    """Try the decoder ``name`` of the module ``registry``; ``folder`` holds ``current``, the input at hand."""
    atheris: Any = importlib.import_module("atheris") if engine == "coverage" else None  # only developers have it
    decoder = importlib.import_module(registry).DECODERS[name]
    if atheris:
        _instrument(atheris)
    tempfile.tempdir = str(folder)  # what decoders write goes with it
    tqdm.set_lock(threading.RLock())  # one between processes would be left behind
    target = decoder.make()
    with (folder / "current").open("r+b") as file:
        current = mmap.mmap(file.fileno(), CURRENT_BYTES)
    limit_memory()
    trial = Trial(target, decoder.growth_mb, current, lambda report: send(pipe, report))

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def attempt(data: bytes) -> None:
        trial.attempt(data)

    one: Callable[[bytes], object] = attempt.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    draw = random.Random(seed)  # noqa: S311  an experiment that can be repeated
    if atheris:
        _explore(atheris, one, seconds, draw, folder)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        one(draw.randbytes(_CHOICES))
    trial.report_now()
    os._exit(0)  # sessions may have threads that wait for somebody


def _explore(atheris: Any, one: Callable[[bytes], object], seconds: float, draw: random.Random, folder: Path) -> None:
    """Let libFuzzer choose for ``seconds``.  It ends the process itself."""
    with (folder / "libfuzzer").open("wb") as noise:
        os.dup2(noise.fileno(), 2)
    start = folder / "start"
    start.mkdir()
    for number in range(16):
        (start / str(number)).write_bytes(draw.randbytes(_CHOICES))
    options = [
        f"-max_total_time={max(1, round(seconds))}", f"-max_len={4 * _CHOICES}", "-len_control=0",
        f"-seed={draw.randrange(1, 1 << 31)}", "-rss_limit_mb=0", f"-artifact_prefix={folder}/",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(start)], one)
    atheris.Fuzz()


def _instrument(atheris: Any) -> None:
    """Watch the decoders' packages from now on; they are imported already."""
    for name, module in list(sys.modules.items()):
        if not f"{name}.".startswith(_WATCHED):
            continue
        for owner in [module, *(each for each in vars(module).values() if isinstance(each, type))]:
            if owner is not module and owner.__module__ != name:
                continue
            for found in list(vars(owner).values()):
                if callable(found) and getattr(found, "__module__", None) == name and hasattr(found, "__code__"):
                    atheris.instrument_func(found)
