"""What a million queries cost: processor time and traffic of all parties, at the prices of a file.

A query costs what it takes offline and online, and its share of the session's set-up.  Memory, storage, idle machines
and people are not in it.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from sotto.bench.rows.row import Cost, Row, Spent
from sotto.link import Coded

_QUERIES = 1e6
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class PricesError(Coded, ValueError):
    """A file that holds no prices; the message is one line."""


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a price file, as ``prices.toml`` beside this module explains them."""

    name: str
    date: str
    usd_per_core_hour: _NotNegative
    usd_per_gb: _NotNegative
    queries_per_session: Annotated[float, msgspec.Meta(ge=1)]

    def __str__(self) -> str:
        return f"{self.name}, {self.date}, {self.queries_per_session:g} queries a session"

    def cost(self, row: Row) -> Cost | None:
        """Of a million queries of ``row``; None where processor time or bytes are not known."""
        if row.total is None or not row.total.cpu_seconds:
            return None
        shares = [(row.total, 1.0), (row.session or Spent(0.0, 0), 1 / self.queries_per_session)]
        seconds = sum(share * sum(phase.cpu_seconds.values()) for phase, share in shares)
        sent = sum(share * phase.bytes for phase, share in shares)
        return Cost(
            _QUERIES * seconds / 3600 * self.usd_per_core_hour, _QUERIES * sent / 1e9 * self.usd_per_gb, str(self)
        )

    def applied(self, row: Row) -> Row:
        """The row with its cost."""
        return msgspec.structs.replace(row, cost=self.cost(row))


def read(path: Path | None) -> Prices:
    """The prices in a TOML file, by default those that ship with the package.  Raises :class:`PricesError`."""
    try:
        text = (path or resources.files("sotto.bench.rows") / "prices.toml").read_text(encoding="utf-8")
        return msgspec.convert(tomllib.loads(text), Prices)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PricesError(
            "bad-prices", f"{path}: holds no prices ({error}): copy the fields of bench/rows/prices.toml"
        ) from None
