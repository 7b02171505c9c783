"""Kernels compiled by numba for the processor they run on, before they are first called.

With their types stated they are compiled, or read from numba's cache on disk, when their module is imported, so no
query waits for a compiler.  Where nothing can be cached, as on a read-only system, they are compiled in each process.
numba looks at a kernel's own file only: whoever edits a kernel that others call in other files empties the caches
(``__pycache__/*.nbi``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import types

WORD = types.uint64
FLAG = types.boolean
COUNT = types.int64
#: A contiguous array of 1 to 4 axes that is only read, or written to.
BITS_IN = types.Array(types.uint8, 1, "C", readonly=True)
IN = {axes: types.Array(types.uint64, axes, "C", readonly=True) for axes in range(1, 6)}
OUT = {axes: types.Array(types.uint64, axes, "C") for axes in range(1, 6)}


def compiled(*signature: Any, returns: Any = types.void) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function of these argument types."""

    def compile_(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(returns(*signature), cache=True)(function)
        except RuntimeError as error:
            if "cache" not in str(error):
                raise
            return numba.njit(returns(*signature))(function)

    return compile_
