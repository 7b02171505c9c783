"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sotto.audio import CORPORA
from sotto.audio.corpora.manifest import SUFFIXES
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.suite import PRESETS
from sotto.link import SHAPES


def one_of(names: Sequence[str], what: str) -> Callable[[Any], Any]:
    """A callback for an option whose value must be one of ``names``."""

    def check(value: Any) -> Any:
        for given in value if isinstance(value, list) else [value]:
            if given is not None and given not in names:
                raise typer.BadParameter(f"{what} is one of {', '.join(names)}")
        return value

    return check


def _corpus(value: str) -> str:
    """The name of a corpus, or the path of a table of one's own."""
    if Path(value).suffix.lower() not in SUFFIXES:
        one_of(tuple(CORPORA), "a table that ends in .csv or .tsv, or a corpus: it")(value)
    return value


CorpusName = Annotated[
    str,
    typer.Option("--corpus", help="A name (sotto corpus list) or a table, manifest.csv.", callback=_corpus),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the corpus, or of several, each under its own name.", show_default=False),
]
PresetName = Annotated[
    str, typer.Option("--preset", help="quick: minutes; full: all test clips.", callback=one_of(PRESETS, "a preset"))
]
Net = Annotated[
    str,
    typer.Option(
        "--net",
        help="Network between the parties: loopback, lan (1 ms, 1 Gbit/s), wan (40 ms, 100 Mbit/s).",
        callback=one_of(tuple(SHAPES), "a network"),
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the split and of training.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result rows as JSON on standard output.")]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Report and leave out clips that cannot be used.")]
ParadigmNames = Annotated[
    list[str] | None,
    typer.Option(
        "--paradigm",
        help="Only this paradigm; may be given several times.",
        callback=one_of(tuple(EXPERIMENTS), "a paradigm"),
        show_default="all",
    ),
]
