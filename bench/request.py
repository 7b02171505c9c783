"""What the user asked ``sotto reproduce`` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sotto.audio import CorpusError
from sotto.bench.experiment import Say
from sotto.bench.suite import open_workbench
from sotto.bench.workbench import Workbench


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

    def require_corpus(self, *names: str) -> None:
        """Refuse another corpus than the ones a reproduction is measured on, or one of them without its folder.

        Raises
        ------
        CorpusError
            one clear line.
        """
        if self.corpus == "synthetic":
            return
        if self.corpus not in names:
            known = " or ".join(names)
            raise CorpusError(
                "not-measured", f"this is not measured on {self.corpus}: --corpus takes {known}, or leave it out"
            )
        if self.data is None:
            raise CorpusError("no-folder-named", f"{self.corpus} is on disk: name its folder with --data DIR")

    def open_workbench(self, *, corpus: str | None = None, preset: str | None = None) -> Workbench:
        """The corpus that was asked for, or the one named here; ``preset`` where the one asked for does not matter.

        Raises
        ------
        CorpusError
            one clear line.
        """
        return open_workbench(
            corpus or self.corpus, self.data, preset=preset or self.preset, seed=self.seed, say=self.say,
            skip_broken=self.skip_broken,
        )  # fmt: skip
