"""All leaves but one of a tree whose leaves sum to Delta: one place where the parties' blocks differ, for few messages.

The sender draws x and expands (x, x + Delta) to 2^d leaves; a node y becomes H(y) and y + H(y), so that every level
sums to Delta (XOR).  The receiver starts from d correlated transfers, choices r_i and blocks k_i + r_i · Delta, and is
sent c_i = k_i + (the sum of the nodes of level i on its side 0): so it knows the sum of the nodes on side r_i and with
it every node beside its path, which goes where the choices do *not* point.  The one leaf that it lacks is the sum of
the others plus Delta: it takes that sum, and both have the same blocks but at its place, where they differ by Delta.
Its choices were random, so the place is, and it sends nothing.

Source: Guo, Yang, Wang, Zhang, Xie, Liu and Zhao, "Half-Tree: Halving the cost of tree expansion in COT and DPF"
(EUROCRYPT 2023), figures 3 and 4, in place of the trees of Ferret's figure 6: half the hashes and half the traffic.

H(y) = P(s(y)) + s(y) with s(a, b) = (b, a + b), circular correlation robust (the same paper, section 2.4).  P is
AES-128 under a public key of its own for every level of every tree: one key is used for one or two blocks that depend
on Delta, so that no search for Delta serves more than one.

A node's children lie a whole level apart: bit i of a leaf's number says on which side its path went at level i.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]

from sotto.link import BadValue
from sotto.mpc.fss.block_vectors import key_schedule
from sotto.mpc.fss.lane_groups import Group
from sotto.mpc.fss.machine_code import WORD, MachineCode, aes_blocks, counted_loop
from sotto.mpc.ot.hashing import Blocks, permuted
from sotto.mpc.sharing.compiled import COUNT, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

Bits = npt.NDArray[np.uint8]

LEAST_DEPTH = 5  # a level is expanded 16 nodes at a time, and those of the first levels lie among later ones
_REGISTERS = 4
_TOGETHER = 32  # trees that are expanded together, so that they stay in the nearer caches
_ARGUMENTS = ("trees", "lanes", "leaves", "keys_at", "nodes_at")


def warm_up() -> None:
    """Compile what will run; twice does no harm."""
    if aes_blocks():
        _kernel()


def grow(delta: Blocks, roots: Blocks, keys: Words) -> tuple[Words, Words]:
    """The sender's leaves (trees, 2^depth, 2), and the sums (trees, depth, 2) of side 0 of each level.

    ``delta`` (2,), ``roots`` (trees, 2) random, ``keys`` (trees, depth, 2) of the levels.
    """
    trees, depth, _ = keys.shape
    nodes = np.empty((trees, 1 << depth, 2), np.uint64)
    nodes[:, 0], nodes[:, 1] = roots, roots ^ delta
    sums = np.empty_like(keys)
    sums[:, 0] = roots

    def level(part: slice, number: int) -> None:
        sums[part, number] = _summed(nodes[part], 1 << number)[:, 0]

    _expand(nodes, keys, level)
    return nodes, sums


def complete(choices: Bits, known: Words, keys: Words) -> tuple[Words, npt.NDArray[np.int64]]:
    """The receiver's leaves (trees, 2^depth, 2), and its places (trees,), at which they differ from the sender's.

    ``choices`` (trees, depth); ``known`` (trees, depth, 2): the sum of each level's nodes on the chosen side.
    """
    trees, depth, _ = keys.shape
    nodes = np.empty((trees, 1 << depth, 2), np.uint64)
    rows, side = np.arange(trees), choices.astype(np.int64)
    hole = 1 - side[:, 0]
    nodes[rows, side[:, 0]], nodes[rows, hole] = known[:, 0], 0

    def level(part: slice, number: int) -> None:
        """Of an unknown node's children one follows from the sum of its side, the other is unknown in turn."""
        half, mine, chosen = 1 << number, rows[part], side[part, number]
        sums = _summed(nodes[part], half)[np.arange(len(mine)), chosen]
        nodes[mine, hole[part] + half * chosen] ^= sums ^ known[part, number]
        hole[part] += half * (1 - chosen)
        nodes[mine, hole[part]] = 0

    _expand(nodes, keys, level)
    sums = _summed(nodes, nodes.shape[1] // 2)
    nodes[rows, hole] = sums[:, 0] ^ sums[:, 1]
    return nodes, hole


def _expand(nodes: Words, keys: Words, level: Callable[[slice, int], None]) -> None:
    """Expand level after level in place; ``level`` sees each as soon as it is there."""
    trees, depth, _ = keys.shape
    if depth < LEAST_DEPTH:
        raise BadValue("too-few-levels", f"a tree has {LEAST_DEPTH} levels or more")
    for start in range(0, trees, _TOGETHER):
        part = slice(start, min(start + _TOGETHER, trees))
        for number in range(1, depth):
            expanded(nodes[part], 1 << number, np.ascontiguousarray(keys[part, number]))
            level(part, number)


def expanded(nodes: Words, width: int, keys: Words) -> None:
    """The next level of each tree of ``nodes`` (trees, leaves, 2), of which the first ``width`` are there, in place.

    What lies beyond the level is overwritten.  ``keys`` (trees, 2).
    """
    if not aes_blocks():
        return expanded_by_openssl(nodes, width, keys)
    _kernel().call(len(nodes), width, nodes.shape[1], keys.ctypes.data, nodes.ctypes.data)


def expanded_by_openssl(nodes: Words, width: int, keys: Words) -> None:
    """The same without the processor's AES instructions; the oracle of the tests."""
    for tree, key in zip(nodes, keys, strict=True):
        known = tree[:width]
        mixed = np.stack([known[:, 1], known[:, 0] ^ known[:, 1]], axis=1)
        left = permuted(mixed, key.tobytes()) ^ mixed
        tree[width : 2 * width] = known ^ left
        tree[:width] = left


@cache
def _kernel() -> MachineCode:
    return MachineCode(_ARGUMENTS, lambda builder, arguments: _emit(builder, arguments, aes_blocks()))


def _emit(builder: ir.IRBuilder, arguments: dict[str, ir.Value], blocks: int) -> None:
    def tree(number: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        words = (builder.add(builder.mul(number, ir.Constant(WORD, 16)), ir.Constant(WORD, at)) for at in (0, 8))
        low, high = (
            builder.load(builder.inttoptr(builder.add(arguments["keys_at"], word), WORD.as_pointer())) for word in words
        )
        keys = key_schedule(builder, low, high, blocks)
        start = builder.mul(number, arguments["leaves"])

        def turn(first: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            group = Group(builder, arguments, keys, builder.add(start, first), _REGISTERS)
            known = group.blocks("nodes_at")
            left = group.one_way(known.swapped() ^ known.high())
            group.write_blocks("nodes_at", left)
            group.write_blocks("nodes_at", known ^ left, plane=1)
            return []

        counted_loop(builder, arguments["lanes"], _REGISTERS * blocks, [], turn)
        return []

    counted_loop(builder, arguments["trees"], 1, [], tree)


def _summed(nodes: Words, half: int) -> Words:
    """Sums (trees, 2, 2) of the first ``half`` nodes of each tree and of as many after them."""
    out = np.zeros((len(nodes), 2, 2), np.uint64)
    _sum(nodes, half, out)
    return out


@compiled(IN[3], COUNT, OUT[3])
def _sum(nodes: Any, half: Any, out: Any) -> None:
    for tree in range(nodes.shape[0]):
        for side in range(2):
            low = high = np.uint64(0)
            for node in range(side * half, (side + 1) * half):
                low ^= nodes[tree, node, 0]
                high ^= nodes[tree, node, 1]
            out[tree, side, 0] = low
            out[tree, side, 1] = high
