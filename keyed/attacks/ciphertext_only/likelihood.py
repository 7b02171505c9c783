"""Ciphertext-only attack on ROM for waveforms, the last step: the rotation under which speech is likeliest.

In a stationary waveform, different frequencies are uncorrelated.  Blocks of M samples mix the M frequencies
(ω + 2 π k) / M, and only the right rotation takes them apart again: it makes the decrypted spectral matrices diagonal
in the basis of those frequencies.  How far they are from it is measured as the Whittle likelihood measures it, by the
mean logarithm of the decrypted spectrum (Hadamard's inequality: least when they are diagonal), which gives faint
frequencies the same weight as loud ones.  Segments are sorted by loudness and by how alike successive blocks are, both
of which a rotation leaves as they are; so vowels and fricatives, whose spectra differ, each have their say.

No public speech is used.  The likelihood has many local optima, in which bands of frequencies have the wrong sign or
place; they are left by trying such changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sotto.keyed.encryption.transform import blocks

_SEGMENT = 16  # blocks
_LOUDNESSES, _KINDS = 3, 3
_FLOOR = 1e-4  # of the mean power: what lies 40 dB below says more of the recording than of the key
_TRIED, _ROUNDS = 6, 12
_AT_A_TIME = 64
_REFINED = 100


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectral matrices of encrypted blocks: ``matrices`` (n, M, M) complex, at ``frequencies`` (n,) per block."""

    matrices: Tensor
    frequencies: Tensor

    @classmethod
    def of(cls, encrypted: Tensor, block_size: int) -> Spectra | None:
        """Of waveforms (clips, ..., samples); None when they are too short or too quiet to say anything."""
        apart = blocks(encrypted, block_size, 1)[:, 0].double()
        if apart.shape[1] < _SEGMENT:
            return None
        segments = (apart - apart.mean((0, 1))).unfold(1, _SEGMENT, _SEGMENT // 2).flatten(0, 1)  # (n, M, blocks)
        energy = segments.square().sum((1, 2))
        sounding = energy > 1e-7 * energy.max()
        segments, energy = segments[sounding], energy[sounding]
        if len(segments) < _LOUDNESSES * _KINDS * block_size:
            return None
        alike = (segments[:, :, 1:] * segments[:, :, :-1]).sum((1, 2)) / energy
        levels = (energy / energy.mean()).sqrt()[:, None, None]
        found = [
            _spectral_matrices(kind / level)
            for members in energy.argsort().tensor_split(_LOUDNESSES)
            for kinds in members[alike[members].argsort()].tensor_split(_KINDS)
            for kind, level in [(segments[kinds], levels[kinds])]
        ]
        omega = 2 * math.pi * (torch.arange(_SEGMENT // 2, dtype=torch.float64) + 0.5) / _SEGMENT
        return cls(torch.cat(found), omega.repeat(len(found)))

    @classmethod
    def of_each(cls, encrypted: Tensor, block_size: int) -> Spectra | None:
        """As :meth:`of`, apart for every clip: one voice's spectrum has deeper valleys than the mean of several."""
        apart = [spectra for clip in encrypted if (spectra := cls.of(clip[None], block_size)) is not None]
        if not apart:
            return None
        return cls(torch.cat([each.matrices for each in apart]), torch.cat([each.frequencies for each in apart]))


def refined(keys: list[Tensor], spectra: Spectra) -> Tensor:
    """The likeliest of ``keys`` (M, M), turned a little until it is likelier still."""
    likelihood = _Likelihood(spectra, len(keys[0]))
    best = keys[int(likelihood.cost(torch.stack(keys)).argmin())]
    return _descended(best, likelihood, _REFINED)[0]


def likeliest(keys: list[Tensor], spectra: Spectra) -> Tensor:
    """The best key matrix (M, M) that is found from any of ``keys``."""
    likelihood = _Likelihood(spectra, len(keys[0]))
    settled = [_settled(key, likelihood) for key in keys]
    return min(settled, key=lambda key: float(likelihood.cost(key[None])))


class _Likelihood:
    def __init__(self, spectra: Spectra, block_size: int) -> None:
        place = torch.arange(block_size, dtype=torch.float64)
        frequencies = (spectra.frequencies[:, None] + 2 * math.pi * place) / block_size
        self._waves = torch.exp(1j * frequencies[:, None, :] * place[:, None]) / math.sqrt(block_size)
        self._matrices = spectra.matrices

    def cost(self, keys: Tensor) -> Tensor:
        """Mean logarithm of the spectrum after decryption with ``keys`` (batch, M, M); smaller is likelier."""
        seen = keys.to(self._waves.dtype)[:, None].transpose(2, 3) @ self._waves
        return ((seen.conj() * (self._matrices @ seen)).sum(-2).real + _FLOOR).log().mean((1, 2))


def _settled(key: Tensor, likelihood: _Likelihood) -> Tensor:
    """Descend; then change the sign or place of a band of frequencies and descend again, while that helps."""
    changes = _changes(len(key))
    key, least = _descended(key, likelihood, 60)
    for _ in range(_ROUNDS):
        tried = changes @ key
        costs = torch.cat([likelihood.cost(some) for some in tried.split(_AT_A_TIME)])
        better = _first_better(tried[costs.argsort()[:_TRIED]], least, likelihood)
        if better is None:
            break
        key, least = _descended(better, likelihood, 60)
    return key


def _first_better(keys: Tensor, least: float, likelihood: _Likelihood) -> Tensor | None:
    for key in keys:
        found, cost = _descended(key, likelihood, 25)
        if cost < least - 1e-5:
            return found
    return None


def _changes(block_size: int) -> Tensor:
    """Orthogonal matrices (n, M, M) that negate a band of cosines in a block, or exchange two cosines."""
    place = torch.arange(block_size, dtype=torch.float64)
    cosines = torch.cos(math.pi * (place + 0.5) * place[:, None] / block_size)
    cosines = cosines / cosines.norm(dim=1, keepdim=True)
    found = []
    for i in range(block_size):
        for j in range(i + 1, block_size):
            negated, exchanged = torch.ones_like(place), torch.arange(block_size)
            negated[i + 1 : j + 1] = -1
            exchanged[i], exchanged[j] = j, i
            swap = torch.eye(block_size, dtype=place.dtype)[exchanged]
            found += [torch.diag(negated), swap, swap * torch.where(place == i, -1.0, 1.0)]
    return cosines.T @ torch.stack(found) @ cosines


def _descended(key: Tensor, likelihood: _Likelihood, steps: int) -> tuple[Tensor, float]:
    """L-BFGS over rotations of ``key``, exp(A) key with A skew-symmetric; the key and its cost."""
    rows, columns = torch.triu_indices(len(key), len(key), 1)
    angles = torch.zeros(len(rows), dtype=key.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([angles], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def turned() -> Tensor:
        upper = key.new_zeros(key.shape).index_put((rows, columns), angles)
        return torch.linalg.matrix_exp(upper - upper.T) @ key

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = likelihood.cost(turned()[None])[0]
        value.backward()
        return value

    step: Callable[[Callable[[], Tensor]], object] = optimiser.step
    step(loss)
    found = turned().detach()
    return found, float(likelihood.cost(found[None]))


def _spectral_matrices(segments: Tensor) -> Tensor:
    """Of segments (n, M, blocks): (blocks / 2, M, M), by Hann windows, halfway between the usual frequencies.

    There, unlike at frequency 0, no two of the mixed frequencies have the same power.
    """
    place = torch.arange(_SEGMENT, dtype=torch.float64)
    window = torch.sin(math.pi * (place + 0.5) / _SEGMENT).square()
    turned = segments * window * torch.exp(-1j * math.pi * place / _SEGMENT)
    waves = torch.fft.fft(turned, dim=-1)[..., : _SEGMENT // 2].permute(2, 1, 0)
    matrices = waves @ waves.mH / waves.shape[-1]
    scaled: Tensor = matrices / matrices.diagonal(dim1=1, dim2=2).real.sum(-1).mean()
    return scaled
