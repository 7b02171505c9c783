"""``sotto reproduce all``: every table and figure of the papers, and one report of what holds."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path

from rich.table import Table

from sotto import reproduction_report
from sotto.bench.reproduction.paper_claims import ITEMS, PAPERS
from sotto.bench.reproduction.review import Reviewed, review
from sotto.bench.rows import results
from sotto.console import err, escape, out, say


def reproduce_all(data: Path | None, preset: str, seed: int, folder: Path, reuse: bool, json: bool) -> None:
    """Measure and judge everything; the page is written after every item, so that an interrupted run leaves one."""
    results.require_writable(folder)
    reviewed: list[Reviewed] = []
    for each in review(ITEMS, data, preset=preset, seed=seed, out=folder, reuse=reuse, say=say):
        reviewed.append(each)
        say(f"{each.item.place}: {each.judgement.verdict.value}")
        page = reproduction_report.write(reviewed, folder, preset=preset)
    rows = [row for target in dict.fromkeys(each.item.target for each in reviewed) for row in _rows(reviewed, target)]
    results.write(rows, folder)
    results.write_whole(
        folder / "verdicts.json", json_module.dumps([_plain(each) for each in reviewed], indent=1) + "\n"
    )
    if json:
        sys.stdout.write(results.to_json(rows))
    else:
        _print(reviewed)
    err.print(f"{len(reviewed)} claims judged: {page}", soft_wrap=True)


def _rows(reviewed: list[Reviewed], target: str) -> list[results.Row]:
    return list(next(each.rows for each in reviewed if each.item.target == target))


def _plain(each: Reviewed) -> dict[str, str]:
    return {
        "paper": PAPERS[each.item.paper].title,
        "place": each.item.place,
        "target": each.item.target,
        "corpus": each.corpus,
        "claim": each.item.claim,
        "differs": each.item.differs,
        "verdict": each.judgement.verdict.value,
        "because": each.judgement.because,
    }


def _print(reviewed: list[Reviewed]) -> None:
    listing = Table("paper", "place", "verdict", "because")
    for each in reviewed:
        listing.add_row(
            *map(escape, (each.item.paper, each.item.place, each.judgement.verdict.value, each.judgement.because))
        )
    out.print(listing)
