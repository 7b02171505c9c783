"""What a query gives Alice, in every paradigm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Answer:
    """Class indices ``labels`` (n,) int64 and, only if asked for, ``scores`` (n, classes) float32."""

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
