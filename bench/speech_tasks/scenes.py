"""Acoustic scene classification (ASC): a ConvMixer with patches of 8 × 8 on log-mel frames, by accuracy.

Tested along the folds that ESC-10 and UrbanSound8K came with, which keep the clips of one recording together: ESC-10
on all five folds, UrbanSound8K on those folds that are there.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sotto.audio import Corpus, CorpusError, extract, load_corpus
from sotto.audio.features import LogMel
from sotto.audio.splits import Split, published_folds
from sotto.bench.experiment import Say
from sotto.bench.speech_tasks.task import SpeechTask, clips_digest
from sotto.models.architectures import Argument, build
from sotto.models.learning.cached_model import kept
from sotto.models.learning.perturbation import Perturbation, Perturbed
from sotto.models.learning.training import Schedule, train
from sotto.models.normalisation import Normalisation
from sotto.models.weights import ModelRecord

BLOCK_SIZE = 8
CORPORA = ("esc10", "urbansound8k")
FEATURES = LogMel(mels=64, frames=200, n_fft=1024, hop=400, fmin=20.0, padding="repeat")
_PERTURBATION = Perturbation(shift=0.5, bands=1, band_width=12, moments=1, moment_width=0.15)
SCHEDULES = {
    "quick": Schedule(epochs=40, batch=32, rate=4e-3, weight_decay=0.05, mixup=0.2, average=0.98, patience=None),
    "full": Schedule(epochs=60, batch=32, rate=4e-3, weight_decay=0.05, mixup=0.2, average=0.99, patience=None),
}
_REVISION = 1


def scene_tasks(
    name: str, data: Path | None, *, preset: str, seed: int, say: Say, folds: int | None = None
) -> list[SpeechTask]:
    """A network for each fold of a corpus (quick: for the first fold alone), trained now or taken from the cache.

    Parameters
    ----------
    name
        of the corpus, with the labels event, fold and recording: "esc10" or "urbansound8k".
    data
        the folder that holds it.
    folds
        how many of the folds, instead of the preset's number.

    Raises
    ------
    CorpusError
        one clear line, also where a recording is in two folds.
    """
    corpus = load_corpus(name, data)
    splits = [split.check(corpus, by="recording") for split in published_folds(corpus)]
    wanted = folds or (1 if preset == "quick" else len(splits))
    features = extract(corpus, FEATURES)
    return [_task(corpus, features, split, preset, seed, say) for split in splits[:wanted]]


def _task(corpus: Corpus, features: np.ndarray, split: Split, preset: str, seed: int, say: Say) -> SpeechTask:
    module, record = _trained(corpus, features, split, SCHEDULES[preset], preset, seed, say)
    if record.normalisation is None:
        raise CorpusError("bad-cache", f"the cached model of {corpus.name} has no statistics: empty the cache folder")
    test = list(split.test)
    truth = torch.from_numpy(corpus.targets("event")[test])
    return SpeechTask(
        name="asc",
        corpus=corpus.name,
        split=split.name,
        module=module,
        inputs=torch.from_numpy(record.normalisation.transform(features[test])),
        block_size=BLOCK_SIZE,
        dimension=2,
        metric="accuracy",
        figure=partial(accuracy, truth),
        batch=64,
    )


def accuracy(truth: Tensor, logits: Tensor) -> float:
    """Share of the ``logits`` (n, classes) whose largest is at the true class, of ``truth`` (n,)."""
    return float((logits.argmax(1) == truth).double().mean())


def _trained(
    corpus: Corpus, features: np.ndarray, split: Split, schedule: Schedule, preset: str, seed: int, say: Say
) -> tuple[nn.Module, ModelRecord]:
    """Trained on every fold but the tested one, for a fixed number of epochs."""
    classes = corpus.classes("event")
    arguments: dict[str, Argument] = {"classes": len(classes), "block_size": BLOCK_SIZE}
    training = [*split.train, *split.validation]

    def fit() -> tuple[nn.Module, ModelRecord]:
        say(f"asc: training on {len(training)} clips of {corpus.name}, {schedule.epochs} epochs ({split.name})")
        normalisation = Normalisation.standard(features[training])
        examples = Perturbed(normalisation.transform(features), _PERTURBATION)
        module = train(
            partial(build, "convmixer", arguments),
            examples,
            corpus.targets("event"),
            speakers=corpus.labels("recording"),  # what no two parts may share
            training=training,
            schedule=schedule,
            seed=seed,
            label=f"{corpus.name} asc {split.name}",
        ).module
        record = ModelRecord(
            architecture="convmixer", arguments=arguments, classes=classes, features=FEATURES.to_record(),
            normalisation=normalisation, corpus=corpus.name, split=split.name, seed=seed,
        )  # fmt: skip
        return module, record

    about = {
        "clips": clips_digest(corpus, training),
        "events": [corpus.labels("event")[i] for i in training],
        "features": FEATURES.cache_record(),
        "arguments": arguments,
        "schedule": asdict(schedule),
        "perturbation": asdict(_PERTURBATION),
        "seed": seed,
        "revision": _REVISION,
    }
    return kept(f"asc-{preset}", about, fit)
