"""From a corpus and a speaker-disjoint split to a trained, scored and cached model.

A fitted model is kept in the cache folder under a name that covers the recipe, the split, the seed and the content of
every clip, so that an interrupted experiment continues where it stopped. The cache holds models of the recordings it
has seen, unencrypted; whoever may not have a model must not read that folder.
"""

import hashlib
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sotto.audio.corpus import Corpus
from sotto.audio.features import MFCC, SampleBlocks, Waveform, extract
from sotto.audio.reading import content_digest
from sotto.audio.splits import Split
from sotto.models.architectures import Argument, ModelError, build
from sotto.models.learning.augmentation import Augmentation, Variations, VariedCepstra
from sotto.models.learning.cached_model import kept
from sotto.models.learning.evaluation import accuracy, unweighted_average_recall
from sotto.models.learning.perturbation import Perturbation, Perturbed
from sotto.models.learning.recipes import Recipe
from sotto.models.learning.training import Examples, Fixed, predict, train
from sotto.models.normalisation import Normalisation
from sotto.models.weights import ModelRecord

REVISION = 1
"""Raised when the same recipe begins to give another model, so that models of older code are not reused."""


def fit(
    corpus: Corpus,
    split: Split,
    recipe: Recipe,
    *,
    label: str = "emotion",
    seed: int = 0,
    jobs: int | None = None,
    variations: Callable[[], Variations] | None = None,
) -> tuple[nn.Module, ModelRecord]:
    """Train ``recipe`` on the training speakers of ``split`` and score it on its test speakers.

    The model of an earlier run with the same recipe, split, seed and clips is taken where there is one.

    Parameters
    ----------
    corpus
        every clip has a speaker and ``label``.
    split
        speaker-disjoint, checked again here. Recipes without early stopping train on its validation
        speakers too; the test speakers are only ever scored.
    recipe
        see :mod:`sotto.models.learning.recipes`.
    label
        what to classify.
    seed
        of the training run.
    jobs
        processes for feature extraction.
    variations
        the augmented frames, when the caller shares them between splits.

    Returns
    -------
    The network in evaluation mode and its record; ``scores`` has ``accuracy`` and ``uar`` on the test
    speakers, ``test_clips``, and ``training_seconds``.

    Raises
    ------
    CorpusError
        the corpus lacks a label, a clip cannot be read, or the split shares a speaker.
    ModelError
        the recipe does not fit the corpus.
    """
    split.check(corpus)
    about = _about(corpus, split, recipe, label, seed)
    return kept(recipe.name, about, lambda: _fitted(corpus, split, recipe, label, seed, jobs, variations))


def _fitted(
    corpus: Corpus,
    split: Split,
    recipe: Recipe,
    label: str,
    seed: int,
    jobs: int | None,
    variations: Callable[[], Variations] | None,
) -> tuple[nn.Module, ModelRecord]:
    features = extract(corpus, recipe.features, jobs=jobs)
    classes = corpus.classes(label)
    targets = corpus.targets(label, classes)
    arguments: dict[str, Argument] = {"classes": len(classes), **recipe.arguments}
    early = recipe.schedule.patience is not None
    training = list(split.train) + ([] if early else list(split.validation))
    normalisation = _statistics(recipe, features[training])
    plain = normalisation.transform(features)
    examples: Examples = Fixed(plain)
    if isinstance(recipe.augmentation, Perturbation):
        examples = Perturbed(plain, recipe.augmentation)
    elif recipe.augmentation is not None:
        frames = variations() if variations is not None else varied(corpus, recipe, jobs)
        examples = VariedCepstra(features, frames, normalisation)
    begun = time.perf_counter()
    module = train(
        partial(build, recipe.architecture, arguments),
        examples,
        targets,
        speakers=corpus.labels("speaker"),
        training=training,
        validation=split.validation if early else (),
        schedule=recipe.schedule,
        seed=seed,
        label=f"{corpus.name} {recipe.name} {split.name}",
    ).module
    seconds = time.perf_counter() - begun
    test = list(split.test)
    record = ModelRecord(
        architecture=recipe.architecture,
        arguments=arguments,
        classes=classes,
        features=recipe.features.to_record(),
        normalisation=normalisation,
        corpus=corpus.name,
        split=split.name,
        seed=seed,
        scores={**_scores(targets[test], predict(module, plain[test]).argmax(1)), "training_seconds": seconds},
    )
    return module, record


def _scores(targets: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    return {
        "accuracy": accuracy(targets, predicted),
        "uar": unweighted_average_recall(targets, predicted),
        "test_clips": float(len(targets)),
    }


def varied(corpus: Corpus, recipe: Recipe, jobs: int | None = None) -> Variations:
    """The augmented frames of ``corpus`` that ``recipe`` trains on; raises ModelError when it has none."""
    if not isinstance(recipe.augmentation, Augmentation) or not isinstance(recipe.features, MFCC):
        raise ModelError("recipe-frames", f"recipe {recipe.name} does not train on varied frames")
    return Variations(corpus, recipe.features, recipe.augmentation, jobs=jobs)


def _statistics(recipe: Recipe, features: NDArray[np.float32]) -> Normalisation:
    if isinstance(recipe.features, SampleBlocks):
        return Normalisation.within(1.0)
    # One mean and scale for all samples of a waveform; per coefficient otherwise.
    axes = (0, 1) if isinstance(recipe.features, Waveform) else None
    if recipe.normalisation == "range":
        return Normalisation.range(features, axes=axes, clip=1.0)
    return Normalisation.standard(features, axes=axes)


def _about(corpus: Corpus, split: Split, recipe: Recipe, label: str, seed: int) -> dict[str, object]:
    clips = hashlib.blake2b(digest_size=16)
    for clip, value, speaker in zip(corpus, corpus.labels(label), corpus.labels("speaker"), strict=True):
        clips.update(f"{clip.id}\0{content_digest(clip)}\0{value}\0{speaker}\n".encode())
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "clips": clips.hexdigest(),
        "split": {"name": split.name, **{name: list(part) for name, part in parts.items()}},
        "recipe": recipe.to_record(),
        "label": label,
        "seed": seed,
        "revision": REVISION,
    }
