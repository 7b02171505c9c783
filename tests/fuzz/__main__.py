"""Every decoder that reads what a peer or a peer's file says, under malformed input: ``python -m tests.fuzz``.

The property: whatever comes in, a decoder gives back a value or raises one of the errors it declares, on one line; it
never crashes, hangs, or allocates more than its input can justify.  ``fuzzing.csv`` grows as decoders are done.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from sotto.bench.rows.results import write_whole
from tests.fuzz.campaign import Outcome, campaign
from tests.fuzz.decoders import DECODERS
from tests.fuzz.trial import ENGINES, available

_COLUMNS = (
    "decoder", "engine", "tried", "accepted", "refused", "crashes", "hangs", "slowest_ms", "growth_mb", "findings",
)  # fmt: skip


def fuzz(
    decoder: Annotated[
        list[str] | None, typer.Option(help="Decoders whose names begin so; all without it.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each decoder and engine.")] = 8.0,
    engine: Annotated[
        list[str] | None, typer.Option(help="random or coverage (atheris); both by saying so twice.")
    ] = None,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="For fuzzing.csv and inputs that killed a process.")] = Path(
        "results/fuzzing"
    ),
) -> None:
    """Try malformed input at every decoder and print what was tried and found; exit code 1 when something was.

    Example:  python -m tests.fuzz --decoder he. --decoder link. --seconds 60 --engine random --engine coverage
    """
    engines = engine or ["random"]
    if unknown := set(engines) - set(ENGINES):
        raise typer.BadParameter(f"{', '.join(unknown)} is none of {', '.join(ENGINES)}", param_hint="--engine")
    if "coverage" in engines and not available():
        raise typer.BadParameter("atheris is not installed: pip install atheris", param_hint="--engine")
    names = [name for name in DECODERS if name.startswith(tuple(decoder or [""]))]
    if not names:
        raise typer.BadParameter(f"none of {', '.join(DECODERS)} begins so", param_hint="--decoder")
    out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    console = Console(stderr=True, highlight=False)
    for each in engines:
        for outcome in campaign(names, seconds=seconds, engine=each, seed=seed, out=out):
            outcomes.append(outcome)
            found = "; ".join(outcome.findings) or "nothing found"
            console.print(f"{outcome.decoder} ({each}): {outcome.tried} inputs, {found}", markup=False)
            write_whole(out / "fuzzing.csv", _csv(outcomes))
    Console().print(_table(outcomes))
    findings = [f"{outcome.decoder}: {finding}" for outcome in outcomes for finding in outcome.findings]
    if findings:
        console.print(*findings, sep="\n", markup=False)
        raise typer.Exit(1)


def _values(outcome: Outcome) -> list[str]:
    refused = " ".join(f"{name}:{count}" for name, count in sorted(outcome.refused.items()))
    return [
        outcome.decoder, outcome.engine, str(outcome.tried), str(outcome.accepted), refused, str(outcome.crashes),
        str(outcome.hangs), f"{outcome.slowest_ms:.1f}", f"{outcome.growth_mb:.1f}", "; ".join(outcome.findings),
    ]  # fmt: skip


def _csv(outcomes: list[Outcome]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_COLUMNS, *map(_values, outcomes)])
    return out.getvalue()


def _table(outcomes: list[Outcome]) -> Table:
    """``ms`` is the slowest input, ``MB`` what memory grew by; the errors by type are in the CSV."""
    table = Table(title="malformed input at every decoder", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("decoder (fed by)")
    for heading in ("tried", "read", "crash", "hang", "ms", "MB", "found"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        name, engine, tried, accepted, _, *figures, _ = _values(outcome)
        about = f"{name} {engine}\n ({DECODERS[name].fed_by})"
        table.add_row(about, tried, accepted, *figures, str(len(outcome.findings)))
    return table


if __name__ == "__main__":
    typer.run(fuzz)
