"""Features like those to come, and how precise an answer must be: what every planner starts from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from sotto.he.network.network import ModelRefused
from sotto.he.planning.noise import LOGIT_STEP

#: Largest error of a logit that a plan accepts: six deviations of the estimate
#: (:func:`sotto.he.planning.noise.logit_error`).
MAX_LOGIT_ERROR = 6e-3

#: Largest error of a logit up to 64 as Alice shows it: the encryption's, and half a step of her rounding.
MAX_SHOWN_ERROR = MAX_LOGIT_ERROR + LOGIT_STEP / 2

#: Times the largest value met on calibration features: what a calibrated plan leaves room for.
MARGIN = 256.0
_SIMULATED = 32  # calibration vectors whose slots are computed, those with the largest logits


class Network(Protocol):
    """What calibration needs of a network in the clear."""

    @property
    def inputs(self) -> int: ...

    def logits(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]: ...


class Precision:
    """What a plan says about the precision of logits; ``logit_error`` is its estimate, None where it has none."""

    logit_error: float | None

    @property
    def shown_error(self) -> float:
        """Largest error of a logit up to 64 as Alice shows it, at most :data:`MAX_SHOWN_ERROR`."""
        return (MAX_LOGIT_ERROR if self.logit_error is None else self.logit_error) + LOGIT_STEP / 2


def calibration_features(network: Network, calibration: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The calibration features in [-1, 1] whose logits are largest."""
    features = np.asarray(calibration, np.float64)
    if features.ndim != 2 or features.shape[1] != network.inputs or not len(features):
        raise ModelRefused("wrong-shape", f"calibration features are (n, {network.inputs}), got {features.shape}")
    if not np.isfinite(features).all():
        raise ModelRefused("not-finite", "calibration features hold values that are not finite")
    features = np.clip(features, -1, 1)
    largest = np.abs(network.logits(features)).max(axis=1)
    return features[np.argsort(largest)[::-1][:_SIMULATED]]
