"""Accuracy over speakers: every speaker is tested once, by a model that never heard them.

The mean over folds is the figure; the spread between folds says how much of it is luck of the speakers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from sotto.audio.corpus import Corpus
from sotto.audio.splits import speaker_folds
from sotto.models.learning.fitting import fit, varied
from sotto.models.learning.recipes import Recipe


@dataclass(frozen=True)
class Fold:
    """Scores on the test speakers of one fold."""

    split: str
    speakers: tuple[str, ...]
    clips: int
    accuracy: float
    uar: float
    seconds: float


@dataclass(frozen=True)
class CrossValidation:
    """Scores of one recipe over all folds."""

    recipe: str
    corpus: str
    folds: tuple[Fold, ...]

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the folds."""
        return float(np.mean([fold.accuracy for fold in self.folds]))

    @property
    def uar(self) -> float:
        """Mean unweighted average recall of the folds."""
        return float(np.mean([fold.uar for fold in self.folds]))

    @property
    def deviation(self) -> float:
        """Standard deviation of the accuracy between folds."""
        return float(np.std([fold.accuracy for fold in self.folds], ddof=1))


def cross_validate(
    corpus: Corpus,
    recipe: Recipe,
    *,
    folds: int = 6,
    seed: int = 0,
    label: str = "emotion",
    jobs: int | None = None,
    done: Callable[[Fold], None] | None = None,
) -> CrossValidation:
    """Train and test ``recipe`` on speaker-disjoint folds.

    Each fold's model is cached, so an interrupted run continues with the fold it was in.

    Parameters
    ----------
    corpus
        every clip has a speaker and ``label``.
    recipe
        see :mod:`sotto.models.learning.recipes`.
    folds
        how many groups the speakers are dealt into.
    seed
        of the deal; fold k trains with seed ``seed + k``.
    label
        what to classify.
    jobs
        as in :func:`sotto.models.learning.fitting.fit`.
    done
        called with every fold as it is finished.

    Raises
    ------
    CorpusError, ModelError
        as :func:`sotto.models.learning.fitting.fit`; too few speakers for the folds.
    """
    shared = cache(partial(varied, corpus, recipe, jobs)) if recipe.augmentation is not None else None
    results = []
    for k, split in enumerate(speaker_folds(corpus, folds, seed)):
        _, record = fit(corpus, split, recipe, label=label, seed=seed + k, jobs=jobs, variations=shared)
        tested = corpus.subset(split.test)
        scores = (record.scores[name] for name in ("accuracy", "uar", "training_seconds"))
        fold = Fold(split.name, tuple(tested.speakers), len(tested), *scores)
        results.append(fold)
        if done is not None:
            done(fold)
    return CrossValidation(recipe.name, corpus.name, tuple(results))
