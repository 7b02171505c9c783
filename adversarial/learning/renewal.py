"""The fresh discriminator D′, which every P epochs takes the place of D (equation 5 of Luong et al.).

F learns to defeat the D it meets, and a D that keeps losing stops being a threat: that it cannot find speech says
nothing.  D′ starts from fresh weights and learns from z as it is now, as an attacker would; its weights then become
D's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sotto.adversarial.learning.discriminator import Discriminator

_BATCH, _RATE = 64, 2e-3


def renew(
    discriminator: Discriminator, z: Tensor, has_speech: Tensor, *, epochs: int, generator: torch.Generator
) -> float:
    """Train a fresh discriminator on z (n, dimensions) and copy its weights into ``discriminator``.

    Parameters
    ----------
    has_speech
        (n,) float32, 0 or 1; the rarer answer is weighted up until both count the same.
    epochs
        passes over z, with Adam.

    Returns
    -------
    The mean loss of its last pass; ln 2 ≈ 0.693 where it found nothing.
    """
    fresh = Discriminator(z.shape[1]).to(z.device)
    optimiser = torch.optim.Adam(fresh.parameters(), lr=_RATE)
    share = has_speech.mean().clamp(1e-3, 1 - 1e-3)
    weight = torch.where(has_speech > 0, 0.5 / share, 0.5 / (1 - share))
    total = torch.zeros((), device=z.device)
    for _ in range(epochs):
        total.zero_()
        for chosen in torch.randperm(len(z), generator=generator).split(_BATCH):
            loss = F.binary_cross_entropy_with_logits(fresh(z[chosen]), has_speech[chosen], weight=weight[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(chosen)
    discriminator.load_state_dict(fresh.state_dict())
    return float(total) / len(z)
