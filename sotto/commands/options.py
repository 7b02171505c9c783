"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from sotto.console import say
from sotto.serving import registry

PRESETS = ("quick", "full")


def one_of(names: Iterable[str] | Callable[[], Iterable[str]], what: str) -> Callable[[Any], Any]:
    """A callback for an option whose value must be one of ``names``; a function of them is called for a value alone.

    So ``--help`` does not wait for the modules that know the names.
    """

    def check(value: Any) -> Any:
        known = tuple(names() if callable(names) else names)
        for given in value if isinstance(value, list) else [value]:
            if given is not None and given not in known:
                raise typer.BadParameter(f"{what} is one of {', '.join(known)}{did_you_mean(given, known)}")
        return value

    return check


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not ``known``; empty where none is like it."""
    names = list(known)
    beginnings = {name.partition("-")[0]: name for name in reversed(names)}
    near = get_close_matches(given.lower(), names, n=1)
    near = near or [beginnings[found] for found in get_close_matches(given.lower(), beginnings, n=1)]
    return f"; did you mean {near[0]}?" if near else ""


def _corpora() -> Iterable[str]:
    from sotto.audio import CORPORA

    return CORPORA


def require_clip(path: Path) -> None:
    """Refuse what is no recording of speech, before anything is loaded for it.  Raises ``typer.BadParameter``."""
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder, not a recording", param_hint="CLIP")
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {path}", param_hint="CLIP")
    from sotto.audio import BrokenClip
    from sotto.recordings import require_speech

    try:
        require_speech(path, say)
    except BrokenClip as error:
        raise typer.BadParameter(str(error), param_hint="CLIP") from None


def require_corpus(name: str, data: Path | None, label: str = "") -> None:
    """Refuse a corpus that is not there, or a label that it has not, before anything is loaded for it.

    The labels of a table are known when it is read.  Raises ``typer.BadParameter``.
    """
    from sotto.audio import CORPORA, CorpusError, find_corpus

    try:
        source, _ = find_corpus(name, data)
    except CorpusError as error:
        raise typer.BadParameter(str(error), param_hint="--corpus, --data") from None
    if label and source is not CORPORA["manifest"] and label not in source.labels:
        known = ", ".join(source.labels)
        raise typer.BadParameter(
            f"{source.title} has the labels {known}{did_you_mean(label, source.labels)}", param_hint="--label"
        )


def networks() -> Iterable[str]:
    """Names of networks between the parties."""
    from sotto.link import SHAPES

    return SHAPES


def corpus_or_table(value: str) -> str:
    """The name of a corpus, or the path of a table of one's own."""
    if not value.lower().endswith((".csv", ".tsv")):
        one_of(_corpora, "a table that ends in .csv or .tsv, or a corpus: it")(value)
    return value


CorpusName = Annotated[
    str,
    typer.Option("--corpus", help="A name (sotto corpus list) or a table, manifest.csv.", callback=corpus_or_table),
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
        callback=one_of(networks, "a network"),
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
        callback=one_of(registry.names(), "a paradigm"),
        show_default="all",
    ),
]
ActivationError = Annotated[
    float | None,
    typer.Option("--activation-error", help="mpc: largest error of each approximated function.", show_default="0.001"),
]
FeaturesAt = Annotated[
    str,
    typer.Option(
        "--features-at",
        help="Who computes features: alice; or circuit: Alice gives samples, and what Bob evaluates has the rest.",
        callback=one_of(("alice", "circuit"), "a place of features"),
    ),
]
Output = Annotated[
    str | None, typer.Option("--output", help="mpc: which of several results, by name.", show_default=False)
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="mpc: secret; or public: Alice is told them, cheaper.",
        callback=one_of(("secret", "public"), "weights"),
        show_default="secret",
    ),
]
