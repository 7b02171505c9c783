"""The comparison keys of :mod:`sotto.mpc.fss.dcf` in NumPy and OpenSSL's AES: the definition, and the path of any
processor.

:mod:`sotto.mpc.fss.dcf_kernel` computes the same words bit for bit and is tested against this module.  Inputs are those
of :mod:`sotto.mpc.fss.dcf`, already checked.  Sources: for bits Boyle et al. 2021 (ePrint 2020/1392), figure 1, with
XOR in place of addition; for tags the tree of Guo et al. 2023 (ePrint 2022/1431), figure 3.

A block is two 64-bit words, the low one first; "bit 0" is the lowest bit of the low word.  A seed of a bit key is a
block whose three lowest bits are clear: that is where the child (0 left, 1 right) and the purpose of a block are
written before it goes through AES, and where the control bits are found in what comes out.

The AES key of a lane is the image under ``key`` of the block (number of its :data:`LANES_PER_KEY` lanes, ``gate``);
what is left over at the end of a call belongs to the last whole number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Words = npt.NDArray[np.uint64]

LANES_PER_KEY = 256  # of AES; the last key of a call serves what is left over as well
LEAF_BITS = 7  # a block has one output bit for each of 2^7 points, so the last seven levels need no tree
_ONE = np.uint64(1)
SEED_MASK = np.array([2**64 - 8, 2**64 - 1], np.uint64)

_BIT_LEAF = 2


def bit_planes(width: int) -> int:
    """How many planes the corrections of bit keys have: one for each level of the tree, and the final one."""
    return max(0, width - LEAF_BITS) + 1


def tag_planes(width: int) -> int:
    """How many planes the corrections of tag keys have: one for each level of the tree."""
    return width


def generate_bits(alpha: Words, width: int, roots: Words, key: bytes, gate: int) -> Words:
    """Correction words of keys for bits of ``alpha`` (n,): (levels, n, 2) uint64."""
    expand = _expansion(key, gate, alpha.size)
    depth = bit_planes(width) - 1
    corrections = np.empty((depth + 1, alpha.size, 2), np.uint64)
    seeds, control, value = *_start(roots), np.zeros_like(alpha)
    for level in range(depth):
        keep = _bit(alpha, width - 1 - level)
        kept, lost = expand(_low(seeds, keep)), expand(_low(seeds, keep ^ _ONE))
        kept_sum, lost_sum = kept[0] ^ kept[1], lost[0] ^ lost[1]
        value_correction = _bit(lost_sum[:, 0], 1) ^ value ^ keep
        value ^= _bit(kept_sum[:, 0], 1) ^ value_correction
        correction = _control_correction(kept_sum, lost_sum, keep)
        seeds, control = _next(kept, control, correction, keep)
        corrections[level] = _low(correction, value_correction << np.uint64(2))
    leaves = expand(_low(seeds, _BIT_LEAF))
    below = _ones_below(alpha & _index_mask(width, depth))
    corrections[depth] = leaves[0] ^ leaves[1] ^ _all_or_none(value)[:, None] ^ below
    return corrections


def evaluate_bits(
    party: int, points: Words, width: int, root: Words, corrections: Words, key: bytes, gate: int
) -> npt.NDArray[np.uint8]:
    """A party's shares of the bits at ``points`` (n,): (n,) uint8."""
    expand = _expansion(key, gate, points.size)
    depth = bit_planes(width) - 1
    seed, control, value = root & SEED_MASK, np.full_like(points, party), np.zeros_like(points)
    for level in range(depth):
        step = _bit(points, width - 1 - level)
        child = expand(_low(seed, step))
        correction = corrections[level]
        value ^= _bit(child[:, 0], 1) ^ control & _bit(correction[:, 0], 2)
        seed, control = _next(child, control, correction, step)
    leaf = expand(_low(seed, _BIT_LEAF)) ^ corrections[depth] & _all_or_none(control)[:, None]
    index = points & _index_mask(width, depth)
    word = np.where(index < 64, leaf[:, 0], leaf[:, 1])
    return (value ^ _bit(word, index & np.uint64(63))).astype(np.uint8)


def generate_tags(alpha: Words, width: int, roots: Words, key: bytes, gate: int) -> Words:
    """Correction words of keys for tags of ``alpha`` (n,): (levels, n, 2).  ``roots`` (2, n, 2) differ by the key of
    the tags, and so do both parties' nodes on the way to alpha; beside it they are the same."""
    expand = _expansion(key, gate, alpha.size)
    corrections = np.empty((tag_planes(width), alpha.size, 2), np.uint64)
    nodes, delta = roots, roots[0] ^ roots[1]
    for level in range(width):
        keep = _bit(alpha, width - 1 - level)
        images = expand(_mixed(nodes))
        corrections[level] = images[0] ^ images[1] ^ delta & _all_or_none(keep ^ _ONE)[:, None]
        nodes = _child(images, nodes, corrections[level], keep)
    return corrections


def evaluate_tags(points: Words, width: int, root: Words, corrections: Words, key: bytes, gate: int) -> Words:
    """A party's shares of the tags at ``points`` (n,): (n, 2) uint64."""
    expand = _expansion(key, gate, points.size)
    node, share = root, np.zeros_like(root)
    for level in range(width):
        step = _bit(points, width - 1 - level)
        child = _child(expand(_mixed(node)), node, corrections[level], step)
        # Both children add up to the node, so this is the right child wherever the point goes left.
        share ^= (child ^ node) & _all_or_none(step ^ _ONE)[:, None]
        node = child
    return share


def _mixed(nodes: Words) -> Words:
    """Guo et al. 2020 (ePrint 2019/074): (high, low) -> (high xor low, high), without which images could be undone."""
    low, high = nodes[..., 0], nodes[..., 1]
    return np.stack([high, high ^ low], axis=-1)


def _child(images: Words, nodes: Words, correction: Words, step: Words) -> Words:
    """The left child is the node's image, corrected where the node is odd; the right one is that xor the node."""
    left = images ^ correction & _all_or_none(_bit(nodes[..., 0], 0))[..., None]
    return left ^ nodes & _all_or_none(step)[..., None]


def _expansion(key: bytes, gate: int, lanes: int) -> Callable[[Words], Words]:
    """What makes of every block (…, lanes, 2) its image under the AES key of its lane."""
    count = max(1, lanes // LANES_PER_KEY)
    numbers = np.stack([np.arange(count, dtype=np.uint64), np.full(count, gate, np.uint64)], axis=-1)
    functions = [_one_way(block.astype("<u8").tobytes()) for block in _one_way(key)(numbers)]
    borders = [LANES_PER_KEY * number for number in range(1, count)]

    def expand(blocks: Words) -> Words:
        parts = zip(functions, np.split(blocks, borders, axis=-2), strict=True)
        return np.concatenate([function(part) for function, part in parts], axis=-2)

    return expand


def _one_way(key: bytes) -> Callable[[Words], Words]:
    """Matyas, Meyer and Oseas 1985: x -> AES_key(x) xor x, of every block (…, 2)."""
    # ECB is the bare permutation, and that is what the construction is made of.
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def image(blocks: Words) -> Words:
        encrypted = np.frombuffer(cipher.update(blocks.astype("<u8").tobytes()), "<u8").astype(np.uint64, copy=False)
        return encrypted.reshape(blocks.shape) ^ blocks

    return image


def _start(roots: Words) -> tuple[Words, Words]:
    """Both parties' seeds (2, N, 2) and control bits (2, N) at the root: party 1 starts with t = 1."""
    control = np.zeros(roots.shape[:2], np.uint64)
    control[1] = 1
    return roots & SEED_MASK, control


def _control_correction(kept_sum: Words, lost_sum: Words, keep: Words) -> Words:
    """The correction of seed and control bits: off the path to alpha both parties continue alike, on it they differ."""
    keep_bit, lose_bit = _bit(kept_sum[:, 0], 0) ^ _ONE, _bit(lost_sum[:, 0], 0)
    return _low(lost_sum & SEED_MASK, (keep_bit << keep) | (lose_bit << (keep ^ _ONE)))


def _next(child: Words, control: Words, correction: Words, step: Words) -> tuple[Words, Words]:
    """Seed and control bit of the ``child`` taken (…, N, 2), corrected where the parent's control bit is set."""
    seed = (child ^ correction & _all_or_none(control)[..., None]) & SEED_MASK
    return seed, _bit(child[..., 0], 0) ^ control & _bit(correction[..., 0], step)


def _low(blocks: Words, bits: Words | int) -> Words:
    """The blocks with ``bits`` written over clear low bits."""
    marked = blocks.copy()
    marked[..., 0] |= np.asarray(bits, np.uint64)
    return marked


def _bit(words: Words, position: Words | int) -> Words:
    return words >> np.asarray(position, np.uint64) & _ONE


def _all_or_none(bits: Words) -> Words:
    return np.uint64(0) - bits


def _index_mask(width: int, depth: int) -> np.uint64:
    """The part of a point that says which bit of the leaf is its own."""
    return np.uint64(2 ** (width - depth) - 1)


def _ones_below(count: Words) -> Words:
    """Blocks (N, 2) in which the bits 0 … ``count`` - 1 are set; ``count`` < 128."""
    ones = (_ONE << (count & np.uint64(63))) - _ONE
    low = count < 64
    return np.stack([np.where(low, ones, np.uint64(2**64 - 1)), np.where(low, np.uint64(0), ones)], axis=-1)
