"""Accuracy of the plaintext emotion models when every speaker is tested by a model that never heard them."""

from __future__ import annotations

from bench.plaintext import plaintext_row
from bench.reproductions.request import Request
from bench.row import Row
from bench.suite import open_workbench
from bench.workbench import Workbench
from models.cross_validation import Fold, cross_validate
from models.recipes import DEPINTO, FRAMES, FRAMES_QUICK, Recipe

DESCRIPTION = "accuracy of the emotion models over speaker-disjoint folds (quick: 3 folds, full: 6)"


def run(request: Request) -> list[Row]:
    """One row for each model: mean accuracy, its spread over folds, and every fold."""
    bench = open_workbench(request.corpus, request.data, preset=request.preset, seed=request.seed, say=request.say)
    folds = 3 if bench.quick else 6
    recipes = (DEPINTO, FRAMES_QUICK if bench.quick else FRAMES)
    return [_row(recipe, bench, folds) for recipe in recipes]


def _row(recipe: Recipe, bench: Workbench, folds: int) -> Row:
    def done(fold: Fold) -> None:
        bench.say(f"{recipe.name} {fold.split}: accuracy {fold.accuracy:.3f} on {fold.clips} clips")

    result = cross_validate(bench.corpus, recipe, folds=folds, seed=bench.seed, label=bench.label, done=done)
    metrics: dict[str, float | None] = {"accuracy_sd_over_folds": result.deviation, "uar": result.uar}
    metrics |= {f"accuracy_fold_{k}": fold.accuracy for k, fold in enumerate(result.folds, 1)}
    return plaintext_row(
        mode="cross-validation",
        model=recipe.name,
        corpus=bench.corpus.name,
        split=f"speakers, {folds} folds",
        seed=bench.seed,
        n_queries=sum(fold.clips for fold in result.folds),
        parameters={"folds": folds},
        accuracy=result.accuracy,
        metrics=metrics,
        published={},
    )
