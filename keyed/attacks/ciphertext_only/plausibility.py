"""How much decrypted speech is like speech, judged by an attacker who has no plain speech of the speaker.

Speech is stationary, whoever speaks, so that counts most; how near its covariances are to those of public speech, which
differ from voice to voice, decides only between guesses that are equally stationary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.moments import Moments, Stationarity

_PUBLIC = 0.05


class Judge:
    """Scores of guesses against ``public`` speech in blocks of this size."""

    def __init__(self, public: Moments, block_size: int, dimension: int) -> None:
        self.rule = Stationarity(block_size, dimension)
        self._public = (public.covariances / public.covariances.norm())[None]

    def excess(self, covariances: Tensor) -> Tensor:
        """Share of (batch, lags, N, N) that is not stationary, (batch,)."""
        apart = (covariances - self.rule.nearest(covariances)).flatten(1).norm(dim=1)
        return (apart / covariances.flatten(1).norm(dim=1).clamp(min=1e-30)) ** 2

    def implausibility(self, covariances: Tensor) -> Tensor:
        """Of decrypted covariances (batch, lags, N, N): 0 is best, (batch,)."""
        norms = covariances.flatten(1).norm(dim=1).clamp(min=1e-30)
        alike = (covariances * self._public).sum((1, 2, 3)) / norms
        return self.excess(covariances) + _PUBLIC * (1 - alike)

    def most_plausible(self, keys: list[Tensor], encrypted: Moments) -> Tensor:
        """The key matrix (N, N) among ``keys`` that decrypts to what is most like speech."""
        scores = self.implausibility(decrypted(torch.stack(keys), encrypted))
        return keys[int(scores.argmin())]


def decrypted(keys: Tensor, encrypted: Moments) -> Tensor:
    """Covariances (batch, lags, N, N) after decryption with each of ``keys`` (batch, N, N)."""
    return keys[:, None] @ encrypted.covariances @ keys[:, None].transpose(2, 3)
