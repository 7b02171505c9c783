"""The plaintext SVM on eGeMAPS functionals as experiments use it: normalisation, training, and one clip's query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.audio import Clip, read
from sotto.audio.features import EGeMAPS
from sotto.audio.splits import Split
from sotto.bench.workbench import Workbench
from sotto.models import Normalisation
from sotto.models.svm.svm import SVM, train_svm

SPEC = EGeMAPS()
_CLIP = 3.0  # standard deviations; beyond them a functional says more about a bad pitch track than about the speaker


@dataclass(frozen=True, eq=False)
class EgemapsSVM:
    """A machine trained on the training and validation speakers of a split.

    C and γ are searched on held-out speakers among them, so the validation speakers are trained on as well.
    ``features`` (n, 88) float32 are every clip of the corpus, normalised; ``learnt`` the positions trained on.
    """

    svm: SVM
    normalisation: Normalisation
    features: npt.NDArray[np.float32]
    learnt: Sequence[int]

    def query(self, clip: Clip) -> npt.NDArray[np.float32]:
        """One clip, normalised (1, 88) float32."""
        return self.normalisation.transform(SPEC.compute(read(clip, SPEC.sample_rate))[None])


def egemaps_svm(bench: Workbench, split: Split) -> EgemapsSVM:
    """Normalise by the statistics of the speakers trained on, search and train."""
    learnt = [*split.train, *split.validation]
    raw = bench.features(SPEC)
    normalisation = Normalisation.standard(raw[learnt], clip=_CLIP)
    features = normalisation.transform(raw)
    svm, _ = train_svm(features[learnt], bench.targets[learnt], [bench.speakers[i] for i in learnt])
    return EgemapsSVM(svm, normalisation, features, learnt)
