"""How long a bundle of mode ``malicious`` is, and in which segments a long one is dealt.

A bundle above :data:`WAITING_BYTES` waits for no query: it is dealt while the query runs, segment by segment, each read
into the place of the one before.  The dealer's words depend on nothing that the parties say, so whoever sees the rest
of a bundle later knows no more, and can do no more, than one who had it all before; the check before any output covers
the openings of all segments.
"""

from __future__ import annotations

import math

from sotto.mpc.fss import comparison_gate, dcf
from sotto.mpc.graph.program import Compare, Product, Program, SecretProduct, Step, Truncate, Winner
from sotto.mpc.protocols import winner
from sotto.mpc.protocols.semi_honest.preprocessing import KEY_BYTES, SEED_BYTES
from sotto.mpc.sharing.ring import WORD_BYTES

ALICE, BOB = 0, 1
TAG_BYTES = 16
WAITING_BYTES = 1 << 31  # of Bob's bundle, which is the longer one; what is longer fits into no stock, either
SEGMENT_BYTES = 1 << 28
_HEAD = WORD_BYTES + SEED_BYTES + KEY_BYTES


def bundle_bytes(program: Program, examples: int, party: int) -> int:
    """Exact size of a bundle on the wire."""
    return sum(segment_bytes(program, examples, party))


def segment_bytes(program: Program, examples: int, party: int) -> list[int]:
    """Exact size of each of its segments."""
    sizes = [
        WORD_BYTES * sum(_step_words(program, step, examples, party) for step in steps)
        for steps in segments(program, examples)
    ]
    inputs, outputs = examples * math.prod(program.plan.input_shape), examples * math.prod(program.output_shape)
    sizes[0] += _HEAD + WORD_BYTES * (2 if party else 1) * inputs
    if party:
        sizes[-1] += WORD_BYTES * 5 * outputs + (0 if program.winner else TAG_BYTES)
    else:
        sizes[-1] += WORD_BYTES * outputs
    return sizes


def segments(program: Program, examples: int) -> list[tuple[Step, ...]]:
    """The steps whose part of a bundle is dealt together: all, or of a bundle too long to wait as many as come to
    Bob's :data:`SEGMENT_BYTES`."""
    sizes = [WORD_BYTES * _step_words(program, step, examples, BOB) for step in program.steps]
    if sum(sizes) <= WAITING_BYTES:
        return [program.steps]
    found: list[tuple[Step, ...]] = []
    start = size = 0
    for stop, own in enumerate(sizes):
        if size and size + own > SEGMENT_BYTES:
            found.append(program.steps[start:stop])
            start, size = stop, 0
        size += own
    return [*found, program.steps[start:]]


def _step_words(program: Program, step: Step, examples: int, party: int) -> int:
    """Words of a step's part of a bundle."""
    count = count_of(step, examples)
    if isinstance(step, Product):
        fresh = step.sources[0] not in program.masked
        own = 2 if step.out in program.masking else 3
        return (own * count + (2 * examples * math.prod(step.input_shape) if fresh else 0)) * party
    if isinstance(step, SecretProduct):
        return (3 * count + 2 * examples * sum(math.prod(shape) for shape in step.opened)) * party
    if not isinstance(step, Compare | Truncate):
        return 0
    own = 0 if step.sources[0] in program.masking else 2
    corrections = (own + 3 * comparison_gate.rows(step)) * count
    if isinstance(step, Truncate):
        return corrections * party
    key = 2 * dcf.tag_planes(step.depth) * count
    if isinstance(step, Winner) and not party:
        return key + (2 * count + step.classes * examples) * winner.HASH_BYTES // WORD_BYTES
    return key + (corrections + 2 * count * len(step.thresholds)) * party


def count_of(step: Step, examples: int) -> int:
    """Elements of a step's output."""
    return examples * math.prod(step.shape)
