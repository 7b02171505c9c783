"""All but one of 2^k seeds: the trees from which an extension starts.

One party grows a binary tree of seeds from a secret root (Goldreich, Goldwasser and Micali 1986) and knows all leaves;
the other learns every leaf but one, at a place the first does not know.  It takes k oblivious transfers: for each level
the sender masks the sum of all left nodes with one key and the sum of all right ones with the other; whoever holds one
of the two sums can complete every node beside its path.  With random transfers the path is where the choice bits do
*not* point, so it is random and costs no message of the receiver's.

Nodes are expanded by BLAKE2b of 32 bytes, of which each child takes half.  Its salt is the session's, its
personalisation says which level of which tree a node is of; of each there is one that the other side does not know, so
a search for it costs 128 bits and serves for nothing else.  Source: Roy, "SoftSpokenOT" (CRYPTO 2022),
figure 13, without its check against malicious parties.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
import numpy.typing as npt

from sotto.mpc.ot.base_ot import KEY_BYTES, Keys

Seeds = npt.NDArray[np.uint8]  # (trees, leaves, KEY_BYTES)


def grow(keys: Keys, depth: int, salt: bytes) -> tuple[Seeds, bytes]:
    """All seeds (trees, 2^depth, 16) of fresh trees, and the message for the other side.

    ``keys``: both keys of ``depth`` transfers a tree, (trees · depth, 2, 16).  ``salt``: 16 bytes, public, the
    session's.
    """
    masks = keys.reshape(-1, depth, 2, KEY_BYTES)
    levels = np.frombuffer(secrets.token_bytes(len(masks) * KEY_BYTES), np.uint8).reshape(-1, 1, KEY_BYTES)
    sums = np.empty_like(masks)
    for level in range(depth):
        levels = _expanded(levels, level, salt)
        for side in (0, 1):
            sums[:, level, side] = np.bitwise_xor.reduce(levels[:, side::2], axis=1)
    return levels, (sums ^ masks).tobytes()


def punctured_bytes(trees: int, depth: int) -> int:
    """Size of the message that :func:`grow` makes."""
    return trees * depth * 2 * KEY_BYTES


def complete(choices: npt.NDArray[np.uint8], keys: Keys, depth: int, message: bytes, salt: bytes) -> tuple[Seeds, Keys]:
    """All seeds but one of each tree, zeros in its place; and the missing places (trees,), uint8.

    ``choices`` (trees · depth,) and ``keys`` (trees · depth, 16) of the receiver's transfers.
    """
    chosen, own = choices.reshape(-1, depth), keys.reshape(-1, depth, KEY_BYTES)
    masked = np.frombuffer(message, np.uint8).reshape(-1, depth, 2, KEY_BYTES)
    trees = np.arange(len(chosen))
    hole = np.zeros(len(chosen), np.int64)
    nodes = np.zeros((len(chosen), 1, KEY_BYTES), np.uint8)  # the root is unknown
    for level in range(depth):
        side = chosen[:, level].astype(np.int64)
        nodes = _expanded(nodes, level, salt)
        nodes[trees, 2 * hole] = nodes[trees, 2 * hole + 1] = 0  # children of an unknown node
        halves = np.stack([np.bitwise_xor.reduce(nodes[:, each::2], axis=1) for each in (0, 1)], axis=1)
        nodes[trees, 2 * hole + side] = halves[trees, side] ^ masked[trees, level, side] ^ own[:, level]
        hole = 2 * hole + (1 - side)
    return nodes, hole.astype(np.uint8)


def _expanded(nodes: Seeds, level: int, salt: bytes) -> Seeds:
    """Both children of every node: (trees, n, 16) to (trees, 2n, 16)."""
    children = b"".join(
        hashlib.blake2b(node.tobytes(), digest_size=2 * KEY_BYTES, salt=salt, person=place).digest()
        for tree, own in enumerate(nodes)
        for place in [tree.to_bytes(8, "little") + level.to_bytes(8, "little")]
        for node in own
    )
    return np.frombuffer(children, np.uint8).reshape(len(nodes), -1, KEY_BYTES).copy()
