"""Programs of one gate, the values that test it, and what must come out."""

import numpy as np

from sotto.mpc.graph.layers import ReLU
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.program import Compare, Format, Program

SAMPLES = 10_000


def one_gate(gate, count, width, cut):
    """A program of this gate alone, on ``count`` words of Alice's."""
    plan = ModelPlan((count,), 1.0, (ReLU(0),))
    arguments = (width, cut) if gate is Compare else (cut,)
    step = gate("gate", (0,), 1, (count,), *arguments)
    return Program(plan, (0, 0), "logits", (step,), 1, (Format(16, 1, width - 1), Format(16, 1, width - 1)))


def range_of(width, cut):
    """What the gate is made for: the cut may round up, and the result must still fit."""
    return -(1 << (width - 1)), (1 << (width - 1)) - max(1, 1 << cut if cut else 1)


def edges(width, cut):
    low, high = range_of(width, cut)
    near = [0, 1, -1, 2, -2, (1 << cut) - 1, 1 << cut, -(1 << cut), -(1 << cut) - 1, low, low + 1, high, high - 1]
    return np.array(sorted({each for each in near if low <= each <= high}), np.int64)


def samples(width, cut, seed=1):
    """Uniform values, values of every magnitude, and the edges: 10,000 in all."""
    low, high = range_of(width, cut)
    rng = np.random.default_rng(seed)
    spread = rng.integers(low, high, SAMPLES // 2, np.int64, endpoint=True)
    sizes = rng.integers(0, width, SAMPLES // 2)
    small = np.clip(rng.integers(-(1 << 62), 1 << 62, SAMPLES // 2) >> (62 - sizes), low, high)
    values = np.concatenate([edges(width, cut), spread, small])
    return values[:SAMPLES] if len(values) > SAMPLES else values


def require_relu(values, result, cut):
    expected = np.maximum(values >> cut, 0)
    if cut == 0:
        assert (result == expected).all()
    else:
        assert np.abs(result - expected).max() <= 1


def require_truncation(values, result, cut):
    assert set(np.unique(result - (values >> cut))) <= {0, 1}
