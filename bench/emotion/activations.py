"""One architecture, every activation: the perceptron and both convolutional networks with ReLU and with polynomials of
degree 2, 4 and 6, in every mode of `mpc` and `he` that runs them.

What a row costs is measured as ``sotto bench`` does, without attackers; ``table.md`` beside the rows is what the
documentation shows.  ``SOTTO_CELLS=mlp-poly6,frames-poly4`` measures these models alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sotto.bench.baseline import baseline
from sotto.bench.experiment import Configuration
from sotto.bench.operations.parties.configurations import confined
from sotto.bench.own_model import NotRunnable
from sotto.bench.request import Request
from sotto.bench.rows.matrix import Price, grouped
from sotto.bench.rows.row import Row
from sotto.bench.rows.table import NONE, interval, megabytes, milliseconds, percent, times
from sotto.bench.suite import Failure, build, measure
from sotto.bench.workbench import Workbench
from sotto.link.storage import write_whole
from sotto.models.networks.polynomial import DEGREES
from sotto.serving import registry

DESCRIPTION = "MLP and CNNs with ReLU and polynomials of degree 2, 4, 6 under mpc and he, beside the plaintext"

MODELS = tuple(
    name for base in ("mlp", "depinto", "frames") for name in (base, *(f"{base}-poly{degree}" for degree in DEGREES))
)
MODES = (("mpc", "malicious"), ("mpc", "semi-honest"), ("mpc", "two-party"), ("he", "packed"))


def run(request: Request) -> Iterator[Row]:
    """The rows of each model, the one without privacy first; raises what a party failed with."""
    bench = request.open_workbench()
    request.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for model in confined(MODELS):
        own = list(_rows(model, bench))
        rows += own
        write_whole(request.out / "table.md", markdown(rows))  # model by model: it takes a while
        yield from own


def _rows(model: str, bench: Workbench) -> Iterator[Row]:
    first = True
    for paradigm, mode in MODES:
        if model not in registry.paradigm(paradigm).networks:
            continue
        cell = Configuration(paradigm, mode, model, {})
        try:
            experiment = replace(build(cell, bench), attacks={})
        except NotRunnable as error:
            bench.say(f"{cell} is left out: {error}")
            continue
        for each in [baseline(experiment), experiment] if first else [experiment]:
            for row in measure(each, bench, ["loopback"]):
                if isinstance(row, Failure):
                    raise row.error
                yield row
        first = False


def markdown(rows: Sequence[Row]) -> str:
    """A table of all rows, by model."""
    headings = ("model", "where", "accuracy (95 %)", "agree", "clips", "offline ms", "online ms", "total ms",
                "MB in all", "rounds", "times slower")  # fmt: skip
    lines = ["| " + " | ".join(headings) + " |", "| --- " * len(headings) + "|"]
    prices = [(price.row, price) for group in grouped(rows) for price in group.prices]
    for row in rows:
        price = next((price for other, price in prices if other is row), None)
        lines.append("| " + " | ".join(_cells(row, price)) + " |")
    return "\n".join(lines) + "\n"


def _cells(row: Row, price: Price | None) -> tuple[str, ...]:
    offline = None if row.offline_ms is None else row.offline_ms.median
    online = None if row.online_ms is None else row.online_ms.median
    sure = f" ({interval(row.accuracy_interval)})" if row.accuracy_interval else ""
    return (
        f"`{row.model}`" if price is None else "",
        "in the clear" if price is None else f"`{row.paradigm}` {row.mode}",
        f"{percent(row.accuracy_private)}{sure}",
        percent(row.agreement),
        str(row.n_queries),
        milliseconds(offline),
        milliseconds(online),
        milliseconds(row.total.ms if row.total else None),
        megabytes(row.total.bytes if row.total else None),
        NONE if row.rounds is None else str(row.rounds),
        times(price.slower) if price else NONE,
    )
