"""``sotto sweep``: a study over a grid of keys, parameters, folds, models and attacks, on many workers, resumable."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sotto.commands.options import CorpusName, Data, Json, Out, PresetName, Seed, SkipBroken, did_you_mean
from sotto.console import err, escape, out, say

if TYPE_CHECKING:
    from sotto.bench.sweeps.running import Outcome
    from sotto.bench.sweeps.studies.axes import Axis
    from sotto.bench.sweeps.summary import Group


def sweep(
    study: Annotated[str | None, typer.Argument(help="What to sweep (see --list).", show_default=False)] = None,
    list_studies: Annotated[bool, typer.Option("--list", help="List the studies and their axes.")] = False,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", help="AXIS=VALUE,VALUE or AXIS=FIRST..LAST; may be given several times."),
    ] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="serial, local, dask:// (a cluster here) or dask://HOST:PORT.")
    ] = "local",
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=1024, help="Processes of local and dask://.", show_default="cores")
    ] = os.cpu_count() or 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the tasks and those that are done.")] = False,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of the single results.", show_default="in the cache")
    ] = None,
    corpus: CorpusName = "synthetic",
    data: Data = None,
    preset: PresetName = "quick",
    seed: Seed = 0,
    out_folder: Out = Path("results"),
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Run a study at every point of a grid; start it again after an interruption, and it goes on where it stopped.

    Example:  sotto sweep hashing --vary k=2,5 --vary key=0..999 --executor dask://scheduler:8786

    Writes results.json (a row for each task), results.csv and summary.csv into the output folder.
    """
    from sotto.audio import cache
    from sotto.bench.rows import results
    from sotto.bench.sweeps import executors
    from sotto.bench.sweeps.plan import open_plan
    from sotto.bench.sweeps.running import look_up, run_sweep
    from sotto.bench.sweeps.store import Store
    from sotto.bench.sweeps.studies import STUDIES

    if list_studies:
        _list(preset)
        return
    if study is None or study not in STUDIES:
        near = did_you_mean(study or "", STUDIES)
        raise typer.BadParameter(f"one of {', '.join(STUDIES)}{near}", param_hint="STUDY")
    found = STUDIES[study]
    axes = found.axes(preset)
    results.require_writable(out_folder)
    executors.require_known(executor)
    plan, bench = open_plan(study, vary or [], corpus, data, preset=preset, seed=seed, skip_broken=skip_broken, say=say)
    kept = Store(store or cache.root() / "sweeps")
    if dry_run:
        stored = look_up(plan, kept)
        left = len(stored.absent)
        pace = "" if stored.pace is None else f", about {stored.pace * left / 3600:.2f} hours of one worker"
        out.print(f"{len(plan)} tasks, {len(plan) - left} done, {left} to do{pace}")
        return
    say(f"workers: {executor}")
    with contextlib.closing(executors.executor(executor, workers)) as crew:
        found.prepare(bench)
        outcome = run_sweep(plan, kept, crew, say)
    _finish(outcome, axes, out_folder, json)


def _finish(outcome: Outcome, axes: Mapping[str, Axis], folder: Path, json: bool) -> None:
    """Write and print the table; a sweep with failed tasks ends as a failed command, with everything else kept."""
    from sotto.bench.rows import results
    from sotto.bench.sweeps import summary

    results.write(outcome.rows, folder)
    groups = summary.groups(outcome.rows, axes)
    results.write_whole(folder / "summary.csv", summary.to_csv(groups))
    if json:
        sys.stdout.write(results.to_json(outcome.rows))
    else:
        _print(groups)
    err.print(
        f"{outcome.computed} computed, {outcome.reused} reused in {outcome.seconds:.0f} s"
        f" ({outcome.worked:.0f} s of work): {folder / 'summary.csv'}",
        soft_wrap=True,
    )
    if outcome.faults:
        raise RuntimeError(
            f"{len(outcome.faults)} tasks failed, the first because of {next(iter(outcome.faults.values()))}"
        )


def _print(groups: list[Group]) -> None:
    values: dict[str, set[str]] = {}
    for group in groups:
        for axis, value in group.parameters.items():
            values.setdefault(axis, set()).add(str(value))
    shared = " ".join(f"{axis}={one.copy().pop()}" for axis, one in values.items() if len(one) == 1)
    listing = Table("point", "figure", "mean", "sd", "min", "max", "n", title=escape(shared), title_justify="left")
    for group in groups:
        name = " ".join(f"{axis}={value}" for axis, value in group.parameters.items() if len(values[axis]) > 1)
        for number, (figure, s) in enumerate(group.figures.items()):
            shown = [f"{value:.4g}" for value in (s.mean, s.deviation, s.least, s.most)]
            listing.add_row(escape(name) if number == 0 else "", figure, *shown, str(s.count))
    out.print(listing)


def _list(preset: str) -> None:
    from sotto.bench.sweeps.studies import STUDIES

    for name, study in STUDIES.items():
        out.print(f"[bold]{name}[/bold]  {escape(study.DESCRIPTION)}")
        listing = Table("axis", "what it is", "values it has unless varied")
        for axis, about in study.axes(preset).items():
            values = ", ".join(map(str, about.choices or about.default))
            listing.add_row(axis, escape(about.meaning), escape(values))
        out.print(listing)
