"""What the words of an opened answer stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sotto.link import Answer
from sotto.mpc.graph.plan import Final
from sotto.mpc.graph.program import WORD_BITS, Program
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.ring import Words


def answer_of(program: Program, opened: Words) -> Answer:
    """The answer that an opened output register stands for, the index's bits at its top."""
    if program.reveal == "values":
        return Answer(np.full(len(opened), -1), scores_of(program, opened))
    if not program.winner and program.index_bits is None:
        scores = scores_of(program, opened)
        return Answer(scores.argmax(axis=1).astype(np.int64), scores)
    index = opened[:, 0].astype(np.int64)
    if program.index_bits is not None:
        low = opened[:, 0] >> np.uint64(WORD_BITS - program.index_bits)
        index = program.classes - 1 - low.astype(np.int64)
    return Answer(index).warned(*program.plan.no_class(index))


def scores_of(program: Program, output: Words) -> npt.NDArray[np.float32]:
    """The scores (n, classes) that an opened output register stands for, what ends the network applied to them."""
    after = program.formats[program.output]
    logits = ring.decode(output, after.fraction, after.divisor)
    return _ended(program.plan.final, logits).astype(np.float32)


def _ended(final: Final, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """As :func:`sotto.mpc.graph.plain.final_scores`, without torch, which Alice does not need."""
    match final:
        case "softmax" | "log_softmax":
            logged = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            return logged if final == "log_softmax" else np.exp(logged)
        case "sigmoid" | "log_sigmoid":
            logged = -np.logaddexp(0, -logits)
            return logged if final == "log_sigmoid" else np.exp(logged)
    return logits
