"""Who speaks, from hashes of two features: eGeMAPS functionals and the embeddings of a published speaker encoder.

Both are hashed with as many symbols and at a Δ at which as many pairs of training clips leak (by the derived threshold:
the paper's is for 2,816 symbols), so that a server has the same Hamming budget with either.  The attacker is
:func:`sotto.hashing.attacks.linkability`: one sentence of every test speaker is enrolled with names, the other one is
probed.  ``accuracy_plain`` (full preset) is that of a machine on the plain features for the emotion: what Alice would
give up, or win, by hashing embeddings instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sotto import hashing
from sotto.bench.listeners.published import SpeakerEmbeddingFeature
from sotto.bench.papers.dias.smh.study import (
    Fold,
    Task,
    hash_row,
    leaking,
    open_study,
    plaintext_answers,
    speaker_metrics,
)
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.hashing.smh.theory import resolution_threshold

DESCRIPTION = "speakers named from hashes of published speaker embeddings and of eGeMAPS, at equal Hamming budgets"

_K, _SHARE = 3, 0.28
#: Measurements per coefficient of eGeMAPS (88) and of the embeddings (256): 264 and 256 symbols, 792 and 768, 2,816.
BUDGETS = {"quick": ((3, 1), (32, 11)), "full": ((3, 1), (9, 3), (32, 11))}
KEYS = {"quick": 3, "full": 5}


def run(request: Request) -> Iterator[Row]:
    """A row for each feature and number of symbols, the mean over folds and keys."""
    bench, tasks = open_study(request)
    egemaps = tasks[-1]
    embedded = replace(egemaps, raw=bench.features(SpeakerEmbeddingFeature()))
    for place, (name, task) in enumerate((("egemaps", egemaps), ("ge2e", embedded))):
        plain = _plain_accuracy(task) if request.preset == "full" else None
        for budget in BUDGETS[request.preset]:
            row = _row(name, task, budget[place], plain, bench)
            named = row.metrics["attack_speaker_named"]
            request.say(f"{name}, {budget[place] * task.raw.shape[1]} symbols: speaker named {named:.0%}")
            yield row


def _plain_accuracy(task: Task) -> float:
    """Of the machine on plain features, over the clips of all folds."""
    hits = [plaintext_answers(fold) == fold.test_labels for fold in _folds(task)]
    return float(np.concatenate(hits).mean())


def _folds(task: Task) -> Iterator[Fold]:
    return (task.fold(number, "standard") for number in range(len(task.folds)))


def _row(name: str, task: Task, measurements: int, plain: float | None, bench: Workbench) -> Row:
    """Means over folds and keys; standard deviations over all of them."""
    each, deltas = [], []
    for number, fold in enumerate(_folds(task)):
        threshold = resolution_threshold(_K, measurements * fold.train.shape[1])
        parameters = leaking(fold.train, _SHARE, _K, mpc=measurements, threshold=threshold)
        deltas.append(parameters.delta)
        for seed in range(KEYS[bench.preset]):
            key = hashing.HashKey.generate(parameters, seed=100_000 * bench.seed + 10 * number + seed)
            each.append(speaker_metrics(fold, key))
    metrics: dict[str, float | None] = {}
    for figure in each[0]:
        values = [metrics_of_key[figure] for metrics_of_key in each]
        metrics[figure] = float(np.mean(values))
        metrics[f"{figure}_sd"] = float(np.std(values, ddof=1))
    return hash_row(
        mode="linkability",
        bench=bench,
        split=f"speakers, {len(task.folds)} folds",
        clips=len(task.labels),
        parameters={
            "features": name,
            "symbols": measurements * task.raw.shape[1],
            "mpc": measurements,
            "k": _K,
            "delta": round(float(np.mean(deltas)), 3),
            "keys": KEYS[bench.preset],
        },
        plain=plain,
        metrics=metrics,
    )
