"""The rows of a comparison by model: what each paradigm costs on it beside the plaintext, and why a cell is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sotto.bench.rows.row import Row
from sotto.serving import registry

PLAINTEXT = "plaintext"


@dataclass(frozen=True)
class Price:
    """A row beside the plaintext one: how many times slower one query is, and how many times more it sends.

    None where one of the two is not known.
    """

    row: Row
    slower: float | None
    more_bytes: float | None


@dataclass(frozen=True)
class Group:
    """One model, on one corpus and network: the row without privacy (None where there is none), and the others.

    ``empty``: for each paradigm without a row, why it has none; of a user's own model the notice says that.
    """

    model: str
    corpus: str
    net: str
    plain: Row | None
    prices: tuple[Price, ...]
    empty: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All of its rows, the one without privacy first."""
        return (*((self.plain,) if self.plain else ()), *(price.row for price in self.prices))


def grouped(rows: Sequence[Row]) -> list[Group]:
    """Every model of ``rows``: those that most paradigms run first, then in the order of the paradigms."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.corpus, str(row.parameters.get("net", "loopback"))), []).append(row)
    groups = [_group(*key, own) for key, own in found.items()]
    return sorted(groups, key=lambda group: (-len({price.row.paradigm for price in group.prices}), _first(group)))


def _group(model: str, corpus: str, net: str, rows: Sequence[Row]) -> Group:
    plain = next((row for row in rows if row.paradigm == PLAINTEXT), None)
    private = sorted((row for row in rows if row is not plain), key=lambda row: _place(row.paradigm))
    there = {row.paradigm for row in private}
    known = any(model in registry.paradigm(name).networks for name in registry.names())  # not a user's own
    empty = [(name, _why(name, model)) for name in registry.names() if known and name not in there]
    return Group(model, corpus, net, plain, tuple(_price(row, plain) for row in private), tuple(empty))


def _first(group: Group) -> int:
    return _place(group.prices[0].row.paradigm) if group.prices else 0


def _place(paradigm: str) -> int:
    """In the order of the registry; others come last."""
    names = registry.names()
    return names.index(paradigm) if paradigm in names else len(names)


def _price(row: Row, plain: Row | None) -> Price:
    if plain is None or plain.total is None or row.total is None:
        return Price(row, None, None)
    return Price(row, row.total.ms / plain.total.ms, row.total.bytes / plain.total.bytes)


def _why(paradigm: str, model: str) -> str:
    declared = registry.paradigm(paradigm)
    return "not in this run" if model in declared.networks else declared.no_others
