"""Lining up: the rotation between two sets of moments, from eigenvectors of their covariances.

A rotation keeps the eigenvalues of a covariance and turns its eigenvectors, so sorting both by eigenvalue pairs them.
What that leaves open, each vector's sign and the order of near ties, the covariances between successive blocks settle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.moments import Moments


def lined_up(encrypted: Moments, public: Moments, floor: float, jitter: bool, generator: torch.Generator) -> Tensor:
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


def solve_signs(pull: Tensor, lean: Tensor, generator: torch.Generator, restarts: int = 32) -> Tensor:
    """Signs s (N,) that make Σ s_i s_j pull_ij + Σ s_i lean_i large, by flipping one at a time from several starts."""
    pull = pull + pull.T
    pull.fill_diagonal_(0)
    best, most = torch.ones_like(lean), -torch.inf
    for attempt in range(restarts):
        signs = torch.randint(0, 2, lean.shape, generator=generator).to(lean.dtype) * 2 - 1
        if attempt == 0:  # the relaxation to real numbers, rounded
            signs = torch.where(torch.linalg.eigh(pull)[1][:, -1] < 0, -1.0, 1.0).to(lean.dtype)
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


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, of each in a batch."""
    left, _, right = torch.linalg.svd(matrix)
    return left @ right
