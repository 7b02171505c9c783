"""One decoder in a process of its own, which reports how it fared; run as ``python -m sotto.bench.fuzzing.process``.

The process limits its address space, so that an allocation out of proportion fails here and shows as an error that
nobody declared.  The input at hand lies in a file, so that it can be named when the process dies on it.  A report is
one JSON line on stdout, again after every second, so that the last one survives a crash.
"""

from __future__ import annotations

import argparse
import importlib
import json
import mmap
import os
import random
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sotto.bench.fuzzing.decoder import Target
from sotto.bench.fuzzing.mutation import mutated

REGISTRY = "sotto.bench.fuzzing.decoders"  # the module whose DECODERS are meant
MOST_ADDRESS_MB = 2048  # beyond what stood before the first input
CURRENT_BYTES = 1 << 26
_SLOW_SECONDS = 5.0
_LONGEST_MESSAGE = 700


@dataclass
class Report:
    """``refused``: declared errors by type; ``findings``: at most ten, the rest are counted.

    ``growth_mb``: the largest resident set while inputs were read beyond the one before.
    """

    decoder: str
    engine: str
    tried: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    found: int = 0
    slowest_ms: float = 0.0
    growth_mb: float = 0.0

    def note(self, finding: str) -> None:
        self.found += 1
        if len(self.findings) < 10 and finding not in self.findings:
            self.findings.append(finding)


class Trial:
    """Tries inputs on one decoder and keeps the books."""

    def __init__(self, target: Target, report: Report, growth_mb: int, current: mmap.mmap | None) -> None:
        self._target = target
        self._current = current
        self._allowed = growth_mb
        self.report = report
        for seed in target.seeds:
            self.attempt(seed)
        report.tried = report.accepted = 0
        report.refused.clear()
        _reset_peak()
        self._before = _resident_mb()

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

    def weigh(self) -> None:
        """Bring the memory figure up to date."""
        self.report.growth_mb = max(self.report.growth_mb, _peak_mb() - self._before)
        if self.report.growth_mb > self._allowed:
            self.report.note(f"memory grew by more than {self._allowed} MB")

    def tell(self) -> None:
        """Print the report so far."""
        self.weigh()
        print(json.dumps(asdict(self.report)), flush=True)


def limit_memory(most_mb: int = MOST_ADDRESS_MB) -> None:
    """Allow so much more address space than is in use."""
    used = int(_status("VmSize:")) // 1024
    limit = (used + most_mb) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _status(name: str) -> int:
    """A figure of this process in kilobytes; 0 where the system has no such file."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as status:
            return next((int(line.split()[1]) for line in status if line.startswith(name)), 0)
    except OSError:
        return 0


def _resident_mb() -> float:
    return _status("VmRSS:") / 1024


def _peak_mb() -> float:
    return _status("VmHWM:") / 1024


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # the peak then counts from the start of the process


def _mutate(trial: Trial, target: Target, seconds: float, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  an experiment that can be repeated
    ends = time.monotonic() + seconds
    told = time.monotonic()
    while time.monotonic() < ends:
        trial.attempt(mutated(target.seeds, draw))
        if time.monotonic() - told > 1:
            told = time.monotonic()
            trial.tell()
    trial.tell()


def main() -> None:
    """Run one decoder under one engine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("decoder")
    parser.add_argument("--registry", default=REGISTRY)
    parser.add_argument("--engine", choices=("mutation", "coverage"), default="mutation")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--current", type=Path)
    given = parser.parse_args()
    if given.engine == "coverage":
        from sotto.bench.fuzzing.coverage import instrument

        instrument()
    decoder = importlib.import_module(given.registry).DECODERS[given.decoder]
    target = decoder.make()
    current = None
    if given.current:
        with given.current.open("r+b") as file:
            current = mmap.mmap(file.fileno(), CURRENT_BYTES)
    limit_memory()
    trial = Trial(target, Report(given.decoder, given.engine), decoder.growth_mb, current)
    if given.engine == "coverage":
        from sotto.bench.fuzzing.coverage import explore

        explore(trial, target, given.seconds, given.seed)
    else:
        _mutate(trial, target, given.seconds, given.seed)
    sys.stdout.flush()
    os._exit(0)  # sessions may have threads that wait for somebody


if __name__ == "__main__":
    main()
