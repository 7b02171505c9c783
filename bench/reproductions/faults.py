"""Faults between real processes: any party killed at a random moment, any link cut, stalled or half-closed.

Services are `sotto bob` and `sotto dealer`, Alice asks in a process of her own.  A trial is one fault in one session;
afterwards everybody has to be gone in time with a clear line, and the next session must give the right answer.  In
`mpc` a ledger over all trials counts what the dealer dealt, digest by digest; in mode ``malicious`` the dealer deals
from a stock on disk, which has to survive his being killed.  ``trials.csv`` grows trial by trial.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec

import mpc
from bench.fault_proxy import Ledger
from bench.fault_trials import Trial, Trials, Victim
from bench.plaintext import plaintext_row
from bench.reproductions.request import Request
from bench.results import write_whole
from bench.row import Row
from bench.service_cells import Cell, Prepared, prepared
from bench.services import Deployment
from models import load
from mpc.messages import Mode, Terms
from serving.folders import model_file

DESCRIPTION = "faults between real processes, 200 and more: who hangs, who says why, what is dealt twice, what is next"

_TRIALS = {"quick": 6, "full": 42}  # in each cell, and one of each that takes a service down
_RARE = ("bob's host", "dealer's host", "dealer's service")
_STOCKED: Mode = "malicious"  # the mode whose dealer deals from a stock on disk
_PATIENCE = 6.0
_DEADLINE = 40.0  # generous to a machine that others use too; what it took is in the rows


def run(request: Request) -> list[Row]:
    """A row for each paradigm, mode and victim."""
    rows: list[Row] = []
    done: list[tuple[Cell, Trial]] = []
    for each in prepared(request):
        ledger = Ledger()
        terms = _dealt_terms(each) if each.cell.mode == _STOCKED else None
        stock = each.bob.parent / "stock" if terms else None
        with Deployment(
            each.cell.paradigm, each.cell.mode, each.bob, each.alice, patience=_PATIENCE, stock=stock, ledger=ledger
        ) as deployment:
            trials = Trials(deployment, each.features, _DEADLINE, request.seed)
            for victim in _planned(trials.victims(), _TRIALS[request.preset]):
                if stock and terms:
                    fill(terms, stock)
                trial = trials.run(victim)
                done.append((each.cell, trial))
                dealt = f"; {ledger.deliveries} dealt so far, {ledger.repeated} twice" if ledger.deliveries else ""
                request.say(f"{each.cell} {victim} {trial.fault}: {verdict(trial)} after {trial.seconds:.1f} s{dealt}")
                request.out.mkdir(parents=True, exist_ok=True)
                write_whole(request.out / "trials.csv", _table(done))
        own = [trial for cell, trial in done if cell == each.cell]
        for name in dict.fromkeys(trial.victim for trial in own):
            rows.append(_row(each.cell, name, [trial for trial in own if trial.victim == name], ledger, request))
    return rows


def fill(terms: Terms, stock: Path) -> None:
    """Put dealings on the dealer's disk, of two queries each, if fewer than two wait there."""
    shelf = mpc.Stock(stock)
    while shelf.ready(terms, _STOCKED) < 2:
        shelf.fill(terms, _STOCKED, count=2)


def _dealt_terms(each: Prepared) -> Terms:
    """What the dealer deals for: public shapes."""
    module, _ = load(model_file(each.bob))
    return mpc.Bob(module, None, input_shape=each.features.shape[1:], mode=_STOCKED).terms("class")


def _planned(victims: Sequence[Victim], count: int) -> list[Victim]:
    """So many, each victim in turn; then once those that take a service down."""
    often = [victim for victim in victims if victim not in _RARE]
    rare = [victim for victim in victims if victim in _RARE]
    return [*itertools.islice(itertools.cycle(often), count), *rare]


def verdict(trial: Trial) -> str:
    """In a few words."""
    if trial.hung:
        return f"{trial.hung} hung"
    if trial.unclear:
        return f"no clear end: {trial.unclear}"
    if not trial.right:
        return "a wrong answer"
    return "all ended" if trial.alice else "all answered"


def _row(cell: Cell, victim: str, trials: Sequence[Trial], ledger: Ledger, request: Request) -> Row:
    met = [trial for trial in trials if trial.alice]
    metrics: dict[str, float | None] = {
        "trials": float(len(trials)),
        "ended_with_error": float(len(met)),
        "ended_well": float(len(trials) - len(met)),
        "hung": float(sum(bool(trial.hung) for trial in trials)),
        "unclear": float(sum(bool(trial.unclear) for trial in trials)),
        "wrong": float(sum(not trial.right for trial in trials)),
        "retries": float(sum(trial.retries for trial in trials)),
        "slowest_end_ms": max(trial.seconds for trial in trials) * 1e3,
        "next_session_ms": sorted(trial.next_seconds for trial in trials)[len(trials) // 2] * 1e3,
    }
    if ledger.deliveries:
        metrics["dealt_in_all_trials"] = float(ledger.deliveries)
        metrics["dealt_twice"] = float(ledger.repeated)
    row = plaintext_row(
        mode=cell.mode, model=victim, corpus="synthetic" if request.data is None else request.corpus, split="none",
        seed=request.seed, n_queries=len(trials), parameters={"victim": victim}, accuracy=None, metrics=metrics,
        published={},
    )  # fmt: skip
    return msgspec.structs.replace(row, paradigm=cell.paradigm)


def _table(done: Sequence[tuple[Cell, Trial]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "paradigm",
            "mode",
            "victim",
            "fault",
            "verdict",
            "alice",
            "said",
            "seconds",
            "next_seconds",
            "retries",
            "right",
            "hung",
        ]
    )
    for cell, trial in done:
        writer.writerow(
            [cell.paradigm, cell.mode, trial.victim, trial.fault, verdict(trial), trial.alice, trial.said,
             f"{trial.seconds:.3f}", f"{trial.next_seconds:.3f}", trial.retries, trial.right, trial.hung]
        )  # fmt: skip
    return out.getvalue()
