"""``sotto bench``: every paradigm on one corpus and split, in one table."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench import results
from bench.paradigms import PARADIGMS
from bench.row import Row
from bench.suite import Failure, compare, open_workbench, require, usable
from bench.table import footnotes, tables
from sotto import report
from sotto.commands.options import CorpusName, Data, Json, Net, Out, ParadigmNames, PresetName, Seed, SkipBroken
from sotto.console import err, escape, out, say


def bench(
    corpus: CorpusName = "synthetic",
    data: Data = None,
    paradigm: ParadigmNames = None,
    preset: PresetName = "quick",
    net: Net = "loopback",
    seed: Seed = 0,
    out_folder: Out = Path("results"),
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Compare the paradigms on one corpus: answers, cost, leakage and attacks side by side.

    Example:  sotto bench --corpus ravdess --data ~/corpora/ravdess --paradigm mpc --paradigm he

    Writes results.json, results.csv and report.html into the output folder.
    """
    started = time.monotonic()
    results.require_writable(out_folder)
    if paradigm:
        require(paradigm)
    bench = open_workbench(corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken)
    rows: list[Row] = []
    failures: list[Failure] = []
    written: list[Path] = []
    for outcome in compare(bench, paradigm or usable(list(PARADIGMS), say), net):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            continue
        rows.append(outcome)
        # After every row, so that an interrupted run leaves the rows it has.
        written = [*results.write(rows, out_folder), report.write(rows, out_folder, bench.corpus.notice)]
    if json:
        sys.stdout.write(results.to_json(rows))
    elif rows:
        for table in tables(rows, f"{bench.corpus.name}, split {bench.split.name}, {preset}, {net}"):
            out.print(table)
        for line in footnotes(rows, bench.corpus.notice):
            out.print(escape(line))
    err.print(
        f"{len(rows)} rows in {time.monotonic() - started:.0f} s: " + ", ".join(map(str, written)), soft_wrap=True
    )
    if failures:
        raise failures[0].error
