"""Whether every wire of a network stays inside the range that its words are made for, at the edges of the limit."""

import masked_parties as parties
import numpy as np

from sotto import mpc
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.program import Compare, Truncate
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.sharing import ring


def corners(shape, limit, seed, n=24):
    """Random inputs within the limit, most of them at its edges."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-limit, limit, (n, *shape))
    edge = np.where(rng.integers(0, 2, x.shape) == 1, limit, -limit)
    x = np.where(rng.random((n,) + (1,) * len(shape)) < 0.7, edge, x)
    x[0], x[1], x[2] = limit, -limit, 0
    return x.astype(np.float32)


def require_words_inside(module, shape, limit, seed, reveal):
    """Run the fixed-point model and hold every register, and every gate's operand, against what was declared."""
    plan, weights = trace(module, shape, input_limit=limit)
    ranges = value_ranges(plan, weights)
    try:
        program = compile_program(plan, ranges, reveal)
    except mpc.PlanError:
        return False
    x = corners(shape, limit, seed)
    registers = parties.in_clear(program, ring.encode(x), weights)
    for number, after in enumerate(program.formats):
        words = registers[number].view(np.int64)
        assert int(words.max()) < 1 << after.bits, (number, after)
        assert int(words.min()) > -(1 << after.bits), (number, after)
    for step in program.steps:
        if isinstance(step, Compare):
            words = registers[step.sources[0]].view(np.int64)
            # The gate may round up, and then too must the value fit (see mpc.comparison).
            assert int(words.max()) <= (1 << (step.width - 1)) - ((1 << step.cut) if step.cut else 1)
            assert int(words.min()) >= -(1 << (step.width - 1))
        elif isinstance(step, Truncate):
            assert int(np.abs(registers[step.sources[0]].view(np.int64)).max()) < 1 << 61
    return True
