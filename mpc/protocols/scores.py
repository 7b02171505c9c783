"""What the words of an opened answer stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from sotto.mpc.graph.plain import final_scores
from sotto.mpc.graph.program import Program
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import Words


def scores_of(program: Program, output: Words) -> npt.NDArray[np.float32]:
    """The scores (n, classes) that an opened output register stands for, what ends the network applied to them."""
    after = program.formats[program.output]
    logits = ring.decode(output, after.fraction, after.divisor)
    return final_scores(program.plan.final, torch.from_numpy(logits)).numpy().astype(np.float32)
