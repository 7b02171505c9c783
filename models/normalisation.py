"""Public feature statistics that Alice applies before a feature leaves her preprocessing.

The statistics come from training speakers only and are published with the model (they are the mean and spread of
a feature over the corpus, not of any one speaker), so applying them is Alice's local, unencrypted work. Two kinds:

* ``standard``: zero mean and unit variance per coefficient, the usual input of the networks here;
* ``range``: the training minimum and maximum per coefficient map to -1 and 1, which is what polynomial
  activations need, since outside the fitted interval a polynomial runs away. Clipping is optional and counted,
  because a clipped value is a changed feature.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sotto.link import BadValue

Kind = Literal["standard", "range"]


@dataclass(frozen=True, eq=False)
class Normalisation:
    """``(x - mean) / scale``, optionally clipped to ``[-clip, clip]``.

    Attributes
    ----------
    mean
        float32, broadcastable to one example: subtracted (for ``range`` the middle of the range).
    scale
        float32, same shape, positive: divided by (for ``range`` half the width of the range).
    kind
        how the statistics were found.
    clip
        largest magnitude let through, or None for no clipping.

    Raises
    ------
    ValueError
        the shapes differ, or a value is not finite, or a scale or ``clip`` is not positive.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    kind: Kind = "standard"
    clip: float | None = None

    def __post_init__(self) -> None:
        mean, scale = np.asarray(self.mean, np.float32), np.asarray(self.scale, np.float32)
        if self.kind not in ("standard", "range"):
            raise BadValue("unknown-kind", f'normalisation kind is {self.kind!r}; use "standard" or "range"')
        if mean.shape != scale.shape:
            raise BadValue("shapes-differ", f"normalisation mean {mean.shape} and scale {scale.shape} differ in shape")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise BadValue("not-finite", "normalisation needs finite means and positive, finite scales")
        if self.clip is not None and not (np.isfinite(self.clip) and self.clip > 0):
            raise BadValue("bad-clip", f"normalisation clip is {self.clip}; use a positive number or None")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "scale", scale)

    @classmethod
    def standard(cls, x: ArrayLike, *, axes: tuple[int, ...] | None = None, clip: float | None = None) -> Self:
        """Mean and standard deviation of training features ``x`` (n, ...).

        ``axes`` are the axes averaged over; by default the examples and, beyond two dimensions, the last axis
        (time): (n, coefficients, frames) gets one mean per coefficient. A constant coefficient gets scale 1.
        """
        values, over = _training(x, axes)
        mean = values.mean(axis=over, keepdims=True, dtype=np.float64)[0]
        scale = values.std(axis=over, keepdims=True, dtype=np.float64)[0]
        return cls(mean.astype(np.float32), _positive(scale), "standard", clip)

    @classmethod
    def range(cls, x: ArrayLike, *, axes: tuple[int, ...] | None = None, clip: float | None = None) -> Self:
        """Training minimum and maximum of ``x`` (n, ...) to -1 and 1; ``axes`` as in :meth:`standard`."""
        values, over = _training(x, axes)
        low = values.min(axis=over, keepdims=True)[0].astype(np.float64)
        high = values.max(axis=over, keepdims=True)[0].astype(np.float64)
        return cls(((low + high) / 2).astype(np.float32), _positive((high - low) / 2), "range", clip)

    @classmethod
    def within(cls, limit: float) -> Self:
        """Values as they are, held within ``limit`` of zero: of samples, whose range is known."""
        return cls(np.zeros(1, np.float32), np.ones(1, np.float32), "range", limit)

    def __repr__(self) -> str:
        return f"Normalisation(kind={self.kind!r}, shape={self.mean.shape}, clip={self.clip})"

    def transform(self, x: ArrayLike) -> NDArray[np.float32]:
        """Normalise features ``x`` (n, ...) to float32 of the same shape; the input is left as it is."""
        y = self._scaled(x)
        return y if self.clip is None else np.clip(y, -self.clip, self.clip)

    def clipped(self, x: ArrayLike) -> int:
        """How many values of ``x`` (n, ...) :meth:`transform` changes by clipping; 0 without clipping."""
        return 0 if self.clip is None else int(np.count_nonzero(np.abs(self._scaled(x)) > self.clip))

    def _scaled(self, x: ArrayLike) -> NDArray[np.float32]:
        values = np.asarray(x, np.float32)
        example = values.shape[1:]
        try:
            fits = np.broadcast_shapes(self.mean.shape, example) == example
        except ValueError:
            fits = False
        if values.ndim < 2 or not fits:
            raise BadValue(
                "shapes-differ", f"features {values.shape} do not fit normalisation statistics {self.mean.shape}"
            )
        return ((values - self.mean) / self.scale).astype(np.float32)


def _training(x: ArrayLike, axes: tuple[int, ...] | None) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    values = np.asarray(x, np.float32)
    if values.ndim < 2 or not values.size:
        raise BadValue("wrong-shape", f"normalisation needs training features (n, ...), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise BadValue(
            "not-finite", "training features hold values that are not finite; check the clips they came from"
        )
    over = axes if axes is not None else ((0,) if values.ndim == 2 else (0, values.ndim - 1))
    if 0 not in over:
        raise BadValue("wrong-axes", "normalisation statistics are over the examples: axis 0 must be among the axes")
    return values, over


def _positive(scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale 1 where a coefficient is constant, so that it maps to 0 instead of to infinity."""
    scale = scale.astype(np.float32)
    return np.where(scale > np.float32(1e-8), scale, np.float32(1))
