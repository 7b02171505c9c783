"""Faults between real processes: any party killed at a random moment, any link cut, stalled or half-closed.

Services are `sotto bob` and `sotto dealer`, Alice asks in a process of her own.  A trial is one fault in one session;
afterwards everybody has to be gone in time with a clear line, and the next session must give the right answer.  In
`mpc` a ledger over all trials counts what the dealer dealt, secrets of sessions and bundles one by one; in mode
``malicious`` the dealer deals from a stock on disk, which has to survive his being killed.  ``trials.csv`` grows trial
by trial, over runs too.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from sotto import mpc
from sotto.bench.operations.fault_trials import Trial, Trials, Victim, victims_of
from sotto.bench.operations.parties.configurations import Prepared, ServedConfiguration, prepared
from sotto.bench.operations.parties.fault_proxy import Ledger
from sotto.bench.operations.parties.services import ServiceError
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.models import load
from sotto.mpc.messages import Mode, Terms
from sotto.serving import registry
from sotto.serving.folders import model_file

DESCRIPTION = "faults between real processes, 200 and more: who hangs, who says why, what is dealt twice, what is next"

_TRIALS = {"quick": 6, "full": 42}  # in each configuration, and one of each that takes a service down
_TRIALS_SLOW = {"quick": 4, "full": 8}
_RARE = ("bob's host", "dealer's host", "dealer's service")
_STOCKED: Mode = "malicious"  # the mode whose dealer deals from a stock on disk
_PATIENCE = 12.0
_DEADLINE = 120.0  # generous to a machine that others use too; what it took is in the rows


def run(request: Request) -> Iterator[Row]:
    """A row for each paradigm, mode and victim."""
    request.out.mkdir(parents=True, exist_ok=True)
    for each in prepared(request):
        ledger, done = Ledger(), list[Trial]()
        for trial in _trials(each, ledger, request):
            done.append(trial)
            dealt = f"; {ledger.deliveries} dealt so far, {ledger.repeated} twice" if ledger.deliveries else ""
            request.say(
                f"{each.config} {trial.victim} {trial.fault}: {verdict(trial)} after {trial.seconds:.1f} s{dealt}"
            )
            _keep(request.out / "trials.csv", each.config, trial, ledger)
        if registry.paradigm(each.config.paradigm).needs_dealer(each.config.mode) and not ledger.deliveries:
            raise ServiceError(
                "nothing-dealt", f"{each.config}: the ledger saw nothing dealt, so it cannot say what was dealt twice"
            )
        for name in dict.fromkeys(trial.victim for trial in done):
            yield _row(each.config, name, [trial for trial in done if trial.victim == name], ledger, request)


def _trials(each: Prepared, ledger: Ledger, request: Request) -> Iterator[Trial]:
    """All trials of a configuration.  A service that does not come back is a trial that hung; the rest get new ones."""
    terms = _dealt_terms(each) if each.config.mode == _STOCKED else None
    stock = each.bob.parent / "stock" if terms else None
    left, seed = _planned(each, (_TRIALS_SLOW if each.config.slow else _TRIALS)[request.preset]), request.seed
    while left:
        with each.deployed(patience=_PATIENCE, stock=stock, ledger=ledger) as deployment:
            trials = Trials(deployment, each.features, _DEADLINE, seed)
            while left:
                victim = left.pop(0)
                if stock and terms:
                    fill(terms, stock)
                try:
                    yield trials.run(victim)
                except ServiceError as error:
                    seed += 1
                    yield Trial(victim, "no recovery", "", str(error), _DEADLINE, "a service", "", True, 0.0, 0)
                    break


def fill(terms: Terms, stock: Path) -> None:
    """Put dealings on the dealer's disk, of two queries each, if fewer than two wait there."""
    shelf = mpc.Stock(stock)
    while shelf.ready(terms, _STOCKED) < 2:
        shelf.fill(terms, _STOCKED, count=2)


def _dealt_terms(each: Prepared) -> Terms:
    """What the dealer deals for: public shapes."""
    module, _ = load(model_file(each.bob))
    return mpc.Bob(module, None, input_shape=each.features.shape[1:], mode=_STOCKED).terms("class")


def _planned(each: Prepared, count: int) -> list[Victim]:
    """So many, each victim in turn; then once those that take a service down."""
    victims = victims_of(registry.paradigm(each.config.paradigm).needs_dealer(each.config.mode))
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


def _row(config: ServedConfiguration, victim: str, trials: Sequence[Trial], ledger: Ledger, request: Request) -> Row:
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
    return config.row(request, victim, len(trials), {"victim": victim}, metrics)


_COLUMNS = (
    "paradigm", "mode", "victim", "fault", "verdict", "alice", "said", "seconds", "next_seconds", "retries", "right",
    "hung", "unclear", "dealt_so_far", "dealt_twice",
)  # fmt: skip


def _keep(path: Path, config: ServedConfiguration, trial: Trial, ledger: Ledger) -> None:
    """Add a line; what earlier runs found stays."""
    begun = path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not begun:
            writer.writerow(_COLUMNS)
        writer.writerow(
            [config.paradigm, config.mode, trial.victim, trial.fault, verdict(trial), trial.alice, trial.said,
             f"{trial.seconds:.3f}", f"{trial.next_seconds:.3f}", trial.retries, trial.right, trial.hung,
             trial.unclear, ledger.deliveries, ledger.repeated]
        )  # fmt: skip
