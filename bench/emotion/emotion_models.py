"""A trained network as an experiment needs it: its file for Bob's process, queries for Alice, the plaintext answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sotto.audio import Clip, read
from sotto.audio.features import FeatureSpec
from sotto.bench.workbench import Workbench
from sotto.models import ModelRecord, Normalisation, sample_input, save
from sotto.models.learning.fitting import fit
from sotto.models.learning.recipes import RECIPES, Recipe
from sotto.models.learning.training import predict

IDENTITY = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))


@dataclass(frozen=True, eq=False)
class EmotionModel:
    """A network trained on the split of a workbench.

    ``path``: its model file, in the run's own folder.  ``queries`` (n, …) float32: every clip of the corpus,
    normalised, as the network takes it.
    """

    module: nn.Module
    record: ModelRecord
    spec: FeatureSpec
    path: Path
    queries: npt.NDArray[np.float32]

    @property
    def example(self) -> Tensor:
        """One of the queries, on which an encrypted model has to agree with the plain one."""
        return torch.from_numpy(self.queries[:1])

    def query(self, clip: Clip) -> npt.NDArray[np.float32]:
        """One clip as the network takes it (1, …) float32."""
        return normalised(self.record, self.spec.compute(read(clip, self.spec.sample_rate))[None])

    def plain(self, queries: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The plaintext network's class indices (n,) and logits (n, classes)."""
        scores = predict(self.module, queries)
        return scores.argmax(1).astype(np.int64), scores

    def save(self, path: Path) -> None:
        """Write its model file to ``path``."""
        save(path, self.module, self.record)


def named(model: str, bench: Workbench) -> Recipe:
    """The recipe of a model that several paradigms share; where there is a quick one, a quick run trains that."""
    quick = RECIPES.get(f"{model}-quick") if bench.quick else None
    return quick or RECIPES[model]


def emotion_model(recipe: Recipe, bench: Workbench) -> EmotionModel:
    """Train ``recipe`` on the workbench's split, or take the model of an earlier run."""
    module, record = fit(bench.corpus, bench.split, recipe, label=bench.label, seed=bench.seed, jobs=bench.jobs)
    path = bench.folder / f"{recipe.name}.safetensors"
    save(path, module, record)
    queries = normalised(record, bench.features(recipe.features))
    return EmotionModel(module, record, recipe.features, path, queries)


def from_samples(emotion: EmotionModel, bench: Workbench) -> EmotionModel:
    """The same network behind its front end, asked about samples; its file is still the network's alone."""
    module, record = sample_input.from_samples(emotion.module, emotion.record)
    spec = sample_input.sample_spec(emotion.spec)
    return EmotionModel(module, record, spec, emotion.path, normalised(record, bench.features(spec)))


def normalised(record: ModelRecord, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Features after the model's public statistics, where it has any."""
    return (record.normalisation or IDENTITY).transform(features)
