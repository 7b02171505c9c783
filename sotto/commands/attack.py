"""``sotto attack``: what an adversary gets, run for real on one paradigm."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from sotto.commands.options import CorpusName, Data, Json, PresetName, Seed, SkipBroken, did_you_mean, require_corpus
from sotto.console import escape, out, say, write_json


def attack(
    target: Annotated[str | None, typer.Argument(help="Which attack (see --list).", show_default=False)] = None,
    list_targets: Annotated[bool, typer.Option("--list", help="List the attacks.")] = False,
    corpus: CorpusName = "synthetic",
    data: Data = None,
    preset: PresetName = "quick",
    seed: Seed = 0,
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Run an attack on a paradigm and print what it reached.

    Example:  sotto attack keyed-known-plaintext
    """
    from sotto.bench.suite import attackable, build, open_workbench, require

    known = attackable()
    if list_targets:
        table = Table("attack", "what the adversary does")
        for name, what in known.items():
            table.add_row(name, what.description)
        out.print(table)
        return
    if target not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}{did_you_mean(target or '', known)}", param_hint="TARGET")
    require_corpus(corpus, data)
    require([known[target].paradigm])
    bench = open_workbench(
        corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken, brief=preset == "quick"
    )
    reached = []
    for cell in known[target].cells(preset):
        experiment = build(cell, bench)
        attacks = {**experiment.attacks, **experiment.slow_attacks}
        if target not in attacks:
            continue
        say(f"{cell}: {target}")
        reached.append((cell, attacks[target]()))
    if json:
        listing = [
            {"attack": target, "paradigm": c.paradigm, "mode": c.mode, "model": c.model}
            | {"parameters": dict(c.parameters), "metrics": dict(metrics)}
            for c, metrics in reached
        ]
        write_json(listing)
        return
    for cell, metrics in reached:
        out.print(f"[bold]{escape(str(cell))}[/bold]")
        for name, value in metrics.items():
            out.print(f"  {name.removeprefix('attack_').replace('_', ' ')}: {value:.4g}")
    if bench.corpus.notice:
        out.print(escape(bench.corpus.notice))
