"""Ciphertext-only attack on ROM: the provider decrypts with nothing but encrypted queries and public speech.

The statistics of speech do not depend on where a block begins: the covariance of two samples is a matter of the time
between them.  Rotated blocks do not have this, and hardly any rotation but the right one gives it back.  The attack

1. starts from rotations that line up the eigenvectors of encrypted blocks with those of public speech, their signs
   settled by the covariances between successive blocks; and from random rotations;
2. refines each until the decrypted speech is as stationary as it gets, by alternating projections;
3. keeps the one that comes nearest: how near tells the attacker, without plain speech, whether he has succeeded.

The sign of the whole stays open; it cannot be heard.
"""

from __future__ import annotations

import torch
from torch import Tensor

from keyed.attacks.moments import Moments, Stationarity
from keyed.keys import ROM, SALT_BYTES

_BATCH = 32
_ROUNDS, _LAST_ROUNDS = 150, 1500
_CLEARLY = 0.1  # a start has succeeded when it is this much nearer to stationary than the usual failure


def rom_from_statistics(
    encrypted: Moments, public: Moments, block_size: int, dimension: int, *, starts: int = 512, seed: int = 0
) -> ROM:
    """The key as the attacker guesses it; ``public`` is of any speech in the same form.

    He tries until one start is clearly better than the rest, at most ``starts`` times.
    """
    generator = torch.Generator().manual_seed(seed)
    rule = Stationarity(block_size, dimension)
    found: list[Tensor] = []
    excess = torch.zeros(0, dtype=torch.float64)
    while len(excess) < starts and not (len(excess) and excess.min() < _CLEARLY * excess.median()):
        batch = torch.stack([_start(encrypted, public, len(excess) + i, generator) for i in range(_BATCH)])
        keys, left = _made_stationary(batch, encrypted, rule, _ROUNDS)
        found += keys.unbind()
        excess = torch.cat([excess, left])
    best, _ = _made_stationary(found[int(excess.argmin())][None], encrypted, rule, _LAST_ROUNDS)
    upright = _spectrum_upright(best[0], encrypted, public, block_size)
    return ROM(block_size, dimension, _orthogonal(upright).numpy(), bytes(SALT_BYTES))


def _start(encrypted: Moments, public: Moments, attempt: int, generator: torch.Generator) -> Tensor:
    if attempt < _BATCH // 2:
        return _lined_up(encrypted, public, 10.0 ** -(2 + attempt % 3), attempt >= 3, generator)
    length = len(public.mean)
    return _orthogonal(torch.randn(length, length, generator=generator, dtype=torch.float64))


def solve_signs(pull: Tensor, lean: Tensor, generator: torch.Generator, restarts: int = 32) -> Tensor:
    """Signs s (N,) that make Σ s_i s_j pull_ij + Σ s_i lean_i large, by flipping one at a time from several starts."""
    pull = pull + pull.T
    pull.fill_diagonal_(0)
    best, most = torch.ones_like(lean), -torch.inf
    for _ in range(restarts):
        signs = torch.randint(0, 2, lean.shape, generator=generator).to(lean.dtype) * 2 - 1
        for _ in range(50 * len(signs)):
            gains = -2 * signs * (pull @ signs + lean)
            flip = gains.argmax()
            if gains[flip] <= 1e-15:
                break
            signs[flip] = -signs[flip]
        value = float(signs @ pull @ signs / 2 + lean @ signs)
        if value > most:
            best, most = signs, value
    return best


def _lined_up(encrypted: Moments, public: Moments, floor: float, jitter: bool, generator: torch.Generator) -> Tensor:
    """Rotation K (N, N) with Kᵀ C_public K ≈ C_encrypted, from eigenvectors in order, signs and swaps of neighbours."""
    v, plain, plain_mean = _whitened(public, floor)
    u, seen, seen_mean = _whitened(encrypted, floor)
    if jitter:
        u, seen, seen_mean = _swapped(u, seen, seen_mean, generator)
    signs = solve_signs((plain * seen).sum(0), plain_mean * seen_mean, generator)
    order = torch.arange(len(signs))
    order, signs = _neighbours_swapped(plain, seen, order, signs)
    return v @ (u[:, order] * signs).T


def _whitened(moments: Moments, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvectors, and in their coordinates: log covariance and whitened lag covariances, each of norm 1; the mean."""
    length = len(moments.mean)
    values, vectors = torch.linalg.eigh(moments.covariances[0] * length)
    values = values.clamp(min=0) + floor
    half = vectors * values.rsqrt()
    logarithm = torch.diag(values.log() - values.log().mean())
    lagged = half.T @ (moments.covariances[1:] * length) @ half
    family = torch.cat([logarithm[None], lagged])
    return vectors, family / family.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None], moments.mean @ half


def _swapped(
    vectors: Tensor, family: Tensor, mean: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Another start: some neighbours in the order of eigenvalues change places."""
    order = torch.arange(len(mean)) + 2.5 * torch.rand(len(mean), generator=generator)
    order = order.argsort()
    return vectors[:, order], family[:, order][:, :, order], mean[order]


def _neighbours_swapped(plain: Tensor, seen: Tensor, order: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Swap two close places, with either sign, while that makes the two families more alike."""
    length = len(order)

    def likeness(order: Tensor, signs: Tensor) -> float:
        return float((plain * seen[:, order][:, :, order] * signs[:, None] * signs).sum())

    most = likeness(order, signs)
    for _ in range(10):
        before = most
        for i in range(length):
            for j in range(i + 1, min(length, i + 4)):
                for flip_i, flip_j in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    new_order, new_signs = order.clone(), signs.clone()
                    new_order[i], new_order[j] = order[j], order[i]
                    new_signs[i], new_signs[j] = flip_i * signs[j], flip_j * signs[i]
                    value = likeness(new_order, new_signs)
                    if value > most + 1e-12:
                        order, signs, most = new_order, new_signs, value
        if most == before:
            break
    return order, signs


def _made_stationary(keys: Tensor, encrypted: Moments, rule: Stationarity, rounds: int) -> tuple[Tensor, Tensor]:
    """Refine rotations (batch, N, N); how far from stationary the decrypted speech then is, (batch,).

    Alternately the nearest stationary covariances to the decrypted ones, and the rotation that comes nearest to those.
    """
    seen = encrypted.covariances
    for _ in range(rounds):
        half = keys[:, None] @ seen
        wanted = rule.nearest(half @ keys[:, None].transpose(2, 3))
        turned = wanted @ (keys[:, None] @ seen.transpose(1, 2)) + wanted.transpose(2, 3) @ half
        keys = _orthogonal(turned.sum(1))
    decrypted = keys[:, None] @ seen @ keys[:, None].transpose(2, 3)
    excess = (decrypted - rule.nearest(decrypted)).square().sum((1, 2, 3)) / decrypted.square().sum((1, 2, 3))
    return keys, excess


def _spectrum_upright(key: Tensor, encrypted: Moments, public: Moments, block_size: int) -> Tensor:
    """Negating every other sample keeps speech stationary and turns its spectrum over: public speech tells which."""
    if block_size % 2:
        return key  # every other sample then has another sign in the next block
    turned = (1.0 - 2.0 * (torch.arange(len(key)) % 2).to(key.dtype))[:, None] * key

    def likeness(candidate: Tensor) -> float:
        return float((candidate @ encrypted.covariances @ candidate.T * public.covariances).sum())

    return turned if likeness(turned) > likeness(key) else key


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, of each in a batch."""
    left, _, right = torch.linalg.svd(matrix)
    return left @ right
