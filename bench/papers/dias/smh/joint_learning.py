"""Dias, Abad, Trancoso, §4.2.3: secure joint learning. Parties who do not trust one another hash with one key, and a
server trains on the union; the paper proposes it and measures nothing.

The training speakers are dealt to parties. The scale of features, class directions
(:mod:`sotto.hashing.classification.discriminant`) and Δ come from the first party's clips and are known to all, as they
would have to be. Three things are measured: what pooling brings, against what a party reaches alone and against pooling
in the clear; what happens when the parties use keys of their own; and what two adversaries reach. A party who gets hold
of another's hashes has the key: every party can do what only the server was to be kept from. A server to whom one party
shows its features has known pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sotto import hashing
from sotto.bench.papers.dias.smh.study import (
    MPC,
    Floats,
    Labels,
    Scaling,
    Task,
    hash_row,
    known_key_metrics,
    known_pairs_metrics,
    leaking,
    open_study,
    some,
    split_name,
)
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.models.svm.svm import train_svm

DESCRIPTION = "secure joint learning: parties' pooled hashes against each party alone, and what a key holder does"

_PARTIES = 4
_SHARE = 0.28  # of the first party's pairs that leak
_SETTINGS: tuple[tuple[Scaling, int], ...] = (
    ("standard", 3),
    ("standard", 5),
    ("discriminant", 3),
    ("discriminant", 5),
)
_FOLDS = 2  # of the search for C and γ: a party has few speakers


@dataclass(frozen=True, eq=False)
class _Party:
    """Features (n, L) scaled as all parties agreed, labels and speakers (n,)."""

    features: Floats
    labels: Labels
    speakers: list[str]

    def hashed(self, key: hashing.HashKey, classes: tuple[str, ...]) -> hashing.HashSet:
        """What it gives to the server."""
        return hashing.training_hashes(key, self.features, self.labels, classes=classes, speakers=self.speakers)

    def answers(self, asked: Floats) -> Labels:
        """Of the plaintext machine trained on this party's clips."""
        svm, _ = train_svm(self.features, self.labels, self.speakers, folds=_FOLDS)
        return svm.predict(asked)


def run(request: Request) -> Iterator[Row]:
    """A row for each task and k."""
    bench, tasks = open_study(request)
    for task in tasks:
        for scaling, k in _SETTINGS[1::2] if bench.quick else _SETTINGS:
            row = _row(task, scaling, k, bench)
            m = row.metrics
            bench.say(
                f"{task.name}, {scaling} features, k = {k}: alone {m['accuracy_alone']:.3f}, "
                f"hashes pooled {m['accuracy_union']:.3f}, in the clear {m['accuracy_union_plain']:.3f}"
            )
            yield row


def _row(task: Task, scaling: Scaling, k: int, bench: Workbench) -> Row:
    folds = [_one_fold(task, scaling, number, k) for number in range(len(task.folds))]
    means = {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
    spread = float(np.std([fold["accuracy_union"] - fold["accuracy_alone"] for fold in folds], ddof=1))
    parties, _ = _parties(task, scaling, 0)
    key = _key(parties[0], k, seed=0)
    pairs = some(parties[0].features, 300)
    victims = some(parties[1].features, 12 if bench.quick else 32)
    metrics: dict[str, float | None] = {
        **means,
        "gain_over_alone_sd_over_folds": spread,
        **known_key_metrics(victims, key, parties[0].features),
        **known_pairs_metrics(victims, key, pairs),
    }
    return hash_row(
        mode="joint-learning",
        bench=bench,
        split=split_name(task),
        clips=len(task.labels),
        parameters={
            "task": task.name,
            "features": scaling,
            "parties": len(parties),
            "k": k,
            "mpc": MPC,
            "leakage_target": _SHARE,
        },
        plain=means["accuracy_union_plain"],
        hashed=means["accuracy_union"],
        metrics=metrics,
    )


def _one_fold(task: Task, scaling: Scaling, number: int, k: int) -> dict[str, float]:
    parties, asked = _parties(task, scaling, number)
    truth = task.labels[task.folds[number][1]]
    union = _Party(
        np.concatenate([party.features for party in parties]),
        np.concatenate([party.labels for party in parties]),
        [speaker for party in parties for speaker in party.speakers],
    )
    key = _key(parties[0], k, seed=number)
    alone = [np.mean(party.answers(asked) == truth) for party in parties]
    hashed_alone = [_served([party], [key], asked, truth, task.classes) for party in parties]
    own = [_key(parties[0], k, seed=f"{number} {place}") for place in range(len(parties))]
    return {
        "accuracy_alone": float(np.mean(alone)),
        "accuracy_alone_best_party": float(np.max(alone)),
        "accuracy_alone_hashed": float(np.mean(hashed_alone)),
        "accuracy_union": _served(parties, [key] * len(parties), asked, truth, task.classes),
        "accuracy_union_plain": float(np.mean(union.answers(asked) == truth)),
        "accuracy_union_own_keys": _served(parties, own, asked, truth, task.classes),
        "leakage": hashing.leakage(hashing.pack(hashing.modular_hash(union.features, key), k)),
    }


def _served(
    parties: list[_Party], keys: list[hashing.HashKey], asked: Floats, truth: Labels, classes: tuple[str, ...]
) -> float:
    """Accuracy of the server that pooled the parties' hashes, asked under the first party's key.

    Hashes under different keys are pooled as if they were under one, which :func:`sotto.hashing.join` refuses to do.
    """
    sets = [party.hashed(key, classes) for party, key in zip(parties, keys, strict=True)]
    under_one_name = [
        hashing.HashSet(one.hashes, one.labels, one.classes, one.speakers, sets[0].fingerprint) for one in sets
    ]
    server, _ = hashing.train_hamming_svc(hashing.join(under_one_name), folds=_FOLDS)
    questions = hashing.pack(hashing.modular_hash(asked, keys[0]), keys[0].parameters.k)
    return float(np.mean(server.predict(questions) == truth))


def _parties(task: Task, scaling: Scaling, number: int) -> tuple[list[_Party], Floats]:
    """The training speakers of a fold dealt to parties, and the test features; all mapped as the first party says."""
    train, test = task.folds[number]
    speakers = np.unique(task.speakers[train])
    count = max(2, min(_PARTIES, len(speakers) // 2))  # C and γ are searched on held-out speakers of a party
    dealt = [list(part) for part in np.array_split(speakers, count)]
    chosen = [train[np.isin(task.speakers[train], part)] for part in dealt]
    mapped = task.scaled(scaling, chosen[0], [*chosen, test])
    parties = [
        _Party(features, task.labels[clips], list(task.speakers[clips]))
        for features, clips in zip(mapped, chosen, strict=False)
    ]
    return parties, mapped[-1]


def _key(first: _Party, k: int, seed: int | str) -> hashing.HashKey:
    return hashing.HashKey.generate(leaking(first.features, _SHARE, k), seed=seed)
