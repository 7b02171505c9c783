"""Settling the mel bands of a spectrogram that is decrypted up to a rotation among them.

A spectrogram stays stationary in time when its bands are mixed the same way at every moment, so stationarity alone
(:mod:`sotto.keyed.attacks.ciphertext_only.second_order`) leaves an M × M rotation open.  Bands differ in their means
and covariances, which public speech shows; the rotation that brings those together is the one that is left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.moment_alignment import lined_up, orthogonal
from sotto.keyed.attacks.ciphertext_only.moments import Moments

_STARTS, _ROUNDS = 24, 100


def bands_settled(
    key: Tensor, encrypted: Moments, public: Moments, block_size: int, generator: torch.Generator
) -> Tensor:
    """``key`` (N, N) with the bands of what it decrypts turned to where public speech has them."""
    seen = _of_bands(encrypted, key, block_size)
    plain = _of_bands(public, torch.eye(len(key), dtype=key.dtype), block_size)
    best, most = torch.eye(block_size, dtype=key.dtype), -torch.inf
    for attempt in range(_STARTS):
        turn = best if attempt == 0 else lined_up(seen, plain, 10.0 ** -(2 + attempt % 3), attempt > 6, generator)
        for candidate in (turn, _polished(turn, seen, plain)):
            alike = (plain.covariances * (candidate @ seen.covariances @ candidate.T)).sum()
            likeness = float(alike + plain.mean @ candidate @ seen.mean)
            if likeness > most:
                best, most = candidate, likeness
    return torch.kron(best, torch.eye(block_size, dtype=key.dtype)) @ key


def _of_bands(moments: Moments, key: Tensor, block_size: int) -> Moments:
    """Moments of the bands after decryption with ``key``, averaged over the times in a block; one lag per frame."""
    m = block_size
    apart = (key @ moments.covariances[0] @ key.T).reshape(m, m, m, m)  # band, time, band, time
    covariances = torch.stack([apart.diagonal(lag, 1, 3).mean(-1) for lag in range(m)])
    mean = (moments.mean @ key.T).reshape(m, m).mean(1)
    variance = covariances[0].trace().clamp(min=1e-30)
    return Moments(mean / variance.sqrt(), covariances / variance, moments.count)


def _polished(turn: Tensor, seen: Moments, plain: Moments) -> Tensor:
    """Repeated Procrustes: every round brings all covariances and the mean nearer."""
    for _ in range(_ROUNDS):
        half = plain.covariances @ turn @ seen.covariances.transpose(1, 2)
        other = plain.covariances.transpose(1, 2) @ turn @ seen.covariances
        turn = orthogonal((half + other).sum(0) + torch.outer(plain.mean, seen.mean))
    return turn
