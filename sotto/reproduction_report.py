"""The reproduction report: every claim of the papers, ours beside the published figures, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from bench.claims import ITEMS, PAPERS
from bench.claims.review import Reviewed
from bench.results import write_whole
from bench.row import Row
from bench.table import setting
from sotto.report.page import asset, markup, policy
from sotto.report.papers import report_of

NAME = "reproduction.html"
_FIGURES = (".svg", ".png")
_MOST_ROWS = 200  # of one reproduction, shown in the page; all of them are in its results.json


def write(reviewed: Sequence[Reviewed], folder: Path, *, preset: str) -> Path:
    """Write the page into ``folder``, which holds each reproduction's own folder, and return its path."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    machine, software = _made_with(reviewed)
    present, absent = _targets(reviewed)
    style = asset("reproduction.css")
    html = environment.get_template(NAME).render(
        papers=[(paper, [each for each in reviewed if each.item.paper == key]) for key, paper in PAPERS.items()],
        counts=_counts(reviewed),
        present=present,
        absent=absent,
        report=report_of(folder),
        style=markup(style),
        policy=policy((), [style], images="'self' data: file:"),
        lines=_lines,
        pictures=lambda each: _pictures(folder, each),
        command=lambda each: _command(each, preset),
        preset=preset,
        machine=machine,
        software=software,
    )
    write_whole(folder / NAME, html)
    return folder / NAME


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


def _counts(reviewed: Sequence[Reviewed]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in reviewed:
        counts[each.judgement.verdict.value] = counts.get(each.judgement.verdict.value, 0) + 1
    return counts


def _command(each: Reviewed, preset: str) -> str:
    """What measures the item again by itself."""
    corpus = f" --corpus {each.corpus} --data DIR" if each.corpus not in ("none", "synthetic") else ""
    return f"sotto reproduce {each.item.target}{corpus} --preset {preset}"


def _lines(each: Reviewed) -> list[tuple[str, str, str, str]]:
    """Row, figure, ours, published: those with a published value first, at most so many."""
    lines = []
    for row in each.rows:
        figures = _figures(row)
        for name in sorted({*figures, *row.published}, key=lambda name: (name not in row.published, name)):
            if name in row.published:
                lines.append(
                    (f"{row.mode} {setting(row)}", name, _shown(figures.get(name)), _shown(row.published[name]))
                )
    if not lines:
        lines = [
            (f"{row.mode} {setting(row)}", name, _shown(value), "–")
            for row in each.rows
            for name, value in _figures(row).items()
        ]
    return lines[:_MOST_ROWS]


def _figures(row: Row) -> dict[str, float | None]:
    times = {"online_ms": row.online_ms.median if row.online_ms else None}
    answers = {
        "accuracy_plain": row.accuracy_plain,
        "accuracy_private": row.accuracy_private,
        "agreement": row.agreement,
    }
    found = {**answers, **times, **row.metrics}
    return {name: value for name, value in found.items() if value is not None}


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _pictures(folder: Path, each: Reviewed) -> list[str]:
    """Paths, relative to the page, of what the reproduction drew; one format of each."""
    found: dict[str, str] = {}
    for path in sorted((folder / each.item.target).glob("*")):
        if path.suffix in _FIGURES:
            found.setdefault(path.stem, f"{each.item.target}/{path.name}")
    return list(found.values())
