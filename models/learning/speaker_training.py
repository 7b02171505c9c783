"""Training of speaker embeddings on log-mel frames: angular prototypical loss, random crops, noise and microphones.

Two crops of every voice in a batch; each must be nearer in angle to its twin than to the crops of all others (Chung et
al., "In defence of metric learning for speaker recognition", Interspeech 2020).  That needs no direction for every
training speaker, which with seconds of speech each are hardly ever visited.  A voice played faster or slower counts as
another speaker, which multiplies the few there are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from sotto.link import BadValue
from sotto.models.learning.augmentation import mask
from sotto.models.learning.training import decaying_weights, set_rate
from sotto.models.networks.speaker_embedding import FLOOR


@dataclass(frozen=True)
class SpeakerSchedule:
    """How embeddings are trained: AdamW with warm-up and cosine decay.

    Attributes
    ----------
    steps, batch
        batches, and voices in each; every voice gives two crops.
    frames
        length of a crop, 10 ms each.
    rate, weight_decay
        of the optimiser.
    colour
        standard deviations of a random frequency response, one for each of its cosines.
    noise
        share of the crops with noise, stationary or of other speakers; at ``ratios`` (decibels, least and most).
    """

    steps: int = 1000
    batch: int = 32
    frames: int = 140
    rate: float = 2e-3
    weight_decay: float = 0.05
    colour: tuple[float, ...] = (0.6, 0.5, 0.4, 0.3)
    noise: float = 0.6
    ratios: tuple[float, float] = (5.0, 25.0)


def train_embeddings(
    trunk: nn.Module, voices: Sequence[Sequence[Tensor]], schedule: SpeakerSchedule, *, seed: int, label: str
) -> None:
    """Train ``trunk``, (n, bands, frames) to (n, size), in place.

    Parameters
    ----------
    voices
        for every training speaker the log-mel frames (bands, frames) of one recording or several.
    seed
        of crops and augmentation; call under :func:`sotto.models.learning.seeding.seeded`.
    label
        for the progress bar.

    Raises
    ------
    ValueError
        fewer speakers than a batch needs, or a loss that is no number.
    """
    if len(voices) < schedule.batch:
        raise BadValue("too-few-voices", f"{len(voices)} voices are fewer than the {schedule.batch} of a batch")
    generator = torch.Generator().manual_seed(seed)
    sharpness = nn.Parameter(torch.tensor(2.3))  # logarithm of the factor that turns cosines into scores
    optimiser = decaying_weights([sharpness, *trunk.parameters()], schedule.rate, schedule.weight_decay)
    trunk.train()
    for step in tqdm(range(schedule.steps), desc=label, file=sys.stderr, delay=2.0, mininterval=5.0, leave=False):
        share = min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        set_rate(optimiser, schedule.rate * share)
        who = torch.randperm(len(voices), generator=generator)[: schedule.batch]
        twins = torch.cat([_crops(voices, who.tolist(), schedule.frames, generator) for _ in range(2)])
        loss = _prototypical_loss(trunk(_varied(twins, schedule, generator)), sharpness)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trunk.parameters(), 5.0)
        optimiser.step()
        if step % 100 == 0 and not math.isfinite(float(loss.detach())):
            raise BadValue("not-finite", "the training loss is not a number: lower the learning rate")
    trunk.eval()


def _prototypical_loss(embeddings: Tensor, sharpness: Tensor) -> Tensor:
    """Cross entropy of finding each crop's twin by angle, both ways; the twins are the two halves of the batch."""
    first, second = F.normalize(embeddings, dim=1).chunk(2)
    scores = sharpness.exp() * first @ second.T
    twin = torch.arange(len(first))
    return (F.cross_entropy(scores, twin) + F.cross_entropy(scores.T, twin)) / 2


def _crops(voices: Sequence[Sequence[Tensor]], who: Sequence[int], length: int, generator: torch.Generator) -> Tensor:
    """One stretch of each of these speakers, (len(who), bands, length); short recordings are repeated."""
    rows = []
    for index in who:
        recordings = voices[index]
        frames = recordings[_below(len(recordings), generator)]
        if frames.shape[1] <= length:
            frames = frames.repeat(1, length // frames.shape[1] + 1)
        start = _below(frames.shape[1] - length + 1, generator)
        rows.append(frames[:, start : start + length].float())
    return torch.stack(rows)


def _varied(x: Tensor, schedule: SpeakerSchedule, generator: torch.Generator) -> Tensor:
    """Another microphone, noise (powers add, so before the logarithm), and masked bands and moments."""
    n, bands, _ = x.shape
    place = torch.linspace(0, math.pi, bands)
    shapes = torch.stack([torch.cos((k + 1) * place) for k in range(len(schedule.colour))])
    amounts = torch.randn(n, len(schedule.colour), generator=generator) * torch.tensor(schedule.colour)
    power = (x + (amounts @ shapes)[:, :, None]).exp()
    tilt = (torch.rand(n, 1, generator=generator) * 3.5 - 2.5) * torch.linspace(0, 2, bands)
    steady = tilt.exp()[:, :, None] * -torch.log(torch.rand(power.shape, generator=generator).clamp(min=1e-3))
    others = power[torch.randperm(n, generator=generator)] + power[torch.randperm(n, generator=generator)]
    kind = torch.rand(n, 1, 1, generator=generator)
    noise = torch.where(kind < schedule.noise * 2 / 3, _even(steady), _even(others))
    least, most = schedule.ratios
    ratio = 10 ** (-(least + (most - least) * torch.rand(n, 1, 1, generator=generator)) / 10)
    noise = noise * ratio * power.mean((1, 2), keepdim=True) * (kind < schedule.noise)
    x = torch.log(power + noise + FLOOR)
    average = x.mean((1, 2), keepdim=True)
    return mask(mask(x, 1, 1, 10.0, average, generator), 2, 1, 20.0, average, generator)


def _even(power: Tensor) -> Tensor:
    return power / power.mean((1, 2), keepdim=True)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
