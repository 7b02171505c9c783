"""A claim as the reproduction page shows it: its verdict, and its rows told apart by what varies among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sotto.bench.claims.claim import Item
from sotto.bench.reproduction.review import Reviewed
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.rows.table import NONE

_MOST_FIGURES = 200  # of one card; all of them are in the reproduction's results.json

_BY_THEMSELVES = ("mode", "model", "corpus")  # told by their value alone


@dataclass(frozen=True)
class Line:
    """A figure, ours beside the published one."""

    name: str
    ours: str
    published: str


@dataclass(frozen=True)
class Group:
    """The figures of one row, under what distinguishes it from the card's others."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Card:
    """``id`` is the anchor in the page; ``left_out`` counts the rows that are not shown; ``drawings`` are paths."""

    id: str
    item: Item
    verdict: str
    because: str
    corpus: str
    command: str
    groups: Sequence[Group]
    left_out: int
    drawings: Sequence[str]


def card(each: Reviewed, anchor: str, *, preset: str, drawings: Sequence[str]) -> Card:
    """The card of a judged claim."""
    every = _groups(each.item.own(each.rows))
    shown: list[Group] = []
    for group in every:
        if sum(len(known.lines) for known in shown) + len(group.lines) > _MOST_FIGURES:
            break
        shown.append(group)
    return Card(
        id=anchor,
        item=each.item,
        verdict=each.judgement.verdict.value,
        because=each.judgement.because,
        corpus=each.corpus,
        command=_command(each, preset),
        groups=shown,
        left_out=len(every) - len(shown),
        drawings=drawings,
    )


def _command(each: Reviewed, preset: str) -> str:
    """What measures the item again by itself."""
    corpus = f" --corpus {each.corpus} --data DIR" if each.corpus not in ("none", "synthetic") else ""
    return f"sotto reproduce {each.item.target}{corpus} --preset {preset}"


def _groups(rows: Sequence[Row]) -> list[Group]:
    """The published figures beside ours; where nothing was published, all of ours."""
    compared = [row for row in rows if row.published]
    names = _names(compared or rows)
    groups = [
        Group(name, _lines(row, sorted(row.published) if compared else list(_figures(row))))
        for name, row in zip(names, compared or rows, strict=True)
    ]
    return [group for group in groups if group.lines]


def _lines(row: Row, names: Sequence[str]) -> list[Line]:
    ours = _figures(row)
    return [Line(name, _shown(ours.get(name)), _shown(row.published.get(name))) for name in names]


def _figures(row: Row) -> dict[str, float | None]:
    figures = {
        "accuracy_plain": row.accuracy_plain,
        "accuracy_private": row.accuracy_private,
        "agreement": row.agreement,
        "offline_ms": row.offline_ms.median if row.offline_ms else None,
        "online_ms": row.online_ms.median if row.online_ms else None,
        **row.metrics,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _names(rows: Sequence[Row]) -> list[str]:
    """What distinguishes each row from the others: mode, model, corpus or parameters that are not all the same."""
    settings = [_setting(row) for row in rows]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    varying = [key for key in keys if len({json.dumps(setting.get(key)) for setting in settings}) > 1]
    return [
        ", ".join(_told(key, setting[key]) for key in varying if setting.get(key) is not None) or row.mode
        for row, setting in zip(rows, settings, strict=True)
    ]


def _setting(row: Row) -> Mapping[str, JSONValue]:
    return {"mode": row.mode, "model": row.model, "corpus": row.corpus, **row.parameters}


def _told(key: str, value: JSONValue) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    elif isinstance(value, list):
        value = " ".join(map(str, value))
    return str(value) if key in _BY_THEMSELVES else f"{key.replace('_', ' ')} = {value}"


def _shown(value: float | None) -> str:
    return NONE if value is None else f"{value:.4g}"
