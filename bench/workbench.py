"""What every experiment of a run shares: corpus, split, features, and a folder for the run's own files.

Features and trained models are cached by the content they depend on (:mod:`sotto.audio.features`,
:mod:`sotto.models.learning.fitting`), so that an interrupted run resumes and a second one says what it reused.  All of
it is the experimenter's: a party's process sees only the files its job names.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from sotto.audio import Corpus, extract
from sotto.audio.features import FeatureSpec
from sotto.audio.splits import Split
from sotto.bench.experiment import Quiet, Say

T = TypeVar("T")
_QUICK_CLIPS, _QUICK_SYNTHETIC_CLIPS = 64, 50  # the report fades a row of fewer


@dataclass(eq=False)
class Workbench:
    """A corpus with a label to predict and a speaker-disjoint split, at one preset and seed.

    ``data``: the folder the corpus was looked for in, which may hold others.  ``quiet``: to be entered by whoever times
    something; it stops what goes on beside it.
    """

    corpus: Corpus
    split: Split
    label: str
    preset: str
    seed: int
    say: Say
    jobs: int | None = None
    data: Path | None = None
    quiet: Quiet = nullcontext
    _features: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    _once: dict[str, Any] = field(default_factory=dict)
    _temporary: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="sotto-")
    )

    @property
    def folder(self) -> Path:
        """The run's own folder, readable by this user only, gone when the run is over."""
        return Path(self._temporary.name)

    @property
    def quick(self) -> bool:
        return self.preset == "quick"

    @property
    def clips(self) -> int:
        """How many test clips every row of a comparison is asked, the same ones.

        Fewer of a synthetic corpus, whose scores say nothing about speech: agreement is seen all the same.
        """
        most = _QUICK_SYNTHETIC_CLIPS if self.corpus.synthetic else _QUICK_CLIPS
        return min(most, len(self.split.test)) if self.quick else len(self.split.test)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.corpus.classes(self.label)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Class index of every clip (n,)."""
        return self.corpus.targets(self.label)

    @property
    def speakers(self) -> list[str]:
        """Speaker of every clip (n,)."""
        return self.corpus.labels("speaker")

    def features(self, spec: FeatureSpec) -> npt.NDArray[np.float32]:
        """The feature of every clip of the corpus (n, …) float32, computed once."""
        name = json.dumps(spec.to_record(), sort_keys=True)
        if name not in self._features:
            self._features[name] = extract(self.corpus, spec, jobs=self.jobs)
        return self._features[name]

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What several experiments of the run have in common, computed by the first that asks for it."""
        if name not in self._once:
            self._once[name] = compute()
        return cast(T, self._once[name])

    def part(self, values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        """The rows of ``values`` that belong to the split's part ``train``, ``validation`` or ``test``."""
        return values[list(getattr(self.split, name))]
