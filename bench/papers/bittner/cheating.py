"""A cheater at every message of a query, in every mode of `mpc`: who notices, and who accepts a wrong answer.

Alice and Bob in turn alter each message they send in a session, in every way of :mod:`sotto.mpc.attacks.cheats`, each
time in a fresh session on the latency table's networks with PyTorch's initial weights and a random input: what is
noticed does not depend on values.  Then each starts from something else than was agreed on
(:mod:`sotto.mpc.attacks.meanings`); what is a choice of input counts as ``allowed``.  ``outcomes.csv`` lists every
cheat.  Quick: the kinds that are noticed without waiting, stock CrypTen on ``depinto`` only; full: all kinds, so that
messages which never come are waited for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

import numpy as np

from sotto import mpc
from sotto.bench.experiment import Say
from sotto.bench.papers.bittner.table_networks import TableNetwork
from sotto.bench.request import Request
from sotto.bench.rows.results import write_csv
from sotto.bench.rows.row import Row
from sotto.models.learning.seeding import seeded
from sotto.mpc.attacks import KINDS, Kind, Outcome, Verdict, cheating_parties, every_cheat, every_meaning
from sotto.mpc.experiment import SECURITY

DESCRIPTION = (
    "a cheater at every message of a query: caught, refused, harmless, or a wrong answer accepted, in every mode"
)

_AT_ONCE: tuple[Kind, ...] = ("add", "consistent", "flip", "random", "zero", "long", "repeat", "delay", "reflect")
_TIMEOUT = 2.0
_MESSAGES_AT_MOST = 40  # of one party; only stock CrypTen has more, under two names: every n-th of them
_COLUMNS = ("mode", "network", "cheater", "message", "kind", "altered", "verdict", "honest_party_said", "ms")
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def run(request: Request) -> list[Row]:
    """A row for each mode and network."""
    quick = request.preset == "quick"
    rows, listed = [], []
    for mode in get_args(mpc.Mode):
        for name in ("depinto", "frames"):
            if quick and mode == "crypten" and name == "frames":
                continue
            outcomes = _sweep(mode, TableNetwork(name), _AT_ONCE if quick else KINDS, request.seed, request.say)
            rows.append(_row(mode, name, outcomes, request.seed))
            listed += [(mode, name, outcome) for outcome in outcomes]
            write_csv(request.out / "outcomes.csv", _COLUMNS, _lines(listed))
    return rows


def _sweep(mode: mpc.Mode, network: TableNetwork, kinds: tuple[Kind, ...], seed: int, say: Say) -> list[Outcome]:
    with seeded(seed):
        module = network.build().eval()
    features = np.random.default_rng(seed).normal(size=(1, *network.input_shape)).astype(np.float32)
    outcomes = []
    with cheating_parties(module, network.input_shape, features, mode=mode, timeout=_TIMEOUT) as adversary:
        before = adversary.honest()
        places = {party: own[:: -(-len(own) // _MESSAGES_AT_MOST)] for party, own in before.places.items()}
        cheats = [*every_cheat(places, kinds), *every_meaning()]
        for number, outcome in enumerate(adversary.sweep(cheats, before), 1):
            outcomes.append(outcome)
            if number % 100 == 0 or number == len(cheats):
                counts = Counter(each.verdict for each in outcomes)
                so_far = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS)
                say(f"{mode} {network.name}: {number} of {len(cheats)} cheats: {so_far}")
    return outcomes


def _row(mode: mpc.Mode, name: str, outcomes: list[Outcome], seed: int) -> Row:
    tried = [outcome for outcome in outcomes if outcome.altered is not None]
    metrics = {"cheats_tried": float(len(tried)), **_counted(outcome.verdict for outcome in tried)}
    metrics["messages"] = float(len({(outcome.cheat.party, outcome.cheat.place) for outcome in tried}))
    metrics["attack_wrong_class_accepted"] = metrics["accepted"] / len(tried)
    metrics["slowest_verdict_ms"] = max(outcome.milliseconds for outcome in tried)
    for party in ("alice", "bob"):
        own = _counted(outcome.verdict for outcome in tried if outcome.cheat.party == party)
        metrics |= {f"{party}_{verdict}": count for verdict, count in own.items()}
    return Row(
        paradigm="mpc", mode=mode, model=name, corpus="random", seed=seed, n_queries=len(tried), metrics=metrics,
        security=SECURITY[mode],
    )  # fmt: skip


def _counted(verdicts: Iterable[Verdict]) -> dict[str, float]:
    counts = Counter(verdicts)
    return {verdict: float(counts[verdict]) for verdict in _VERDICTS}


def _lines(listed: list[tuple[mpc.Mode, str, Outcome]]) -> Iterator[list[object]]:
    for mode, name, outcome in listed:
        cheat = outcome.cheat
        yield [mode, name, cheat.party, cheat.place, cheat.kind, outcome.altered, outcome.verdict, outcome.said,
               f"{outcome.milliseconds:.1f}"]  # fmt: skip
