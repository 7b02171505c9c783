"""What the user asked ``sotto reproduce`` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.experiment import Say


@dataclass(frozen=True)
class Request:
    """Corpus and preset of a reproduction; ``out`` is where its files go, ``runs`` how often it is repeated.

    None repeats it as often as its preset says; only the reproductions that train several times look at it.
    """

    corpus: str
    data: Path | None
    preset: str
    seed: int
    out: Path
    say: Say
    skip_broken: bool = False
    runs: int | None = None
