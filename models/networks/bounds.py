"""What a constructor may be asked for: a model file names its arguments, and building must not cost more than the file.

Sizes of tensors are compared with the file before anything is allocated (:mod:`sotto.models.weights`); what takes time
or memory to lay out, a number of layers or a table that is computed, has to be bounded by the constructor itself.
"""

from __future__ import annotations

from sotto.link import BadValue

MAX_WIDTH = 1 << 14  # of any layer
MAX_LAYERS = 64  # laying a layer out takes milliseconds
MAX_BLOCK = 1 << 10  # samples, or bands and frames, that a first convolution reads at a time


def require_between(low: int, high: int, **arguments: object) -> None:
    """Raise ValueError, on one line, naming the first argument that is no whole number from ``low`` to ``high``."""
    for name, value in arguments.items():
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise BadValue("out-of-range", f"{name} is {str(value)[:40]}; use a whole number from {low} to {high}")
