"""Accuracy of the plaintext emotion models when every speaker is tested by a model that never heard them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sotto.audio.splits import speaker_folds
from sotto.bench.emotion.egemaps_svm import egemaps_svm
from sotto.bench.emotion.emotion_models import named
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.models.learning.cross_validation import Fold, cross_validate
from sotto.models.learning.recipes import Recipe

DESCRIPTION = "accuracy of the emotion models over speaker-disjoint folds (quick: 3 folds, full: 6)"


def run(request: Request) -> Iterator[Row]:
    """One row for each model: mean accuracy, its spread over folds, and every fold."""
    bench = request.open_workbench()
    folds = 3 if bench.quick else 6
    recipes = [named(model, bench) for model in ("depinto", "frames", "depinto-poly2", "frames-poly2")]
    yield _machine_row(bench, folds)
    yield from (_network_row(recipe, bench, folds) for recipe in recipes)


def _machine_row(bench: Workbench, folds: int) -> Row:
    """The eGeMAPS RBF-SVM on the same folds."""
    accuracies, truth = [], bench.targets
    for split in speaker_folds(bench.corpus, folds, bench.seed):
        machine = egemaps_svm(bench, split)
        test = list(split.test)
        accuracies.append(float(np.mean(machine.svm.predict(machine.features[test]) == truth[test])))
        bench.say(f"svm {split.name}: accuracy {accuracies[-1]:.3f} on {len(test)} clips")
    return _row("svm", bench, len(bench.corpus), accuracies, {})


def _network_row(recipe: Recipe, bench: Workbench, folds: int) -> Row:
    def done(fold: Fold) -> None:
        bench.say(f"{recipe.name} {fold.split}: accuracy {fold.accuracy:.3f} on {fold.clips} clips")

    result = cross_validate(bench.corpus, recipe, folds=folds, seed=bench.seed, label=bench.label, done=done)
    clips = sum(fold.clips for fold in result.folds)
    return _row(recipe.name, bench, clips, [fold.accuracy for fold in result.folds], {"uar": result.uar})


def _row(model: str, bench: Workbench, clips: int, accuracies: list[float], more: dict[str, float]) -> Row:
    metrics: dict[str, float | None] = {"accuracy_sd_over_folds": float(np.std(accuracies, ddof=1)), **more}
    metrics |= {f"accuracy_fold_{k}": accuracy for k, accuracy in enumerate(accuracies, 1)}
    return Row(
        paradigm="plaintext",
        mode="cross-validation",
        model=model,
        corpus=bench.corpus.name,
        split=f"speakers, {len(accuracies)} folds",
        seed=bench.seed,
        n_queries=clips,
        parameters={"folds": len(accuracies)},
        accuracy_plain=float(np.mean(accuracies)),
        metrics=metrics,
    )
