"""Dias, Abad, Trancoso, Table 1: the share of hash pairs that leak, for Δ and k, at 32 measurements per coefficient.

A pair leaks when its Hamming distance is below the privacy threshold. Beside the paper's thresholds, which were read
off a figure, stands the closed form's: three standard deviations of chance below saturation. The features are scaled to
[-1, 1], for which the paper's Δ are meant.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from sotto import hashing
from sotto.bench.papers.dias.smh.study import MPC, PAPER_DELTAS, PAPER_KS, Floats, hash_row, open_study, some
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.hashing.smh.leakage import expected_leakage
from sotto.hashing.smh.theory import resolution_threshold
from sotto.models import Normalisation

DESCRIPTION = "leakage of secure modular hashes for delta and k, beside the paper's Table 1 (quick: 3 keys, full: 10)"

PUBLISHED = {
    2: (0.0015, 0.0138, 0.0607, 0.1625),
    3: (0.2769, 0.5658, 0.7702, 0.8896),
    5: (0.7500, 0.9154, 0.9711, 0.9906),
    10: (0.9878, 0.9986, 0.9998, 0.9999),
}


COMPROMISE = (3, 2.0)
_LONE_HASHES = 150


def run(request: Request) -> Iterator[Row]:
    """One row for each task, k and Δ: leakage at both thresholds, its spread over keys, and what theory expects."""
    bench, tasks = open_study(request)
    keys = 3 if bench.quick else 10
    for task in tasks:
        features = Normalisation.range(task.raw).transform(task.raw).astype(np.float64)
        distances = pdist(features)
        bench.say(f"{task.name}: median distance of {len(features)} clips {np.median(distances):.2f}")
        for k in PAPER_KS:
            for column, delta in enumerate(PAPER_DELTAS):
                parameters = hashing.HashParameters(features.shape[1], k, delta, MPC)
                metrics = _metrics(features, distances, parameters, keys)
                if (k, delta) == COMPROMISE:
                    for name, each in (("full", parameters), ("paper", with_paper_dither(parameters))):
                        metrics[f"attack_norm_from_one_hash_{name}_dither"] = norm_from_one_hash(features, each)
                yield hash_row(
                    mode="leakage",
                    bench=bench,
                    split="all clips",
                    clips=len(task.labels),
                    parameters={"task": task.name, "k": k, "delta": delta, "mpc": MPC, "keys": keys},
                    metrics=metrics,
                    published={"leakage": PUBLISHED[k][column]},
                )
            bench.say(f"{task.name}: k = {k} done")


def _metrics(features: Floats, distances: Floats, parameters: hashing.HashParameters, keys: int) -> dict[str, float]:
    k, symbols = parameters.k, parameters.symbols
    derived = resolution_threshold(k, symbols)
    leakages = np.array([_leakages(features, parameters, seed, derived) for seed in range(keys)])
    mean, spread = leakages.mean(axis=0), leakages.std(axis=0, ddof=1)
    expected = [
        expected_leakage(distances, parameters.delta, k=k, symbols=symbols, threshold=t) for t in (None, derived)
    ]
    return {
        "leakage": float(mean[0]),
        "leakage_sd_over_keys": float(spread[0]),
        "leakage_expected": expected[0],
        "threshold": hashing.PAPER_THRESHOLDS[k],
        "leakage_derived": float(mean[1]),
        "leakage_derived_sd_over_keys": float(spread[1]),
        "leakage_derived_expected": expected[1],
        "threshold_derived": derived,
        "leakage_paper_dither": _leakages(features, with_paper_dither(parameters), 0, derived)[0],
    }


def with_paper_dither(parameters: hashing.HashParameters) -> hashing.HashParameters:
    """The same with w over [0, k), as equation 1 prints it."""
    p = parameters
    return hashing.HashParameters(p.inputs, p.k, p.delta, p.measurements_per_coefficient, "paper")


def norm_from_one_hash(features: Floats, parameters: hashing.HashParameters) -> float:
    """What a single hash under a key of its own tells: how far (Spearman) its most frequent symbol's share follows ‖x‖.

    With whole periods of dither symbols are uniform whatever x is, so nothing; otherwise vectors near zero have uneven
    hashes.
    """
    chosen = some(features, _LONE_HASHES)
    shares = []
    for place, row in enumerate(chosen):
        key = hashing.HashKey.generate(parameters, seed=f"one hash {place}")
        counts = np.bincount(hashing.modular_hash(row[None], key)[0], minlength=parameters.k)
        shares.append(counts.max() / parameters.symbols)
    return float(-spearmanr(shares, np.linalg.norm(chosen, axis=1)).statistic)


def _leakages(features: Floats, parameters: hashing.HashParameters, seed: int, derived: float) -> tuple[float, float]:
    """At the paper's and at the derived threshold, under one key."""
    key = hashing.HashKey.generate(parameters, seed=seed)
    hashes = hashing.pack(hashing.modular_hash(features, key), parameters.k)
    return hashing.leakage(hashes), hashing.leakage(hashes, threshold=derived)
