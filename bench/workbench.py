"""What every experiment of a run shares: corpus, split, features and trained models, each made once and kept.

Features and models are cached by the content they depend on, so that an interrupted run resumes and a second one says
what it reused.  All of it is the experimenter's: no party's process sees the workbench.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio import Corpus, extract
from audio.cache import root
from audio.features import FeatureSpec
from audio.splits import Split
from bench.experiment import Say
from models.weights import version

#: Raised whenever the same settings begin to give another model, so that old files are not reused.
MODEL_REVISION = 1


@dataclass
class Workbench:
    """A corpus with a label to predict and a speaker-disjoint split, at one preset and seed."""

    corpus: Corpus
    split: Split
    label: str
    preset: str
    seed: int
    say: Say
    jobs: int | None = None
    _features: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        return self.preset == "quick"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.corpus.classes(self.label)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Class index of every clip (n,)."""
        return self.corpus.targets(self.label)

    @property
    def speakers(self) -> list[str]:
        return self.corpus.labels("speaker")

    def features(self, spec: FeatureSpec) -> npt.NDArray[np.float32]:
        """The feature of every clip of the corpus (n, …) float32, computed once."""
        name = json.dumps(spec.to_record(), sort_keys=True)
        if name not in self._features:
            self._features[name] = extract(self.corpus, spec, jobs=self.jobs)
        return self._features[name]

    def part(self, values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        """The rows of ``values`` that belong to the split's part ``train``, ``validation`` or ``test``."""
        return values[list(getattr(self.split, name))]

    def trained(self, name: str, spec: FeatureSpec, settings: Mapping[str, Any], train: Callable[[Path], None]) -> Path:
        """Path of a model file; ``train`` writes it when no run with this data and these settings has before.

        The file's name holds a digest of the features, targets, split, seed and settings: change any of them and
        another file is made.  ``train`` must put the file there in one step (``models.save`` does).
        """
        digest = hashlib.blake2b(digest_size=12)
        digest.update(np.ascontiguousarray(self.features(spec)).tobytes())
        digest.update(self.targets.tobytes())
        key = [MODEL_REVISION, version(), name, spec.to_record(), settings, self.split.train, self.split.validation]
        digest.update(json.dumps([*key, self.seed, self.label], sort_keys=True, default=str).encode())
        path = root() / "models" / f"{name}-{digest.hexdigest()}.safetensors"
        if path.is_file():
            self.say(f"reused model {name}, trained before ({path.name})")
        else:
            self.say(f"training {name} on {len(self.split.train)} clips")
            path.parent.mkdir(parents=True, exist_ok=True)
            train(path)
        return path
