"""From what somebody asks for to a plan: the corpus opened, its content and the code's digested, the grid read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sotto.bench.experiment import Say
from sotto.bench.suite import open_workbench
from sotto.bench.sweeps.plan import Plan, Setting, corpus_digest
from sotto.bench.sweeps.source import source_digest
from sotto.bench.sweeps.studies import STUDIES
from sotto.bench.sweeps.studies.axes import read_grid
from sotto.bench.workbench import Workbench


def open_plan(
    study: str,
    vary: Sequence[str],
    corpus: str,
    data: Path | None,
    *,
    preset: str = "quick",
    seed: int = 0,
    skip_broken: bool = False,
    say: Say,
) -> tuple[Plan, Workbench]:
    """The tasks of ``study`` over ``vary`` (``axis=values`` each, see ``sotto sweep``) and the corpus they are on.

    Raises
    ------
    SweepError
        the study has no such axis, or the axis no such value.
    CorpusError
        one clear line.
    """
    found = STUDIES[study]
    grid = read_grid(found.axes(preset), vary)
    bench = open_workbench(corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken)
    where = None if data is None else str(data.resolve())
    digests = corpus_digest(bench.corpus), source_digest(found.MODULES)
    return Plan(Setting(study, corpus, where, preset, seed, skip_broken, *digests), grid), bench
