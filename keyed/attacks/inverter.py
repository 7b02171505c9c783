"""Neural inverter: a network that has seen speech under many other keys decrypts under one that it has never seen.

What it reads is what one query shows about its key, the covariances within a block and between two successive ones and
the mean block; what it gives is a matrix that decrypts the query.  It is trained on public speech under a fresh key in
every step, so the key it is used on is new to it: what it learns is how keys in general show.

It learns the few signs, places and angles of small blocks.  The matrices of larger ones are too many to learn by
example, and the searches of this package, which solve for the key instead of remembering what keys look like, then do
better: see the figures of ``sotto reproduce keyed-attacks``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from sotto.keyed.attacks.ciphertext_only.moment_alignment import orthogonal
from sotto.keyed.encryption.keys import Key, KeyType, guessed_key
from sotto.keyed.encryption.transform import blocks

_LAGS = 2
_BATCH, _WIDTH, _RATE = 64, 384, 1e-3


@dataclass(frozen=True, eq=False)
class Inverter:
    """A trained network for keys of one type and size; make it with :func:`train_inverter`."""

    kind: KeyType
    block_size: int
    dimension: int
    network: nn.Module

    def guess_key(self, encrypted: Tensor) -> Key | None:
        """The key of ``encrypted`` speech (clips, ...), its clips taken together; None where the guess is no key."""
        shown = _Shown.of(encrypted, self.block_size, self.dimension).together
        with torch.no_grad():
            matrix = self.network(shown.inputs).reshape(shown.mean.shape[1], -1).double()
        return guessed_key(self.kind, self.block_size, self.dimension, _nearest(matrix, self.kind))


def train_inverter(
    public: Tensor, kind: KeyType, block_size: int, dimension: int, *, steps: int = 2000, seed: int = 0
) -> Inverter:
    """Train on ``public`` speech (clips, ...), plain, encrypted here under a new random key for each clip and step."""
    generator = torch.Generator().manual_seed(seed)
    speech = _Shown.of(public, block_size, dimension)
    length = block_size**dimension
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(_LAGS * length**2 + length, _WIDTH), nn.LayerNorm(_WIDTH), nn.GELU(),
            nn.Linear(_WIDTH, _WIDTH), nn.LayerNorm(_WIDTH), nn.GELU(),
            nn.Linear(_WIDTH, _WIDTH), nn.LayerNorm(_WIDTH), nn.GELU(),
            nn.Linear(_WIDTH, length**2),
        )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps, pct_start=0.1)
    for _ in range(steps):
        plain = speech.some(torch.randint(len(speech.mean), (_BATCH,), generator=generator))
        keys = _random_keys(kind, length, generator)
        matrices = network(plain.under(keys).inputs).reshape(-1, length, length)
        likeness = _correlations(keys @ matrices.transpose(1, 2), plain)
        # On waveforms nobody hears the sign of the whole, and nothing shows it.
        loss = -(likeness.abs() if dimension == 1 else likeness).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rate.step()
    return Inverter(kind, block_size, dimension, network.eval())


@dataclass(frozen=True, eq=False)
class _Shown:
    """Of each clip, float32: second moments (clips, lags, N, N) and the mean block (clips, N), at unit mean power."""

    seconds: Tensor
    mean: Tensor

    @classmethod
    def of(cls, speech: Tensor, block_size: int, dimension: int) -> _Shown:
        apart = blocks(speech, block_size, dimension).double()
        apart = apart.reshape(len(speech), -1, *apart.shape[2:])  # clips, rows of blocks, blocks, N
        now, later = apart[:, :, :-1].flatten(1, 2), apart[:, :, 1:].flatten(1, 2)
        every = apart.flatten(1, 2)
        seconds = torch.stack([every.mT @ every / every.shape[1], now.mT @ later / max(now.shape[1], 1)], 1)
        power = seconds[:, 0].diagonal(dim1=1, dim2=2).sum(1).clamp(min=1e-30)
        return cls((seconds / power[:, None, None, None]).float(), (every.mean(1) / power.sqrt()[:, None]).float())

    @property
    def inputs(self) -> Tensor:
        """As the network takes them, every number of about unit size."""
        length = self.mean.shape[1]
        return torch.cat([self.seconds.flatten(1) * length, self.mean * length**0.5], 1)

    @property
    def together(self) -> _Shown:
        return _Shown(self.seconds.mean(0, keepdim=True), self.mean.mean(0, keepdim=True))

    def some(self, clips: Tensor) -> _Shown:
        return _Shown(self.seconds[clips], self.mean[clips])

    def under(self, keys: Tensor) -> _Shown:
        """What shows of the same clips under ``keys`` (clips, N, N)."""
        turned = keys[:, None].mT @ self.seconds @ keys[:, None]
        return _Shown(turned, (self.mean[:, None] @ keys)[:, 0])


def _correlations(turns: Tensor, plain: _Shown) -> Tensor:
    """Of blocks x (clips, ...) and x ``turns`` (clips, N, N), that is, of plain speech and what was recovered."""
    power = plain.seconds[:, 0]
    together = (power @ turns).diagonal(dim1=1, dim2=2).sum(1)
    recovered = (turns.mT @ power @ turns).diagonal(dim1=1, dim2=2).sum(1)
    return together / (recovered * power.diagonal(dim1=1, dim2=2).sum(1)).clamp(min=1e-20).sqrt()


def _random_keys(kind: KeyType, length: int, generator: torch.Generator) -> Tensor:
    """Practice keys (batch, N, N), float32; they protect nothing."""
    if kind == "flipping":
        return torch.diag_embed(torch.randint(0, 2, (_BATCH, length), generator=generator).float() * 2 - 1)
    if kind == "shuffling":
        return torch.eye(length)[torch.rand(_BATCH, length, generator=generator).argsort(1)].mT
    q, r = torch.linalg.qr(torch.randn(_BATCH, length, length, generator=generator))
    return q * torch.where(r.diagonal(dim1=1, dim2=2) < 0, -1.0, 1.0)[:, None]


def _nearest(matrix: Tensor, kind: KeyType) -> npt.ArrayLike:
    """The values of the key whose matrix K is nearest to ``matrix``, with which x = y Kᵀ decrypts."""
    if kind == "flipping":
        return matrix.diagonal() < 0
    if kind == "shuffling":
        # K[values[i], i] is 1; a waveform may come out negated as a whole
        signed = matrix if matrix.sum() >= 0 else -matrix
        return linear_sum_assignment(-signed.T.numpy())[1]
    return orthogonal(matrix)
