"""What a query gives Alice, in every paradigm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Answer:
    """Class indices ``labels`` (n,) int64 and, only if asked for, ``scores`` (n, classes) float32.

    ``warnings``, for Alice alone, say what to doubt: features that did not go out as they were, a label that is no
    class.  They never end a session, because Bob sees that it ends.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()

    def warned(self, *warnings: str) -> Answer:
        """The same answer, these warnings first."""
        return Answer(self.labels, self.scores, warnings + self.warnings) if warnings else self
