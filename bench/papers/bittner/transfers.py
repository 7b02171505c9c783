"""What oblivious transfers cost a stock of queries: by SoftSpoken alone, by Ferret from the start, and as a session
chooses.

Two processes, one thread each, make the transfers of as many queries of one example as a stock has, in both directions
and nothing else; the amounts are those of the latency table's networks in mode ``two-party``.  What is counted is the
whole stock, its base transfers and the rounds that it begins and does not use up included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.bench.papers.bittner.table_networks import TableNetwork
from sotto.bench.parties.parties import Parties, Phase
from sotto.bench.parties.party import PartySpec
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.link import SHAPES, Answer, Link, LinkClosed
from sotto.mpc.experiment import SECURITY
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.ot import establish, warm_up
from sotto.mpc.ot.transfers import SILENT_FROM
from sotto.mpc.two_party.preprocessing import Query
from sotto.mpc.two_party.ring_sizes import two_party_program

DESCRIPTION = "oblivious transfers for stocks of queries without a dealer: SoftSpoken, Ferret, and what a session takes"

_STOCKS = (1, 10)
_NETS = {"quick": ("loopback",), "full": ("loopback", "lan", "wan")}
_REPEATS = 3
_NETWORKS = ("depinto", "frames")
_EXTENSIONS = {"SoftSpoken": 1 << 40, "Ferret": 0, "chosen": SILENT_FROM}


def run(request: Request) -> Iterator[Row]:
    """One row for each link, network, stock and extension."""
    amounts = {name: _amounts(TableNetwork(name)) for name in _NETWORKS}
    for net in _NETS[request.preset]:
        yield from _measured(net, amounts)
        request.say(f"{net} done")


def _amounts(network: TableNetwork) -> tuple[int, int]:
    """Transfers of one query in which Alice chooses, and in which Bob does."""
    plan, weights = trace(network.build().eval(), network.input_shape, input_limit=DEFAULT_INPUT_LIMIT)
    return Query(*two_party_program(plan, value_ranges(plan, weights), "class"), 1).transfers()


def _measured(net: str, amounts: Mapping[str, tuple[int, int]]) -> Iterator[Row]:
    """The extensions take turns, so that whatever else the machine does slows all of them alike."""
    parts = {"alice": PartySpec(_Alice, {}), "bob": PartySpec(_Bob, {})}
    with Parties([parts], shape=SHAPES[net], timeout=120.0) as parties:
        parties.prepare()
        for name, amount in amounts.items():
            for stock in _STOCKS:
                found: dict[str, list[Phase]] = {extension: [] for extension in _EXTENSIONS}
                for _ in range(_REPEATS):
                    for extension, silent_from in _EXTENSIONS.items():
                        order = np.array([[silent_from, stock, *amount]], np.float32)
                        found[extension].append(parties.ask(order).online)
                for extension, phases in found.items():
                    yield _row({"net": net, "stock": stock, "extension": extension}, name, stock, phases)
        parties.end_session()
        parties.finish()


def _row(parameters: dict[str, Any], name: str, stock: int, phases: list[Phase]) -> Row:
    milliseconds = float(np.median([phase.milliseconds for phase in phases]))
    sent = float(phases[0].bytes)
    busy = float(np.median([sum(count.busy_ms for count in phase.counts.values()) for phase in phases]))
    return Row(
        paradigm="mpc",
        mode="two-party",
        model=name,
        seed=0,
        n_queries=stock,
        parameters=parameters,
        metrics={
            "ms_per_query": milliseconds / stock,
            "busy_ms_per_query": busy / stock,
            "bytes_per_query": sent / stock,
            "repeats": float(len(phases)),
        },
        security=SECURITY["two-party"],
    )


def _supply(link: Link, rank: int, order: npt.NDArray[np.int64]) -> None:
    silent_from, stock, alice, bob = (int(number) for number in order)
    transfers = establish(link, rank, silent_from=silent_from)
    for _ in range(stock):
        transfers.supply(*((bob, alice) if rank else (alice, bob)))


class _Alice:
    def __init__(self, _job: Mapping[str, Any], _links: Mapping[str, Link]) -> None:
        warm_up()

    def prepare(self, link: Link) -> None:
        pass

    def ask(self, features: npt.NDArray[np.float32], link: Link) -> Answer:
        order = features[0].astype(np.int64)  # whole numbers below 2^24, or powers of two
        link.send("order", order.tobytes())
        _supply(link, 0, order)
        return Answer(np.zeros(len(features), np.int64))


class _Bob:
    def __init__(self, _job: Mapping[str, Any], _links: Mapping[str, Link]) -> None:
        warm_up()

    def answer(self, link: Link) -> bool:
        """One stock; False when Alice has closed."""
        try:
            order = link.receive("order", limit=32)
        except LinkClosed:
            return False
        _supply(link, 1, np.frombuffer(order, np.int64))
        return True
