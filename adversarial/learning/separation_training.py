"""Pretraining of the source separation network M (equation 1 of Luong et al., §2.2 and §3.3).

Adam on the mean absolute error between masked magnitudes and those of the event alone, on segments that hold speech,
until the error on the validation recordings has not improved for some epochs; the best weights are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from sotto.adversarial.learning.checkpoint import Checkpoint
from sotto.adversarial.learning.recipe import Separation
from sotto.adversarial.sensor.separation_network import SeparationNetwork
from sotto.adversarial.sensor.spectrogram import Spectrogram
from sotto.adversarial.sounds.segments import Segments
from sotto.audio.parallel import bar_of
from sotto.models.learning.seeding import seeded

_BATCH = 64


class SeparationEpoch(msgspec.Struct, frozen=True):
    """Mean absolute error of the masked magnitudes in an epoch of the pretraining."""

    training: float
    validation: float


def pretrain(
    network: SeparationNetwork,
    spectrogram: Spectrogram,
    train: Segments,
    validation: Segments,
    settings: Separation,
    *,
    seed: int,
    device: torch.device,
    what: Mapping[str, object],
    checkpoints: Path | None = None,
) -> tuple[SeparationEpoch, ...]:
    """Train ``network`` in place and leave it in evaluation mode; the curve.

    Parameters
    ----------
    train, validation
        segments; those without speech are left out.
    what
        what names the checkpoint, beside ``settings`` and ``seed``.
    """
    with seeded(seed) as generator:
        network.to(device)
        spectrogram.to(device)
        best = deepcopy(network)
        modules: dict[str, nn.Module] = {"network": network, "best": best}
        named = {**what, "training": "separation", "settings": msgspec.to_builtins(settings), "seed": seed}
        checkpoint = Checkpoint(checkpoints, named, SeparationEpoch, generator)
        curve = checkpoint.finished(modules, lambda epochs: _over(epochs, settings))
        if curve is None:
            learnt, watched = (_pairs(part[part.has_speech], spectrogram, device) for part in (train, validation))
            curve = _trained(modules, learnt, watched, settings, checkpoint, generator)
        network.load_state_dict(best.state_dict())
        network.eval()
    return tuple(curve)


def _trained(
    modules: Mapping[str, nn.Module],
    learnt: tuple[Tensor, Tensor],
    watched: tuple[Tensor, Tensor],
    settings: Separation,
    checkpoint: Checkpoint[SeparationEpoch],
    generator: torch.Generator,
) -> list[SeparationEpoch]:
    """Train ``network`` of ``modules`` from its last checkpoint on, keeping the best weights in ``best``; the curve."""
    network, best = modules["network"], modules["best"]
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate)
    curve = checkpoint.resume(modules, optimiser) or []
    with bar_of(settings.epochs, "separation", "epoch", done=len(curve)) as shown:
        while not _over(curve, settings):
            training = _epoch(network, optimiser, learnt, settings.batch, generator)
            curve.append(SeparationEpoch(training, _error(network, watched)))
            if curve[-1].validation <= min(epoch.validation for epoch in curve):
                best.load_state_dict(network.state_dict())
            checkpoint.save(modules, optimiser, curve)
            shown.set_postfix_str(f"error {training:.3f}, validation {curve[-1].validation:.3f}", refresh=False)
            shown.update()
    return curve


def _over(curve: Sequence[SeparationEpoch], settings: Separation) -> bool:
    errors = [epoch.validation for epoch in curve]
    worse = len(errors) - 1 - errors.index(min(errors)) if errors else 0
    return len(errors) >= settings.epochs or worse >= settings.patience


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    pairs: tuple[Tensor, Tensor],
    batch: int,
    generator: torch.Generator,
) -> float:
    network.train()
    mixed, alone = pairs
    total = 0.0
    for chosen in torch.randperm(len(mixed), generator=generator).split(batch):
        x, target = mixed[chosen], alone[chosen]
        loss = (x * network(x) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(chosen)
    return total / len(mixed)


@torch.no_grad()
def _error(network: nn.Module, pairs: tuple[Tensor, Tensor]) -> float:
    network.eval()
    parts = zip(pairs[0].split(_BATCH), pairs[1].split(_BATCH), strict=True)
    return float(torch.cat([(x * network(x) - target).abs().mean(dim=(1, 2)) for x, target in parts]).mean())


@torch.no_grad()
def _pairs(segments: Segments, spectrogram: Spectrogram, device: torch.device) -> tuple[Tensor, Tensor]:
    """Magnitudes of the mixtures and of the events alone, (n, bins, frames) each."""
    sounds = (torch.from_numpy(waveforms).split(_BATCH) for waveforms in (segments.waveforms, segments.target))
    mixed, alone = (torch.cat([spectrogram(part.to(device)) for part in parts]) for parts in sounds)
    return mixed, alone
