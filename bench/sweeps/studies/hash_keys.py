"""Secure Modular Hashing over keys, parameters and speaker folds, with its attacks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import numpy as np

from sotto import hashing
from sotto.audio.features import EGeMAPS
from sotto.bench.papers.dias.smh.study import (
    MPC,
    SCALINGS,
    Fold,
    Scaling,
    Task,
    hash_row,
    hashed_answers,
    known_key_metrics,
    known_pairs_metrics,
    leaking,
    plaintext_answers,
    search_machine,
    some,
    speaker_metrics,
    split_name,
    tasks,
)
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.sweeps.studies.axes import Axis, SweepError
from sotto.bench.workbench import Workbench
from sotto.hashing.smh.parameters import DITHERS, Dither

DESCRIPTION = "secure modular hashing: accuracy, leakage and attacks over keys, k, delta and folds"
MODULES: tuple[str, ...] = ("sotto.hashing", "sotto.bench.papers.dias.smh.study", __name__)

_VICTIMS, _PAIRS = 12, 300  # utterances attacked, and known


def axes(preset: str) -> Mapping[str, Axis]:
    """What varies."""
    folds = tuple(range(3 if preset == "quick" else 6))
    return {
        "task": Axis(("all",), "all classes, or neutral against angry", ("all", "pair")),
        "features": Axis(("standard",), "how features are scaled", SCALINGS),
        "k": Axis((2, 3, 5, 10), "values of a symbol"),
        "delta": Axis((0.0,), "width of the quantiser's cells; 0: so wide that leak_percent of the distances are told"),
        "leak_percent": Axis((30.0,), "see delta"),
        "mpc": Axis((MPC,), "measurements per coefficient"),
        "dither": Axis(("full",), "over the quantiser's whole period, or as the paper prints it", DITHERS),
        "attack": Axis(("none",), "what else is measured", ("none", "known-key", "known-pairs", "speakers")),
        "fold": Axis(folds, "which speakers are tested", repeats=True),
        "key": Axis((0, 1, 2), "seed of the secret key", repeats=True),
    }


def prepare(bench: Workbench) -> None:
    """The features of every clip."""
    bench.features(EGeMAPS())


def run(bench: Workbench, parameters: Mapping[str, JSONValue]) -> Row:
    """One key on one fold."""
    names = {"all": 0, "pair": 1}
    found = _tasks(bench)
    number, fold_number = names[str(parameters["task"])], _whole(parameters, "fold")
    if number >= len(found):
        raise SweepError("no-pairs", f"{bench.corpus.name} has no clips both neutral and angry: leave task=pair out")
    if fold_number >= len(found[number].folds):
        raise SweepError(
            "no-such-fold", f"there are {len(found[number].folds)} folds: fold is 0 to {len(found[number].folds) - 1}"
        )
    task, scaling = found[number], cast(Scaling, parameters["features"])
    fold = _fold(task, fold_number, scaling)
    shape = _shape(fold, parameters)
    key = hashing.HashKey.generate(shape, seed=_whole(parameters, "key"))
    hashes = hashing.pack(hashing.modular_hash(fold.both, key), shape.k)
    answers = hashed_answers(fold, key, _machine(task, fold_number, scaling, shape))
    plain = _plain(task, fold_number, scaling)
    metrics: dict[str, float | None] = {
        "leakage": hashing.leakage(hashes),
        "delta_used": shape.delta,
        "agreement_with_plain": float(np.mean(answers == plain)),
    }
    metrics |= _attacked(str(parameters["attack"]), fold, key)
    return hash_row(
        mode="sweep",
        bench=bench,
        split=split_name(task),
        clips=len(fold.test_labels),
        parameters=parameters,
        plain=float(np.mean(plain == fold.test_labels)),
        hashed=float(np.mean(answers == fold.test_labels)),
        metrics=metrics,
    )


def _attacked(attack: str, fold: Fold, key: hashing.HashKey) -> dict[str, float]:
    if attack == "known-key":
        return known_key_metrics(some(fold.test, _VICTIMS), key, fold.train)
    if attack == "known-pairs":
        return known_pairs_metrics(some(fold.test, _VICTIMS), key, some(fold.train, _PAIRS))
    if attack == "speakers":
        return speaker_metrics(fold, key)
    return {}


def _whole(parameters: Mapping[str, JSONValue], name: str) -> int:
    return int(cast(int, parameters[name]))


def _shape(fold: Fold, parameters: Mapping[str, JSONValue]) -> hashing.HashParameters:
    delta, share = (float(cast(float, parameters[name])) for name in ("delta", "leak_percent"))
    k, mpc, dither = _whole(parameters, "k"), _whole(parameters, "mpc"), cast(Dither, parameters["dither"])
    if delta:
        return hashing.HashParameters(fold.train.shape[1], k, delta, mpc, dither)
    return leaking(fold.train, share / 100, k, mpc=mpc, dither=dither)


@lru_cache(maxsize=2)
def _tasks(bench: Workbench) -> list[Task]:
    everything = tasks(bench)
    return everything[::-1]  # all classes first


@lru_cache(maxsize=8)
def _fold(task: Task, number: int, scaling: Scaling) -> Fold:
    return task.fold(number, scaling)


@lru_cache(maxsize=64)
def _plain(task: Task, number: int, scaling: Scaling) -> np.ndarray:
    return plaintext_answers(_fold(task, number, scaling))


@lru_cache(maxsize=256)
def _machine(task: Task, number: int, scaling: Scaling, shape: hashing.HashParameters) -> tuple[float, float]:
    """C and γ, searched under the key of seed 0: they belong to the distances, which keys of a shape share."""
    fold = _fold(task, number, scaling)
    return search_machine(fold, hashing.HashKey.generate(shape, seed=0))
