"""The papers' tables: an encrypted model on plain queries, under the correct key, and under incorrect ones.

Source: Niwa, Shiota, Kiya, tables I to III of both papers.  *Plain model* is the unencrypted network on unencrypted
queries; the other three are the encrypted network on unencrypted queries, on queries under its own key, and on queries
under other keys of the same type and size (the mean of five).  Every figure is measured anew, also those that must be
equal: the row says how far the scores under the correct key are from the plain ones, and whether the metric is the
same.  All rates are in percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor

from sotto import keyed
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks import SpeechTask

KEYS = 5  # as in the papers
COLUMNS = ("plain_model", "plain_query", "correct_key", "incorrect_key")
Published = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Scenario:
    """One task under one key type, shares; errors are of the outputs under the correct key.

    ``…_sd`` are standard deviations over keys: of the model under plain queries, of the query under incorrect ones.
    """

    plain_model: float
    plain_query: float
    plain_query_sd: float
    correct_key: float
    incorrect_key: float
    incorrect_sd: float
    largest_error: float
    largest_output: float
    bit_identical: bool


def scenario(task: SpeechTask, kind: str, plain: Tensor, seed: int) -> Scenario:
    """Encrypt the task's network under :data:`KEYS` keys, one after another, and ask it everything each time.

    ``plain`` is what the plain network says.  The incorrect key of each is the one before it, which differs.
    """
    drawn = drawn_keys(kind, task.block_size, task.dimension, seed=seed, purpose=f"{task.name} {task.split}")
    keys = list(islice(drawn, KEYS + 1))
    without, correct, wrong = [], [], []
    for other, key in pairwise(keys):
        encrypted = keyed.encrypt_model(task.module, key, example=task.inputs[:1])
        without.append(task.measure(encrypted, task.inputs))
        correct.append(task.outputs(encrypted, keyed.encrypt(task.inputs, key)))
        wrong.append(task.measure(encrypted, keyed.encrypt(task.inputs, other)))
    figure = task.figure(plain)
    return Scenario(
        plain_model=figure,
        plain_query=float(np.mean(without)),
        plain_query_sd=float(np.std(without, ddof=1)),
        correct_key=max((task.figure(outputs) for outputs in correct), key=lambda each: abs(each - figure)),
        incorrect_key=float(np.mean(wrong)),
        incorrect_sd=float(np.std(wrong, ddof=1)),
        largest_error=max(float((outputs - plain).abs().max()) for outputs in correct),
        largest_output=float(plain.abs().max()),
        bit_identical=all(torch.equal(outputs, plain) for outputs in correct),
    )


def rows(
    tasks: Sequence[SpeechTask], model: str, request: Request, published: Mapping[str, Published] | None = None
) -> list[Row]:
    """One row for each key type: means over the tasks, which are the folds of one task.

    Parameters
    ----------
    tasks
        alike but for who or what was held out.
    published
        a paper's name to its figures in percent by key type, in the order of :data:`COLUMNS`.
    """
    plain = [task.outputs(task.module, task.inputs) for task in tasks]
    table = []
    for kind in keyed.KEY_TYPES:
        folds = [scenario(task, kind, outputs, request.seed) for task, outputs in zip(tasks, plain, strict=True)]
        printed = {name: table[kind] for name, table in (published or {}).items() if kind in table}
        table.append(_row(kind, tasks, folds, model, request.seed, printed))
        percents = {name: table[-1].metrics[f"{tasks[0].metric}_{name}"] for name in COLUMNS}
        request.say(f"{tasks[0].name}, {kind}: " + ", ".join(f"{n} {v:.2f}" for n, v in percents.items()) + " %")
    return table


def _row(
    kind: str,
    tasks: Sequence[SpeechTask],
    folds: Sequence[Scenario],
    model: str,
    seed: int,
    printed: Mapping[str, Sequence[float | None]],
) -> Row:
    task, metric = tasks[0], tasks[0].metric
    means = {
        name: float(np.mean([getattr(fold, name) for fold in folds]))
        for name in (*COLUMNS, "plain_query_sd", "incorrect_sd")
    }
    return Row(
        paradigm="keyed",
        mode=kind,
        model=model,
        corpus=task.corpus,
        split=task.split if len(tasks) == 1 else f"{len(tasks)} folds",
        seed=seed,
        n_queries=sum(len(each.inputs) for each in tasks),
        parameters={"block_size": task.block_size, "dimension": task.dimension},
        accuracy_plain=means["plain_model"] if metric == "accuracy" else None,
        max_abs_error=max(fold.largest_error for fold in folds),
        metrics={
            **{f"{metric}_{name}": 100 * mean for name, mean in means.items()},
            "metric_identical": float(all(fold.correct_key == fold.plain_model for fold in folds)),
            "scores_bit_identical": float(all(fold.bit_identical for fold in folds)),
            "largest_output": max(fold.largest_output for fold in folds),
        },
        published={
            f"{metric}_{name}{paper}": figure
            for paper, figures in printed.items()
            for name, figure in zip(COLUMNS, figures, strict=True)
            if figure is not None
        },
    )
