"""A cheater at every message of a query, in every mode of `mpc`: who notices, and who accepts a wrong answer.

Alice and Bob in turn alter each message they send in a session, in every way of :mod:`sotto.mpc.attacks.cheats`, each
time in a fresh session on the latency table's networks with PyTorch's initial weights and a random input: what is
noticed does not depend on values.  Then each starts from something else than was agreed on
(:mod:`sotto.mpc.attacks.meanings`); what is a choice of input counts as ``allowed``.  ``outcomes.csv`` lists every
cheat.  Quick: the kinds that are noticed without waiting, stock CrypTen on ``depinto`` only; full: all kinds, so that
messages which never come are waited for.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import get_args

import msgspec
import numpy as np
import torch

from sotto import mpc
from sotto.bench.experiment import Say
from sotto.bench.plaintext import plaintext_row
from sotto.bench.request import Request
from sotto.bench.results import write_whole
from sotto.bench.row import Row
from sotto.bench.table_networks import TableNetwork
from sotto.mpc.attacks import KINDS, Kind, Outcome, Verdict, cheating_parties, every_cheat, every_meaning
from sotto.mpc.experiment import SECURITY

DESCRIPTION = (
    "a cheater at every message of a query: caught, refused, harmless, or a wrong answer accepted, in every mode"
)

_AT_ONCE: tuple[Kind, ...] = ("add", "consistent", "flip", "random", "zero", "long", "repeat", "delay", "reflect")
_TIMEOUT = 2.0
_MESSAGES_AT_MOST = 40  # of one party; only stock CrypTen has more, under two names: every n-th of them
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
            request.out.mkdir(parents=True, exist_ok=True)
            write_whole(request.out / "outcomes.csv", _table(listed))
    return rows


def _sweep(mode: mpc.Mode, network: TableNetwork, kinds: tuple[Kind, ...], seed: int, say: Say) -> list[Outcome]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
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
    counts = Counter(outcome.verdict for outcome in tried)
    metrics: dict[str, float | None] = {"cheats_tried": float(len(tried))}
    metrics.update((verdict, float(counts[verdict])) for verdict in _VERDICTS)
    metrics["messages"] = float(len({(outcome.cheat.party, outcome.cheat.place) for outcome in tried}))
    metrics["attack_wrong_class_accepted"] = counts["accepted"] / len(tried)
    metrics["slowest_verdict_ms"] = max(outcome.milliseconds for outcome in tried)
    for party in ("alice", "bob"):
        own = Counter(outcome.verdict for outcome in tried if outcome.cheat.party == party)
        metrics.update((f"{party}_{verdict}", float(own[verdict])) for verdict in _VERDICTS)
    row = plaintext_row(
        mode=mode, model=name, corpus="random", split="none", seed=seed, n_queries=len(tried), parameters={},
        accuracy=0.0, metrics=metrics, published={},
    )  # fmt: skip
    return msgspec.structs.replace(row, paradigm="mpc", accuracy_plain=None, security=SECURITY[mode])


def _table(listed: list[tuple[mpc.Mode, str, Outcome]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["mode", "network", "cheater", "message", "kind", "altered", "verdict", "honest_party_said", "ms"])
    for mode, name, outcome in listed:
        cheat = outcome.cheat
        writer.writerow(
            [mode, name, cheat.party, cheat.place, cheat.kind, outcome.altered, outcome.verdict, outcome.said,
             f"{outcome.milliseconds:.1f}"]
        )  # fmt: skip
    return out.getvalue()
