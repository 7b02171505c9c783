"""What the user asked ``sotto reproduce`` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.experiment import Say


@dataclass(frozen=True)
class Request:
    """Corpus and preset of a reproduction; ``out`` is where its files go."""

    corpus: str
    data: Path | None
    preset: str
    seed: int
    out: Path
    say: Say
    skip_broken: bool = False
