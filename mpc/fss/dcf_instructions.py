"""The four functions of :mod:`sotto.mpc.fss.dcf` as instructions; read :mod:`sotto.mpc.fss.dcf_reference` first, these
follow it.

No branch and no address depends on a secret or a point.  A control bit is never taken out of its block: it is bit 0 of
the second part of the state, in trees of tags of the node itself.  Whatever else the three low bits of a seed hold is
cleared where the seed is used.
"""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from sotto.mpc.fss.block_vectors import Blocks
from sotto.mpc.fss.lane_groups import LEVELS_IN_REGISTERS, Group
from sotto.mpc.fss.machine_code import WORD

_BIT_LEAF = 2


class EvaluateBits:
    """A party's shares of comparison bits, one lane a key."""

    arguments: tuple[str, ...] = ("corrections_at", "width", "points_at", "root_at", "shares_at", "party")
    registers, parts = 8, 3

    def begin(self, group: Group) -> tuple[Blocks, ...]:
        return group.blocks("root_at"), group.one.splat(group.arguments["party"]), group.zero

    def level(self, group: Group, number: ir.Value, *state: Blocks) -> tuple[Blocks, ...]:
        seed, control, value = state
        step = _step(group, group.words("points_at"), number)
        child = _expand(group, seed, step)
        correction = control.where_odd(_corrections(group, number, LEVELS_IN_REGISTERS))
        # The output's bit is bit 1 of the child and bit 2 of the correction; it gathers in bit 2 of ``value``.
        return *_corrected(child, correction, step), value ^ correction ^ child << group.one

    def finish(self, group: Group, *state: Blocks) -> None:
        seed, control, value = state
        constant = seed.constant
        leaf = _expand(group, seed, constant(_BIT_LEAF, 0))
        leaf ^= control.where_odd(group.blocks("corrections_at", group.arguments["levels"]))
        index = _leaf_index(group, group.words("points_at"))
        bit = (leaf >> (index & constant(63, 63))).where_equal(index >> constant(6, 6), constant(0, 1))
        group.write_bytes("shares_at", (bit ^ value >> constant(2, 2) & group.one) & constant(1, 1))


class EvaluateTags:
    """A party's shares of tags of comparison bits, one lane a key."""

    arguments: tuple[str, ...] = ("corrections_at", "width", "points_at", "root_at", "shares_at")
    registers, parts = 8, 2

    def begin(self, group: Group) -> tuple[Blocks, ...]:
        return group.blocks("root_at"), group.zero

    def level(self, group: Group, number: ir.Value, *state: Blocks) -> tuple[Blocks, ...]:
        node, share = state
        step = _step(group, group.words("points_at"), number)
        image, correction = group.one_way(node.mixed()), _corrections(group, number, LEVELS_IN_REGISTERS)
        child = _child(image, node, correction, step)
        return child, share ^ (step ^ group.one).where_odd(child ^ node)

    def finish(self, group: Group, *state: Blocks) -> None:
        group.write_blocks("shares_at", state[1])


class GenerateBits:
    """The correction words of keys for comparison bits."""

    arguments: tuple[str, ...] = ("corrections_at", "width", "points_at", "roots_at")
    registers, parts = 2, 5

    def begin(self, group: Group) -> tuple[Blocks, ...]:
        return _both_roots(group)

    def level(self, group: Group, number: ir.Value, *state: Blocks) -> tuple[Blocks, ...]:
        *parties, value = state
        one = group.one
        keep = _step(group, group.words("points_at"), number)
        kept, lost = _children(group, parties, keep), _children(group, parties, keep ^ one)
        kept_sum, lost_sum = kept[0] ^ kept[1], lost[0] ^ lost[1]
        value_correction = (lost_sum >> one ^ value ^ keep) & one
        value ^= (kept_sum >> one ^ value_correction) & one
        correction = _control_correction(kept_sum, lost_sum, keep, one) | value_correction << one.constant(2, 2)
        group.write_blocks("corrections_at", correction, number)
        return *_both_corrected(kept, parties, correction, keep), value

    def finish(self, group: Group, *state: Blocks) -> None:
        *parties, value = state
        leaves = _children(group, parties, value.constant(_BIT_LEAF, 0))
        below = _ones_below(_leaf_index(group, group.words("points_at")))
        everywhere = value.where_odd(value.constant(-1, -1))
        group.write_blocks("corrections_at", leaves[0] ^ leaves[1] ^ everywhere ^ below, group.arguments["levels"])


class GenerateTags:
    """The correction words of keys for tags of comparison bits; party 1's nodes on the way differ by the ``delta``."""

    arguments: tuple[str, ...] = ("corrections_at", "width", "points_at", "root_at", "delta_at")
    registers, parts = 4, 1

    def begin(self, group: Group) -> tuple[Blocks, ...]:
        return (group.blocks("root_at"),)

    def level(self, group: Group, number: ir.Value, *state: Blocks) -> tuple[Blocks, ...]:
        (node,), delta = state, group.one_block("delta_at")
        keep = _step(group, group.words("points_at"), number)
        image, other = group.one_way(node.mixed()), group.one_way((node ^ delta).mixed())
        correction = image ^ other ^ (keep ^ group.one).where_odd(delta)
        group.write_blocks("corrections_at", correction, number)
        return (_child(image, node, correction, keep),)

    def finish(self, group: Group, *state: Blocks) -> None:
        """The last level's nodes need no correction."""


def _corrections(group: Group, plane: ir.Value, ahead: int) -> Blocks:
    """A plane's blocks; those ``ahead``, which the group will need when it is taken up again, are sent for."""
    group.prefetch("corrections_at", group.builder.add(plane, ir.Constant(WORD, ahead)))
    return group.blocks("corrections_at", plane)


def _step(group: Group, points: Blocks, level: ir.Value) -> Blocks:
    """The bit of each lane's point that ``level`` uses up, at bit 0 of its block."""
    builder = group.builder
    position = builder.sub(builder.sub(group.arguments["width"], ir.Constant(WORD, 1)), level)
    return points >> points.splat(position) & group.one


def _expand(group: Group, seed: Blocks, mark: Blocks) -> Blocks:
    """What the one-way function makes of a seed with ``mark`` written over its low bits."""
    return group.one_way(seed & seed.constant(-8, -1) | mark)


def _corrected(child: Blocks, correction: Blocks, step: Blocks) -> tuple[Blocks, Blocks]:
    """Seed and control bit of the child; ``correction`` is zero where the parent's control bit is not set."""
    return child ^ correction, child ^ correction >> step


def _leaf_index(group: Group, points: Blocks) -> Blocks:
    """Which of the bits of its leaf is each point's own."""
    builder = group.builder
    rest = builder.sub(group.arguments["width"], group.arguments["levels"])
    size = builder.shl(ir.Constant(WORD, 1), rest)
    return points & points.splat(builder.sub(size, ir.Constant(WORD, 1)))


def _child(image: Blocks, node: Blocks, correction: Blocks, step: Blocks) -> Blocks:
    """A node's child in a tree of tags."""
    return image ^ node.where_odd(correction) ^ step.where_odd(node)


def _both_roots(group: Group) -> tuple[Blocks, ...]:
    """Seed and control bit of party 0, then of party 1, who starts with 1; then an output of 0."""
    return group.blocks("roots_at", 0), group.zero, group.blocks("roots_at", 1), group.one, group.zero


def _children(group: Group, parties: list[Blocks], mark: Blocks) -> list[Blocks]:
    return [_expand(group, seed, mark) for seed in parties[::2]]


def _both_corrected(kept: list[Blocks], parties: list[Blocks], correction: Blocks, keep: Blocks) -> list[Blocks]:
    """Seeds and control bits of both parties in turn, as they stand in ``parties``."""
    after: list[Blocks] = []
    for child, control in zip(kept, parties[1::2], strict=True):
        after += _corrected(child, control.where_odd(correction), keep)
    return after


def _control_correction(kept: Blocks, lost: Blocks, keep: Blocks, one: Blocks) -> Blocks:
    """The correction of seed and control bits, from the sums over both parties of the two children."""
    keep_bit, lose_bit = (kept ^ one) & one, lost & one
    return lost & lost.constant(-8, -1) | keep_bit << keep | lose_bit << (keep ^ one)


def _ones_below(count: Blocks) -> Blocks:
    """Blocks in which the bits 0 … ``count`` - 1 are set; both words hold the ``count``, which is below 128."""
    one, high = count.constant(1, 1), count >> count.constant(6, 6)
    ones = (one << (count & count.constant(63, 63))) - one
    # ``ones`` in the word that the count ends in, and all of the low word if that is the high one.
    return ones.where_equal(high, count.constant(0, 1)) | count.constant(-1, 0).where_equal(high, one)
