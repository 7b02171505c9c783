"""All decoders, one process after another, and what came of it.

A process that dies is a finding: the input it died on is saved, and the rest of its time goes to a fresh process with
another seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sotto.bench.fuzzing.process import CURRENT_BYTES, REGISTRY

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

    def add(self, report: dict[str, Any]) -> None:
        """Add what a process reported last."""
        self.tried += report["tried"]
        self.accepted += report["accepted"]
        for name, count in report["refused"].items():
            self.refused[name] = self.refused.get(name, 0) + count
        self.findings += report["findings"]
        self.slowest_ms = max(self.slowest_ms, report["slowest_ms"])
        self.growth_mb = max(self.growth_mb, report["growth_mb"])


def campaign(
    decoders: Sequence[str],
    *,
    seconds: float,
    engine: str = "mutation",
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
    with tempfile.TemporaryDirectory(prefix="sotto-fuzz-") as folder:
        current = Path(folder) / "current"
        with current.open("wb") as file:
            file.truncate(CURRENT_BYTES)
        command = [
            sys.executable, "-m", "bench.fuzzing.process", outcome.decoder, "--engine", outcome.engine,
            "--seconds", f"{seconds:.1f}", "--seed", str(seed), "--current", str(current),
            "--registry", registry,
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": folder}
        with (Path(folder) / "stderr").open("w+b") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment)  # noqa: S603
            hung = False
            try:
                told, _ = process.communicate(timeout=seconds + silent)
            except subprocess.TimeoutExpired:
                hung = True
                process.kill()
                told, _ = process.communicate()
            said.seek(0)
            complaint = said.read()[-2000:].decode("utf-8", "replace").strip()
        lines = [line for line in told.decode().splitlines() if line.startswith("{")]
        if lines:
            outcome.add(json.loads(lines[-1]))
        if process.returncode == 0 and not hung:
            return True
        if not lines and process.returncode > 0:
            raise RuntimeError(f"decoder {outcome.decoder} cannot be tried: {complaint.splitlines()[-1:]}")
        outcome.hangs += hung
        outcome.crashes += not hung
        saved = _save(current, outcome.decoder, out)
        how = "hangs" if hung else f"ended with code {process.returncode}"
        outcome.findings.append(f"the process {how}: {saved.name}")
        return False


def _save(current: Path, decoder: str, out: Path) -> Path:
    with current.open("rb") as file:
        data = file.read(int.from_bytes(file.read(8), "little"))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{decoder}-{sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path
