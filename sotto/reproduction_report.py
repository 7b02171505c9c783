"""The reproduction page: every claim of the papers, ours beside the published figures, and whether it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from sotto.bench.reproduction.paper_claims import ITEMS, PAPERS, Paper
from sotto.bench.reproduction.review import Reviewed
from sotto.bench.rows.results import write_whole
from sotto.report.page import asset, markup, policy
from sotto.report.papers import report_of
from sotto.reproduction_card import Card, card

NAME = "reproduction.html"
_DRAWINGS = (".svg", ".png")


def write(reviewed: Sequence[Reviewed], folder: Path, *, preset: str) -> Path:
    """Write the page into ``folder``, which holds each reproduction's own folder, and return its path."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    machine, software = _made_with(reviewed)
    present, absent = _targets(reviewed)
    style = asset("page.css") + asset("reproduction.css")
    html = environment.get_template(NAME).render(
        papers=_papers(reviewed, folder, preset),
        counts=Counter(each.judgement.verdict.value for each in reviewed),
        present=present,
        absent=absent,
        report=report_of(folder),
        style=markup(style),
        policy=policy((), [style], images="'self' data: file:"),
        preset=preset,
        machine=machine,
        software=software,
    )
    write_whole(folder / NAME, html)
    return folder / NAME


def _papers(reviewed: Sequence[Reviewed], folder: Path, preset: str) -> list[tuple[Paper, list[Card]]]:
    """The papers that have claims here, each with its cards."""
    found = []
    for key, paper in PAPERS.items():
        own = [each for each in reviewed if each.item.paper == key]
        cards = [
            card(each, f"{key}-{number}", preset=preset, drawings=_drawings(folder, each.item.target))
            for number, each in enumerate(own, 1)
        ]
        if cards:
            found.append((paper, cards))
    return found


def _targets(reviewed: Sequence[Reviewed]) -> tuple[list[str], list[str]]:
    """The targets of all claims: those with rows, and those without."""
    measured = {each.item.target for each in reviewed if each.rows}
    known = dict.fromkeys([*(item.target for item in ITEMS), *(each.item.target for each in reviewed)])
    return [name for name in known if name in measured], [name for name in known if name not in measured]


def _made_with(reviewed: Sequence[Reviewed]) -> tuple[Mapping[str, object], Mapping[str, str]]:
    """Machine and software of the first row there is."""
    for each in reviewed:
        for row in each.rows:
            return row.machine, row.software
    return {}, {}


def _drawings(folder: Path, target: str) -> list[str]:
    """Paths, relative to the page, of what the reproduction drew; one format of each."""
    found: dict[str, str] = {}
    for path in sorted((folder / target).glob("*")):
        if path.suffix in _DRAWINGS:
            found.setdefault(path.stem, f"{target}/{path.name}")
    return list(found.values())
