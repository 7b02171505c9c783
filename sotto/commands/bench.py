"""``sotto bench``: every paradigm on one corpus and split, in one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sotto.bench import results
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.experiment import Experiment
from sotto.bench.row import Row
from sotto.bench.suite import Failure, compare, open_workbench, require, usable
from sotto.bench.table import footnotes, tables
from sotto.bench.workbench import Workbench
from sotto.commands.options import CorpusName, Data, Json, Out, ParadigmNames, PresetName, Seed, SkipBroken, one_of
from sotto.console import err, escape, out, say
from sotto.link import SHAPES

if TYPE_CHECKING:
    from sotto.report.scene import Scene

Nets = Annotated[
    list[str] | None,
    typer.Option(
        "--net",
        help="Network between the parties: loopback, lan (1 ms, 1 Gbit/s), wan (40 ms, 100 Mbit/s); may be given "
        "several times.",
        callback=one_of(tuple(SHAPES), "a network"),
        show_default="loopback",
    ),
]
Peers = Annotated[
    bool,
    typer.Option(
        "--peers",
        help="Add rows of other systems for mpc and he, on the same clips and models, where they are installed.",
    ),
]
ShowScene = Annotated[
    bool,
    typer.Option(
        "--scene/--no-scene",
        help="Show in the report what each party saw of one test clip; the clip's sound is then in the page.",
    ),
]


def bench(
    corpus: CorpusName = "synthetic",
    data: Data = None,
    paradigm: ParadigmNames = None,
    preset: PresetName = "quick",
    net: Nets = None,
    peers: Peers = False,
    scene: ShowScene = True,
    seed: Seed = 0,
    out_folder: Out = Path("results"),
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Compare the paradigms on one corpus: answers, cost, leakage and attacks side by side.

    Example:  sotto bench --corpus ravdess --data ~/corpora/ravdess --paradigm mpc --paradigm he

    Writes results.json, results.csv and report.html into the output folder, and scene.json: what each party saw of one
    test clip.
    """
    started = time.monotonic()
    results.require_writable(out_folder)
    if paradigm:
        require(paradigm)
    nets = list(dict.fromkeys(net or ["loopback"]))
    bench = open_workbench(corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken)
    made = _Made(out_folder, bench, with_scene=scene)
    failures: list[Failure] = []
    for outcome in _outcomes(bench, paradigm, nets, made, with_peers=peers):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            made.add(outcome)
    if made.rows:
        made.write(reproduced=True)
    if json:
        sys.stdout.write(results.to_json(made.rows))
    elif made.rows:
        for table in tables(made.rows, f"{bench.corpus.name}, split {bench.split.name}, {preset}, {', '.join(nets)}"):
            out.print(table)
        for line in footnotes(made.rows, bench.corpus.notice):
            out.print(escape(line))
    err.print(
        f"{len(made.rows)} rows in {time.monotonic() - started:.0f} s: {', '.join(map(str, made.written))}",
        soft_wrap=True,
    )
    if failures:
        raise failures[0].error


def _outcomes(
    bench: Workbench, paradigm: list[str] | None, nets: list[str], made: _Made, *, with_peers: bool
) -> Iterator[Row | Failure]:
    chosen = paradigm or usable(list(EXPERIMENTS), say)
    yield from compare(bench, chosen, nets, show=made.show if made.with_scene else None)
    if with_peers:
        from sotto.bench.peers.comparison import compare_peers

        yield from compare_peers(bench, chosen, nets)


@dataclass
class _Made:
    """What a run has so far, written after every row, so that an interrupted run leaves the rows it has."""

    folder: Path
    bench: Workbench
    with_scene: bool
    rows: list[Row] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    scene: Scene | None = None

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.write()

    def show(self, experiment: Experiment) -> None:
        """Ask about one clip and keep what each party saw."""
        from sotto.bench.simulation import simulate
        from sotto.report.scene import with_panel
        from sotto.report.seen import asked_clip, empty_scene, panel

        clip = self.bench.corpus[self.bench.split.test[0]]
        asked = asked_clip(experiment, clip)
        say(f"{experiment.cell}: what each party sees of {asked.id}")
        self.scene = with_panel(
            self.scene or empty_scene(self.bench, clip),
            panel(experiment, simulate(experiment, asked, "loopback"), self.bench, asked, attacked=True),
        )

    def write(self, *, reproduced: bool = False) -> None:
        from sotto import report
        from sotto.report import scene
        from sotto.report.papers import reproductions

        page = report.write(
            self.rows,
            self.folder / "report.html",
            self.bench.corpus.notice,
            scene=self.scene,
            reproduced=reproductions(self.folder) if reproduced else (),
        )
        self.written = [*results.write(self.rows, self.folder), page]
        if self.scene:
            self.written.append(self.folder / scene.SCENE_FILE)
            results.write_whole(self.written[-1], scene.to_json(self.scene))
