"""What attackers get from hashes of real features as k, Δ and the number of measurements vary, beside the accuracy.

One fold, all classes, standardised features. Around one setting (k = 3, 32 measurements per coefficient, and the Δ at
which 28 % of the training pairs leak) one parameter is varied at a time; k is varied at equal leakage. Each row has the
accuracy of the machine on such hashes, the attack with the stolen key, the attack with known pairs for several numbers
of pairs, and the naming of speakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sotto import hashing
from sotto.bench.papers.dias.smh.study import (
    Fold,
    hash_row,
    hashed_answers,
    known_key_metrics,
    known_pairs_metrics,
    leaking,
    open_study,
    plaintext_answers,
    search_machine,
    some,
    speaker_metrics,
)
from sotto.bench.request import Request
from sotto.bench.rows.row import Row

DESCRIPTION = "stolen key, known pairs and naming speakers over k, delta and measurements, beside the accuracy"

_SHARE = 0.28


def run(request: Request) -> Iterator[Row]:
    """A row for each setting."""
    bench, tasks = open_study(request)
    task = tasks[-1]
    fold = task.fold(0, "standard")
    plain = float((plaintext_answers(fold) == fold.test_labels).mean())
    for parameters in _settings(fold, quick=bench.quick):
        key = hashing.HashKey.generate(parameters, seed=request.seed)
        accuracy = float((hashed_answers(fold, key, search_machine(fold, key)) == fold.test_labels).mean())
        metrics: dict[str, float | None] = {
            "accuracy_hashed": accuracy,
            "leakage": hashing.leakage(hashing.pack(hashing.modular_hash(fold.both, key), parameters.k)),
            **_attacks(fold, key, quick=bench.quick),
        }
        row = hash_row(
            mode="attacks",
            bench=bench,
            split=f"{len(task.folds)} folds of speakers, the first",
            clips=len(fold.test_labels),
            parameters={
                "k": parameters.k,
                "delta": round(parameters.delta, 3),
                "mpc": parameters.measurements_per_coefficient,
            },
            plain=plain,
            hashed=accuracy,
            metrics=metrics,
        )
        bench.say(f"{dict(row.parameters)}: key opens {metrics['attack_known_key_recovered']:.0%}")
        yield row


def _attacks(fold: Fold, key: hashing.HashKey, *, quick: bool) -> dict[str, float]:
    victims = some(fold.test, 12 if quick else 32)
    metrics = {**speaker_metrics(fold, key), **known_key_metrics(victims, key, fold.train)}
    for pairs in (300,) if quick else (100, 300, 1000):
        found = known_pairs_metrics(victims, key, some(fold.train, pairs))
        count = int(found.pop("attack_known_pairs"))
        metrics |= {f"{name}_of_{count}": value for name, value in found.items()}
    return metrics


def _settings(fold: Fold, *, quick: bool) -> Iterator[hashing.HashParameters]:
    middle = leaking(fold.train, _SHARE, 3)
    for k in (3, 10) if quick else (2, 3, 5, 10):
        yield leaking(fold.train, _SHARE, k)
    for factor in (0.5,) if quick else (0.25, 0.5, 0.75, 1.5):
        yield replace(middle, delta=factor * middle.delta)
    for mpc in (4,) if quick else (1, 2, 4, 8, 16):
        yield replace(middle, measurements_per_coefficient=mpc)
