"""The papers' own way of encrypting, one block after another: Algorithms 1, 3 and 5 as they are printed.

:mod:`sotto.keyed.encryption.transform` does the same for a whole batch at once; its results and its speed are held
against this. One correction: the algorithms divide the sizes by M and then count up to that in steps of M; here to the
end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sotto.keyed import Key


def encrypt_in_a_loop(
    x: npt.NDArray[np.floating], key: Key, matrix: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.floating]:
    """``x`` (rows, columns), a spectrogram or a waveform of one row, in whole blocks; a new array of the same dtype.

    ``matrix`` is a ROM's, in that dtype, where it is at hand.
    """
    encrypted = np.zeros_like(x)
    m = key.block_size
    height = m if key.dimension == 2 else 1
    if matrix is None:
        matrix = key.matrix().astype(x.dtype) if key.kind == "rom" else np.empty((0, 0), x.dtype)
    for i in range(0, x.shape[0], height):
        for j in range(0, x.shape[1], m):
            block = x[i : i + height, j : j + m].flatten()
            if key.kind == "shuffling":
                changed = block[key.values]
            elif key.kind == "flipping":
                changed = np.where(key.values == 1, -block, block)
            else:
                changed = block @ matrix
            encrypted[i : i + height, j : j + m] = changed.reshape(height, m)
    return encrypted
