"""``sotto corpus``: which corpora there are, making the synthetic one, checking one on disk."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from sotto import audio
from sotto.commands.options import Data, Json, SkipBroken, corpus_or_table, one_of
from sotto.console import escape, out, write_json

app = typer.Typer(help="List, make and check corpora.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(callback=one_of(lambda: audio.CORPORA, "a corpus"), help="Name of the corpus.")]


@app.command("list")
def list_corpora(json: Json = False) -> None:
    """The corpora that can be loaded, what their clips say of themselves, and their licences.

    Example:  sotto corpus list
    """
    if json:
        listing = [
            {"name": name, "title": s.title, "labels": s.labels, "licence": s.licence, "origin": s.origin}
            for name, s in audio.CORPORA.items()
        ]
        write_json(listing)
        return
    listing_table = Table("name", "corpus", "labels", "licence", "origin")
    for name, source in audio.CORPORA.items():
        listing_table.add_row(name, source.title, " ".join(source.labels), source.licence, source.origin)
    out.print(listing_table)


@app.command("make")
def make(name: Name = "synthetic") -> None:
    """Speak the synthetic corpus (any other corpus is its publisher's to give).

    Example:  sotto corpus make synthetic
    """
    if name != "synthetic":
        raise audio.CorpusError(
            "no-folder-named", f"{name} is recorded speech: get it from {audio.CORPORA[name].origin} and pass --data"
        )
    corpus = audio.load_corpus(name)
    out.print(f"{corpus.name}: {len(corpus)} clips, {len(corpus.speakers)} voices")
    out.print(escape(corpus.notice or ""))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(callback=corpus_or_table, help="Name of the corpus, or a table.")],
    data: Data = None,
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Decode every clip of a corpus and say what is wrong with it.

    Example:  sotto corpus check ravdess --data ~/corpora/ravdess
    """
    from sotto.bench.corpus_uses import uses

    with _skipped() as skipped:  # all faults are wanted, not the first
        corpus = audio.load_corpus(name, data, skip_broken=True)
    found = audio.check(corpus)
    broken = [*skipped, *found.broken.values()]
    summary = {
        "corpus": corpus.name,
        "clips": len(corpus),
        "hours": round(found.seconds / 3600, 3),
        "rates": {str(rate): count for rate, count in sorted(found.rates.items())},
        "labels": {
            label: len(set(filter(None, (clip.label(label) for clip in corpus))))
            for label in audio.LABELS
            if any(clip.label(label) for clip in corpus)
        },
        "clips_per_emotion": dict(Counter(clip.emotion for clip in corpus if clip.emotion)),
        "broken": broken,
        "copies": [list(ids) for ids in found.copies],
        "remarks": list(corpus.remarks),
        "usable_for": dict(uses(corpus)),
    }
    if json:
        write_json(summary)
    else:
        shown = summary | {"usable_for": [f"{use}: {answer}" for use, answer in uses(corpus).items()]}
        for key, value in shown.items():
            out.print(f"{key.replace('_', ' ')}: {escape(_plain(value))}", soft_wrap=True)
    if broken and not skip_broken:
        raise audio.BrokenClip(
            "broken-clips",
            f"{len(broken)} files of {corpus.name} cannot be used (--skip-broken leaves them out everywhere)",
        )


@contextlib.contextmanager
def _skipped() -> Iterator[list[str]]:
    """The faults that loading reports while it skips broken files."""
    faults: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if message.startswith("skipped: "):
                faults.append(message.removeprefix("skipped: "))

    handler = Collect(logging.WARNING)
    logging.getLogger("sotto").addHandler(handler)
    try:
        yield faults
    finally:
        logging.getLogger("sotto").removeHandler(handler)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
    if isinstance(value, list):
        return "\n  ".join(["", *(", ".join(v) if isinstance(v, list) else str(v) for v in value)]) if value else "none"
    return str(value)
