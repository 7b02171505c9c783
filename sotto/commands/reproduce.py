"""``sotto reproduce``: a table or figure of a paper, or a figure of this project's documents, measured again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sotto.commands.options import CorpusName, Data, Json, Out, PresetName, Seed, SkipBroken, did_you_mean
from sotto.console import escape, out, say

if TYPE_CHECKING:
    from sotto.bench.rows.row import Row

Runs = Annotated[
    int | None,
    typer.Option("--runs", min=1, max=100, help="Trainings with other seeds to average over, in rdal-table2."),
]


def reproduce(
    target: Annotated[
        str | None, typer.Argument(help="What to reproduce (see --list), or all.", show_default=False)
    ] = None,
    list_targets: Annotated[bool, typer.Option("--list", help="List what can be reproduced.")] = False,
    corpus: CorpusName = "synthetic",
    data: Data = None,
    preset: PresetName = "quick",
    seed: Seed = 0,
    out_folder: Out = Path("results"),
    skip_broken: SkipBroken = False,
    reuse: Annotated[bool, typer.Option("--reuse", help="all: take what an earlier run left in --out.")] = False,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Reproduce a table or figure and print it beside the published one.

    Example:  sotto reproduce emotion-accuracy --corpus ravdess --data ~/corpora/ravdess --preset full

    "all" measures every table and figure of the papers, each on the nearest corpus that --data holds, and writes
    reproduction.html: ours beside the published value, what differs, and whether the claim holds.
    """
    from sotto.bench.reproduction.targets import TARGETS, Request, measured
    from sotto.bench.rows import results

    if list_targets:
        listing = Table("target", "what it is")
        for name, known in TARGETS.items():
            listing.add_row(name, known.DESCRIPTION)
        out.print(listing)
        return
    if target == "all":
        if corpus != "synthetic" or skip_broken or runs is not None:
            raise typer.BadParameter(
                "all takes the nearest corpus in --data for each target, and only --preset, --seed"
            )
        from sotto.commands.reproduce_all import reproduce_all

        reproduce_all(data, preset, seed, out_folder / "reproduction", reuse, json)
        return
    if target is None or target not in TARGETS:
        near = did_you_mean(target or "", TARGETS)
        raise typer.BadParameter(f"one of all, {', '.join(TARGETS)}{near}", param_hint="TARGET")
    request = Request(corpus, data, preset, seed, out_folder / target, say, skip_broken, runs)
    rows = measured(TARGETS[target], request)
    if json:
        sys.stdout.write(results.to_json(rows))
    else:
        _print(rows, TARGETS[target].DESCRIPTION)


def _print(rows: list[Row], title: str) -> None:
    """Ours beside the published value, one line for each figure."""
    from sotto.audio.synthetic import NOTICE
    from sotto.bench.rows.table import NONE, setting

    listing = Table(title=title, title_justify="left")
    for heading in ("row", "figure", "ours", "published"):
        listing.add_column(heading, justify="right" if heading in ("ours", "published") else "left")
    nets = len({row.parameters.get("net") for row in rows}) > 1
    for row in rows:
        figures = _figures(row)
        name = f"{row.mode} {setting(row)}" + (f" {row.parameters['net']}" if nets else "")
        for number, figure in enumerate([*figures, *(extra for extra in row.published if extra not in figures)]):
            values = (figures.get(figure), row.published.get(figure))
            shown = [NONE if value is None else f"{value:.4g}" for value in values]
            listing.add_row(escape(name) if number == 0 else "", figure, *shown)
    out.print(listing)
    if any(row.corpus == "synthetic" for row in rows):
        out.print(escape(NOTICE))


def _figures(row: Row) -> dict[str, float]:
    """Every figure of a row that is not null, the row's own fields first."""
    figures = {
        "accuracy_plain": row.accuracy_plain,
        "agreement": row.agreement,
        "max_abs_error": row.max_abs_error,
        "offline_ms": row.offline_ms.median if row.offline_ms else None,
        "online_ms": row.online_ms.median if row.online_ms else None,
        "online_ms_p95": row.online_ms.p95 if row.online_ms else None,
        "rounds": row.rounds,
        "key_bytes": row.key_bytes,
        **row.metrics,
    }
    return {name: value for name, value in figures.items() if value is not None}
