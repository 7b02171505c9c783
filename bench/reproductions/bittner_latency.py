"""Latency of private emotion recognition: every mode of `mpc` in one run, beside the paper and competing systems.

Source: Bittner, De Cock, Dowsley, "Private speech classification with secure multiparty computation", whose network is
not stated; so two are measured, and `frames` also with the pooled head of our recipe.  The modes' queries take turns:
whatever else the machine does meanwhile slows all of them alike, and it is their ratios that carry over to another
machine.  The processes of all modes stand during the run, one query runs at a time, one thread a party.

The figures of MP-SPDZ and SPU were taken once by their own command lines on two cores of a machine of the kind that this
project is tested on, all parties on loopback, everything in the time; they are constants here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

import mpc
from bench.experiment import Experiment, run_side_by_side
from bench.reproductions.request import Request
from bench.row import Row
from bench.suite import open_workbench, require
from bench.workbench import Workbench
from models.training import Schedule

DESCRIPTION = "latency of all mpc modes in one run, beside the paper and competing systems (full: lan and wan too)"

_REFERENCE: mpc.Mode = "crypten"
_SECONDS = {"loopback": 60.0, "lan": 120.0, "wan": 300.0}
_SCHEDULE = Schedule(epochs=25, batch=32, rate=1e-3, weight_decay=1e-2, average=0.98, patience=None)

_PAPER: Mapping[str, float] = {"semi-honest": 300.0, "malicious": 1600.0}
#: Milliseconds by mode and network.  Three or four parties with an honest majority have an easier task than two.
_PEERS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "semi-honest": {
        "mp_spdz_replicated_ring_3_parties_ms": {"depinto": 3.7, "frames": 26.0},
        "mp_spdz_dealer_ring_ms": {"depinto": 9.0, "frames": 36.0},
        "spu_semi2k_ms": {"depinto": 20.0, "frames": 190.0},
    },
    "malicious": {
        "mp_spdz_rep4_ring_4_parties_ms": {"depinto": 15.0, "frames": 114.0},
        "mp_spdz_sy_rep_ring_3_parties_ms": {"depinto": 77.0, "frames": 370.0},
        "mp_spdz_spdz2k_online_ms": {"depinto": 48.0, "frames": 209.0},
    },
}


@dataclass(frozen=True, eq=False)
class _Network:
    """A network to measure: its experiments by mode, how many ReLU it has, whether competitors' figures are its."""

    experiments: Mapping[mpc.Mode, Experiment]
    relus: int
    compared: bool


def run(request: Request) -> list[Row]:
    """One row for each network, link and mode."""
    require(["mpc"])
    bench = open_workbench(
        request.corpus,
        request.data,
        preset=request.preset,
        seed=request.seed,
        say=request.say,
        skip_broken=request.skip_broken,
    )
    rows: list[Row] = []
    networks = (_depinto(bench), _frames(bench), _pooled(bench))
    for net in ("loopback",) if bench.quick else ("loopback", "lan", "wan"):
        for network in networks:
            rows += _rows(network, bench, net)
            bench.say(" · ".join(_summary(row) for row in rows[-len(network.experiments) :]))
    return rows


def _summary(row: Row) -> str:
    timing = row.online_ms
    return f"{row.mode} {timing.median:.2f} ms" if timing else row.mode


def _rows(network: _Network, bench: Workbench, net: str) -> list[Row]:
    plan = _plan(bench, net)
    measured = run_side_by_side(
        [msgspec.structs.replace(each, plan=plan) for each in network.experiments.values()]
        if False
        else [_with_plan(each, plan) for each in network.experiments.values()],
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        net=net,
        say=bench.say,
    )
    return [_compared(row, measured, network) for row in measured]
