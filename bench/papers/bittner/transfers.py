"""What oblivious transfers cost a stock of queries: by SoftSpoken alone, by Ferret from the start, and as a session
chooses.

Two processes, one thread each, make the transfers of as many queries of one example as a stock has, in both directions
and nothing else; the amounts are those of the latency table's networks in mode ``two-party``.  What is counted is the
whole stock, the rounds that it begins and does not use up included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sotto.bench.parties.parties import Asked, Parties
from sotto.bench.parties.party import PartySpec
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.table_networks import TableNetwork
from sotto.link import SHAPES, Answer, Link, LinkClosed
from sotto.mpc.experiment import SECURITY
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.ot import Transfers, establish, warm_up
from sotto.mpc.ot.transfers import SILENT_FROM
from sotto.mpc.two_party.preprocessing import Query
from sotto.mpc.two_party.ring_sizes import two_party_program

DESCRIPTION = "oblivious transfers for stocks of queries without a dealer: SoftSpoken, Ferret, and what a session takes"

_STOCKS = {"quick": (1, 10), "full": (1, 3, 10, 30)}
_NETS = {"quick": ("loopback",), "full": ("loopback", "lan", "wan")}
_EXTENSIONS = {"SoftSpoken": 1 << 62, "Ferret": 0, "chosen": SILENT_FROM}


def run(request: Request) -> list[Row]:
    """One row for each link, network, stock and extension; the extensions take turns."""
    rows = []
    for net in _NETS[request.preset]:
        for name in ("depinto", "frames"):
            amounts = _amounts(TableNetwork(name))
            for stock in _STOCKS[request.preset]:
                for extension, silent_from in _EXTENSIONS.items():
                    rows.append(_row(net, name, stock, extension, _measured(net, stock, silent_from, amounts)))
            request.say(f"{net}: {name} done")
    return rows


def _amounts(network: TableNetwork) -> tuple[int, int]:
    """Transfers of one query in which Alice chooses, and in which Bob does."""
    plan, weights = trace(network.build().eval(), network.input_shape, input_limit=DEFAULT_INPUT_LIMIT)
    return Query(*two_party_program(plan, value_ranges(plan, weights), "class"), 1).transfers()


def _measured(net: str, stock: int, silent_from: int, amounts: tuple[int, int]) -> list[Asked]:
    job = {"silent_from": silent_from, "amounts": amounts}
    parts = {"alice": PartySpec(_Alice, job), "bob": PartySpec(_Bob, job)}
    with Parties([parts], shape=SHAPES[net], timeout=120.0) as parties:
        parties.prepare()
        asked = [parties.ask(np.zeros((1, 1), np.float32)) for _ in range(stock)]
        parties.end_session()
        parties.finish()
    return asked


def _row(net: str, name: str, stock: int, extension: str, asked: list[Asked]) -> Row:
    phases = [each.online for each in asked]
    metrics: dict[str, float | None] = {
        "total_ms": sum(phase.milliseconds for phase in phases),
        "slowest_ms": max(phase.milliseconds for phase in phases),
        "total_bytes": float(sum(phase.bytes for phase in phases)),
        "busy_ms": sum(count.busy_ms for phase in phases for count in phase.counts.values()),
    }
    metrics["ms_per_query"], metrics["bytes_per_query"] = (
        float(metrics[each] or 0) / stock for each in ("total_ms", "total_bytes")
    )
    return Row(
        paradigm="mpc",
        mode="two-party",
        model=name,
        seed=0,
        n_queries=stock,
        parameters={"net": net, "stock": stock, "extension": extension},
        metrics=metrics,
        security=SECURITY["two-party"],
    )


class _Party:
    def __init__(self, job: Mapping[str, Any], _links: Mapping[str, Link]) -> None:
        self._silent_from, self._amounts = job["silent_from"], job["amounts"]
        warm_up()

    def _established(self, link: Link, rank: int) -> Transfers:
        return establish(link, rank, silent_from=self._silent_from)


class _Alice(_Party):
    def prepare(self, link: Link) -> None:
        self._transfers = self._established(link, 0)

    def ask(self, features: np.ndarray, link: Link) -> Answer:
        link.send("more", b"")
        self._transfers.supply(*self._amounts)
        return Answer(np.zeros(len(features), np.int64))


class _Bob(_Party):
    def serve(self, link: Link) -> None:
        transfers = self._established(link, 1)
        while True:
            try:
                link.receive("more", limit=0)
            except LinkClosed:
                return
            transfers.supply(*self._amounts[::-1])
