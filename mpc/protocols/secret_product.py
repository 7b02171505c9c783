"""Products of two secrets, element by element or of matrices: masked factors are opened, the rest is linear.

With public Delta_x = x + lambda_x and Delta_y = y + lambda_y, and the dealer's shares of both masks and their product,

    [x y] = Delta_x Delta_y - Delta_x [lambda_y] - [lambda_x] Delta_y + [lambda_x lambda_y]

for every bilinear product.  A square opens its one factor once.  What is opened, Delta_x and Delta_y, is uniform,
because the dealer draws the masks for this product alone.  In mode ``malicious`` both openings carry tags and are in
the log that is checked before any output; [lambda_x], [lambda_y] and their product are authenticated shares of the
dealer's, and the formula is a public linear map of them with the same factors on both sides, so [x y] is
authenticated too.  Source: Beaver 1991, in the form with masks kept on the wires (Ben-Efraim, Nielsen and Omri 2019,
"Turbospeedz").
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sotto.mpc.graph.layers import MatMul, Multiply
from sotto.mpc.graph.program import SecretProduct
from sotto.mpc.sharing import uint128
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.compiled import IN, OUT, compiled
from sotto.mpc.sharing.ring import Words
from sotto.mpc.sharing.uint128 import Planes, multiply_add


def product(layer: Multiply | MatMul, left: Words, right: Words) -> Words:
    """left (n, *shape) times right, mod 2^64."""
    if isinstance(layer, Multiply):
        return left * right
    x, y = _matrices(left), _matrices(right)
    out = np.empty((len(x), x.shape[1], y.shape[2]), np.uint64)
    _multiply(x, y, out)
    return out.reshape(*left.shape[:-1], right.shape[-1])


def combined(
    step: SecretProduct, party: int, opened: tuple[Words, Words], masks: tuple[Words, Words], masked_product: Words
) -> Words:
    """This party's share of the product: opened factors, its shares of their masks and of the masks' product."""
    (x, y), (mask_x, mask_y) = opened, masks
    second = y - mask_y if party == 0 else np.uint64(0) - mask_y
    return product(step.layer, x, second) - product(step.layer, mask_x, y) + masked_product


def combined_with_tags(
    step: SecretProduct,
    keys: Keys,
    opened: tuple[Words, Words],
    masks: tuple[Authenticated, Authenticated],
    masked_product: Authenticated,
) -> Authenticated:
    """The same of authenticated shares."""
    x, y = opened
    second = keys.constant(y) - masks[1]
    first = Authenticated(_left_public(step.layer, x, second.planes))
    return first - Authenticated(_right_public(step.layer, masks[0].planes, y)) + masked_product


def _left_public(layer: Multiply | MatMul, x: Words, y: Planes) -> Planes:
    """Public words (n, *left) times wide y (planes, n, *right)."""
    if isinstance(layer, Multiply):
        return _scaled(y, x)
    turned = _right_public(layer, np.ascontiguousarray(y.swapaxes(-1, -2)), np.ascontiguousarray(x.swapaxes(-1, -2)))
    return turned.swapaxes(-1, -2)


def _right_public(layer: Multiply | MatMul, x: Planes, y: Words) -> Planes:
    """Wide x (planes, n, *left) times public words (n, *right)."""
    if isinstance(layer, Multiply):
        return _scaled(x, y)
    left, right = x.reshape(len(x), -1, *x.shape[-2:]), _matrices(y)
    out = np.empty((len(x), len(right), left.shape[2], right.shape[2]), np.uint64)
    _multiply_wide(np.ascontiguousarray(left), right, out)
    return out.reshape(*x.shape[:-1], y.shape[-1])


def _scaled(planes: Planes, words: Words) -> Planes:
    shape = np.broadcast_shapes(planes.shape[1:], words.shape)
    return uint128.scale(np.broadcast_to(planes, (len(planes), *shape)), np.broadcast_to(words, shape))


def _matrices(words: Words) -> Words:
    return np.ascontiguousarray(words.reshape(math.prod(words.shape[:-2]), *words.shape[-2:]))


@compiled(IN[3], IN[3], OUT[3])
def _multiply(left: Any, right: Any, out: Any) -> None:
    for i in range(left.shape[0]):
        for o in range(left.shape[1]):
            line = out[i, o]
            for p in range(right.shape[2]):
                line[p] = np.uint64(0)
            for k in range(left.shape[2]):
                a, row = left[i, o, k], right[i, k]
                for p in range(right.shape[2]):
                    line[p] += a * row[p]


@compiled(IN[4], IN[3], OUT[4])
def _multiply_wide(left: Any, right: Any, out: Any) -> None:
    """left (planes, n, O, K) wide times right (n, K, P) words, into out (planes, n, O, P)."""
    for pair in range(0, left.shape[0], 2):
        for i in range(left.shape[1]):
            for o in range(left.shape[2]):
                for p in range(right.shape[2]):
                    low, high = np.uint64(0), np.uint64(0)
                    for k in range(left.shape[3]):
                        low, high = multiply_add(
                            low, high, left[pair, i, o, k], left[pair + 1, i, o, k], right[i, k, p]
                        )
                    out[pair, i, o, p] = low
                    out[pair + 1, i, o, p] = high
