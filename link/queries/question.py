"""What a query asks about, in every paradigm: numbers that can go out, whatever they are.

Bob sees whether Alice asks, so that must not depend on her features.  A value that cannot go out as it is goes out as
another one, and a warning, for her alone, says so afterwards.  Only what no recording decides is refused: what is no
array of numbers, and in each paradigm a shape that does not fit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.link.errors import BadValue, Coded

MOST = 2.0**64  # no feature of speech is beyond it, and sums of such numbers stay finite


def as_numbers(
    features: npt.ArrayLike,
    *,
    limit: float = MOST,
    dtype: type[np.floating[Any]] = np.float32,
    error: type[Coded] = BadValue,
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """``features`` as an array of finite ``dtype``, and what Alice is to be told of values that had to change.

    NaN becomes 0, and what lies beyond ``limit`` the limit; the array that was given stays as it is.  Raises
    ``error`` for what is no array of numbers.  No message quotes a value.
    """
    try:
        given = np.asarray(features)
        if given.dtype.kind in "cSUmMV":
            raise TypeError
        if given.dtype.kind == "O":
            given = np.array([_number(each) for each in given.ravel()]).reshape(given.shape)
        with np.errstate(all="ignore"):  # a caller's np.seterr(all="raise") would tell of values
            values = given.astype(dtype, copy=False)
    except (TypeError, ValueError, RuntimeError):
        raise error("not-numbers", "the features are no array of numbers") from None
    finite = np.isfinite(values)
    most = dtype(limit)
    if float(most) > limit:
        most = np.nextafter(most, dtype(0))
    beyond = int(np.count_nonzero(finite & (np.abs(values) > most)))
    odd = values.size - int(np.count_nonzero(finite))
    warnings = []
    if odd:
        warnings.append(f"{odd} of {values.size} feature values are NaN or infinite: check the recording")
    if beyond:
        warnings.append(
            f"{beyond} of {values.size} feature values lay outside [-{limit:g}, {limit:g}] and were clipped"
        )
    if warnings:
        values = np.clip(np.where(np.isnan(values), dtype(0), values), -most, most)
    return values, tuple(warnings)


def _number(value: Any) -> float:
    """A Python number as a float, infinite where it is beyond every float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
