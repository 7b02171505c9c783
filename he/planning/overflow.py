"""Alice notices overflow: slots of an answer that hold nothing of their own, and must therefore agree.

A value that outgrows the modulus wraps around without an error.  It does so in the coefficients of a plaintext, which
spreads the damage over all its slots, those included whose content Alice knows or can compare:

* packed: an answer repeats, and the slots of a period behind the logits (at least half of it) are zero;
* batched: the last :data:`SPARE_SLOTS` of a batch hold no query, so that they all answer the same, and no answer has an
  imaginary part.

An answer that contradicts itself by more than honest noise explains is refused, whatever was proved about the model.
This is a check against accidents: a Bob who cheats can make slots agree.  In mode ``tenseal`` slots behind the logits
are not determined, and there is no such check.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.he.network.network import Floats
from sotto.he.planning.noise import LARGE_LOGIT
from sotto.link import FrameError


class Overflowed(FrameError):
    """An answer contradicts itself; that tells of the query, so that Bob must not see what Alice makes of it."""


#: Slots of a batch that Alice leaves empty.
SPARE_SLOTS = 16

#: What slots may differ by for noise: twelve deviations of the flood of the noisiest plan.
_HONEST = 2.0**-6

Slots = npt.NDArray[Any]  # complex128 (S,), decrypted


def packed_logits(values: Slots, period: int, classes: int, paired: bool) -> Floats:
    """The logits (classes,) in the slots of a packed answer: the mean over the copies, whose noise differs.

    ``period`` and ``paired`` as in :class:`sotto.he.network.packing.Packing`.

    Raises
    ------
    FrameError
        copies differ, or slots that must be empty are not.
    """
    mean = values.reshape(-1, period).mean(axis=0)
    parts = np.stack([mean.real, mean.imag], axis=1) if paired else np.real(mean)[:, None]
    logits = parts.reshape(-1)[:classes].astype(np.float64)
    expected = np.zeros(parts.size)
    expected[:classes] = logits
    shaped = expected.reshape(parts.shape)
    clean = shaped[:, 0] + 1j * (shaped[:, 1] if paired else 0)
    _agree(values - np.tile(clean, len(values) // period), logits)
    return logits


def batched_logits(values: Slots, count: int) -> Floats:
    """One class's logits (count,) in the slots of a batched answer; :class:`sotto.link.FrameError` as above."""
    logits = values.real[:count].astype(np.float64)
    spare = values[-SPARE_SLOTS:]
    _agree(np.concatenate([spare - spare.real.mean(), 1j * values.imag]), values.real)
    return logits


def _agree(difference: Slots, logits: Floats) -> None:
    largest = max(1.0, float(np.abs(logits).max()) / LARGE_LOGIT)
    if not np.maximum(np.abs(difference.real), np.abs(difference.imag)).max() <= _HONEST * largest:
        raise Overflowed(
            "overflowed",
            "a decrypted answer contradicts itself, a value overflowed on the way: the query is unlike what Bob's model"
            " was calibrated on, or Bob's answer is wrong",
        )
