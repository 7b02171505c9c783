"""Running every reproduction once and judging every claim with its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sotto.audio import CORPORA, CorpusError
from sotto.bench.claims.claim import Item, Judgement, open_for
from sotto.bench.experiment import Say
from sotto.bench.reproduction.targets import TARGETS, Request, measured
from sotto.bench.rows import results
from sotto.bench.rows.row import Row

_ASKED = "asked.json"  # beside the results: what they are of


@dataclass(frozen=True)
class Reviewed:
    """An item, the rows that were measured for it, the corpus they are of, and the judgement."""

    item: Item
    rows: Sequence[Row]
    corpus: str
    judgement: Judgement


def review(
    items: Sequence[Item], data: Path | None, *, preset: str, seed: int, out: Path, reuse: bool, say: Say
) -> Iterator[Reviewed]:
    """Judge ``items`` one by one; a reproduction that several need runs once.

    ``data`` holds corpora each under its own name; where none of an item's is there, the built-in corpus serves, if it
    can be measured on that.  With ``reuse``, rows that an earlier review of the same corpus, preset and seed left in
    ``out`` are taken.  A reproduction that fails leaves its items open and says why; the others still run.

    Raises
    ------
    CorpusError
        ``data`` is no folder, or holds none of the corpora; one clear line.
    """
    _require_corpora(items, data)
    chosen: dict[str, str | None] = {}
    for item in items:
        chosen.setdefault(item.target, corpus_for(item, data))
    for corpus in dict.fromkeys(name for name in chosen.values() if name not in (None, "none")):
        say(f"on {corpus}: {', '.join(target for target, name in chosen.items() if name == corpus)}")
    done: dict[str, tuple[Sequence[Row], str, str | None]] = {}
    for number, item in enumerate(items):
        if item.target not in done:
            say(f"{number + 1} of {len(items)}: {item.target}")
            done[item.target] = _measure(item, chosen[item.target], data, preset, seed, out, reuse, say)
        rows, corpus, fault = done[item.target]
        yield Reviewed(item, rows, corpus, open_for(fault) if fault else item.judge(rows))


def _require_corpora(items: Sequence[Item], data: Path | None) -> None:
    if data is None:
        return
    if not data.is_dir():
        raise CorpusError(
            "no-such-folder",
            f"{data} is no folder: --data takes the one that holds the corpora, each under its own name",
        )
    known = dict.fromkeys(name for item in items for name in item.corpora if name != "synthetic")
    if known and not any(_is_there(name, data) for name in known):
        raise CorpusError(
            "nothing-found", f"{data} holds none of {', '.join(known)}: leave --data out for the built-in corpus"
        )


def _measure(
    item: Item, corpus: str | None, data: Path | None, preset: str, seed: int, out: Path, reuse: bool, say: Say
) -> tuple[Sequence[Row], str, str | None]:
    """Rows, the name of the corpus (None: none of the item's is at hand), and why there are none."""
    if corpus is None:
        return (), "none", f"needs one of the corpora {', '.join(item.corpora)}: give their folder with --data"
    folder = out / item.target
    asked = json.dumps({"corpus": corpus, "preset": preset, "seed": seed})
    if reuse and (folder / "results.json").exists():
        if (folder / _ASKED).exists() and (folder / _ASKED).read_text(encoding="utf-8") == asked:
            say(f"{item.target}: reused {folder / 'results.json'}")
            return results.read(folder / "results.json"), corpus, None
        say(f"{item.target}: what is there is of another corpus, preset or seed; measured again")
    there = None if corpus in ("synthetic", "none") else data
    request = Request("synthetic" if corpus == "none" else corpus, there, preset, seed, folder, say)
    try:
        rows = measured(TARGETS[item.target], request)
        results.write_whole(folder / _ASKED, asked)
    except (ValueError, RuntimeError, OSError) as error:
        say(f"{item.target} failed: {error}")
        return (), corpus, f"{item.target} failed: {' '.join(str(error).split())[:300]}"
    return rows, corpus, None


def corpus_for(item: Item, data: Path | None) -> str | None:
    """The first of the item's corpora that is at hand; ``none`` where it needs none, None where none is at hand."""
    if not item.corpora:
        return "none"
    for name in item.corpora:
        if name == "synthetic" or (data is not None and _is_there(name, data)):
            return name
    return None


def _is_there(corpus: str, data: Path) -> bool:
    return any((data / folder).is_dir() for folder in CORPORA[corpus].folders)
