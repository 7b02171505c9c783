"""All decoders, one process after another, and what came of it.

A process that dies is a finding: the input it died on is saved, and the rest of its time goes to a fresh process with
another seed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sotto.bench.parties.child_process import ChildError, ChildProcess
from tests.fuzz import trial
from tests.fuzz.trial import CURRENT_BYTES, Report

REGISTRY = "tests.fuzz.decoders"  # the module whose DECODERS are meant
_SILENT = 180.0  # seconds a process may take beyond its time, its setting up included, before it counts as hanging
_MOST_RESTARTS = 5


@dataclass
class Outcome:
    """One decoder under one engine; ``findings`` say what was not as declared, one line each."""

    decoder: str
    engine: str
    tried: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    growth_mb: float = 0.0
    crashes: int = 0
    hangs: int = 0

    def add(self, report: Report) -> None:
        """Add what a process reported last."""
        self.tried += report.tried
        self.accepted += report.accepted
        for name, count in report.refused.items():
            self.refused[name] = self.refused.get(name, 0) + count
        self.findings += report.findings
        self.slowest_ms = max(self.slowest_ms, report.slowest_ms)
        self.growth_mb = max(self.growth_mb, report.growth_mb)


def campaign(
    decoders: Sequence[str],
    *,
    seconds: float,
    engine: str = "random",
    seed: int = 0,
    out: Path,
    registry: str = REGISTRY,
    silent: float = _SILENT,
) -> Iterator[Outcome]:
    """Try each of ``decoders`` for ``seconds``; inputs that killed a process go to the folder ``out``.

    ``silent``: seconds that a process may take beyond its time, its setting up included, before it counts as hanging.
    """
    for decoder in decoders:
        outcome = Outcome(decoder, engine)
        left, number = seconds, seed
        while left > 0 and outcome.crashes + outcome.hangs <= _MOST_RESTARTS:
            started = time.monotonic()
            if _run(outcome, left, number, out, registry, silent):
                break
            left -= time.monotonic() - started
            number += 1
        yield outcome


def _run(outcome: Outcome, seconds: float, seed: int, out: Path, registry: str, silent: float) -> bool:
    """One process; False when it died before its time."""
    deadline = time.monotonic() + seconds + silent
    report: Report | None = None
    with tempfile.TemporaryDirectory(prefix="sotto-fuzz-") as name:
        folder = Path(name)
        with (folder / "current").open("wb") as file:
            file.truncate(CURRENT_BYTES)
        job = (registry, outcome.decoder, outcome.engine, seconds, seed, folder)
        with ChildProcess(trial.run, *job, says=Report, name=outcome.decoder) as child:
            try:
                while True:
                    report = child.receive(deadline - time.monotonic())
            except ChildError as error:
                ended = error
            child.kill()
        if report:
            outcome.add(report)
        if ended.code == 0:
            return True
        hung = ended.kind == "silent"
        if not report and not hung and (ended.code is None or ended.code > 0):
            raise RuntimeError(f"decoder {outcome.decoder} cannot be tried: {ended.reason}") from ended
        outcome.hangs += hung
        outcome.crashes += not hung
        saved = _save(folder / "current", outcome.decoder, out)
        how = "hangs" if hung else f"ended with code {ended.code}"
        outcome.findings.append(f"the process {how}: {saved.name}")
        return False


def _save(current: Path, decoder: str, out: Path) -> Path:
    with current.open("rb") as file:
        data = file.read(int.from_bytes(file.read(8), "little"))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{decoder}-{sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path
